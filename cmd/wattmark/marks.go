package main

import (
	"context"
	"net/url"
	"strings"
	"time"
)

// markStartCmd is POST /v1/mark-start.
type markStartCmd struct {
	addrFlags
	Name     string   `name:"run" placeholder:"NAME" help:"Name of the window. Default: generated."`
	AtUnix   string   `placeholder:"SECONDS" help:"Start at this Unix time instead of now."`
	GPUs     []string `name:"gpus" placeholder:"GPU,…" help:"Indices, UUIDs or PCI bus ids. Default: all."`
	Expected gpuCount `name:"expected-num-gpus" placeholder:"N" help:"How many GPUs must be there."`
	Role     string   `placeholder:"ROLE" help:"prefill or decode, in a disaggregated deployment."`
}

// Run opens the window.
func (c markStartCmd) Run(ctx context.Context, std streams) error {
	return c.each(ctx, std, "/v1/mark-start", form(
		"run", c.Name, "at_unix", c.AtUnix, "gpus", strings.Join(c.GPUs, ","),
		"expected_num_gpus", c.Expected.String(), "role", c.Role))
}

// workFlags say what the benchmark did and where its files are; paths are as the daemon sees them.
type workFlags struct {
	BenchmarkResult   string   `placeholder:"FILE" help:"The benchmark's result, in the daemon's results folder."`
	Completed         string   `placeholder:"N" help:"Successful requests, where there is no result file."`
	TotalInputTokens  string   `placeholder:"N" help:"Input tokens, where there is no result file."`
	TotalOutputTokens string   `placeholder:"N" help:"Output tokens, where there is no result file."`
	AggResult         string   `placeholder:"FILE" help:"The benchmark's aggregate, to be patched."`
	ValidationResult  string   `placeholder:"FILE" help:"Where the validation goes. Default: beside the result."`
	Expected          gpuCount `name:"expected-num-gpus" placeholder:"N" help:"How many GPUs must be there."`
}

func (w workFlags) fields() []string {
	return []string{
		"benchmark_result", w.BenchmarkResult, "completed", w.Completed, "total_input_tokens", w.TotalInputTokens,
		"total_output_tokens", w.TotalOutputTokens, "agg_result", w.AggResult, "validation_result", w.ValidationResult,
		"expected_num_gpus", w.Expected.String(),
	}
}

// markEndCmd is POST /v1/mark-end.
type markEndCmd struct {
	addrFlags
	workFlags
	Name   string `name:"run" placeholder:"NAME" help:"The window; may be left out when one is open."`
	ID     string `name:"id" placeholder:"ID" help:"The window's id instead of its name."`
	AtUnix string `placeholder:"SECONDS" help:"End at this Unix time instead of now."`
}

// Run ends the window and prints its result.
func (c markEndCmd) Run(ctx context.Context, std streams) error {
	return c.each(ctx, std, "/v1/mark-end", form(append(c.fields(), "run", c.Name, "id", c.ID, "at_unix", c.AtUnix)...))
}

// measureCmd is POST /v1/measure.
type measureCmd struct {
	addrFlags
	workFlags
	Name      string   `name:"run" placeholder:"NAME" help:"Name of the window. Default: generated."`
	StartUnix string   `placeholder:"SECONDS" help:"Start of the span. Default: the benchmark result's."`
	EndUnix   string   `placeholder:"SECONDS" help:"End of the span. Default: the benchmark result's."`
	GPUs      []string `name:"gpus" placeholder:"GPU,…" help:"Indices, UUIDs or PCI bus ids. Default: all."`
	Role      string   `placeholder:"ROLE" help:"prefill or decode, in a disaggregated deployment."`
}

// Run measures the span and prints the result.
func (c measureCmd) Run(ctx context.Context, std streams) error {
	return c.each(ctx, std, "/v1/measure", form(append(c.fields(), "run", c.Name, "start_unix", c.StartUnix,
		"end_unix", c.EndUnix, "gpus", strings.Join(c.GPUs, ","), "role", c.Role)...))
}

// readyCmd waits for /readyz.
type readyCmd struct {
	addrFlags
	Wait time.Duration `default:"10s" help:"Give up after this long."`
}

// Run asks every daemon until each is ready.
func (c readyCmd) Run(ctx context.Context, std streams) error {
	limit, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	for _, addr := range c.Addr {
		daemon, err := c.client(addr)
		if err == nil {
			err = daemon.ready(limit)
		}
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return c.soften(std, err)
		}
	}
	return nil
}

// ready asks until the daemon is ready or ctx ends; the error is what it said last.
func (c client) ready(ctx context.Context) error {
	for {
		_, err := c.do(ctx, "GET", "/readyz", nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// form makes form fields of name, value, name, value …; empty values are left out.
func form(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return values
}
