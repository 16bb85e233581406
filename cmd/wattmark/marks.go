package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"wattmark/api"
)

// markStartCmd is POST /v1/mark-start.
type markStartCmd struct {
	addrFlags
	Name     string   `name:"run" placeholder:"NAME" help:"Name of the window. Default: generated."`
	AtUnix   string   `placeholder:"SECONDS" help:"Start at this Unix time instead of now."`
	GPUs     []string `name:"gpus" placeholder:"GPU,…" help:"Indices, UUIDs, PCI bus ids, or 'visible': those of CUDA_, HIP_ or ROCR_VISIBLE_DEVICES here. Default: all."`
	Expected gpuCount `name:"expected-num-gpus" placeholder:"N" help:"How many GPUs must be there."`
	Role     string   `placeholder:"ROLE" help:"prefill or decode, in a disaggregated deployment."`
}

// Run opens the window.
func (c markStartCmd) Run(ctx context.Context, std streams) error {
	nodes, err := c.fleet()
	if err == nil {
		c.GPUs, err = namedHere(c.GPUs, "/sys")
	}
	if err != nil {
		return exitFor(std, err)
	}
	if len(nodes) > 1 {
		return c.startAll(ctx, std, nodes)
	}
	return c.one(ctx, std, nodes[0], "/v1/mark-start", form(
		"run", c.Name, "at_unix", c.AtUnix, "gpus", strings.Join(c.GPUs, ","),
		"expected_num_gpus", c.Expected.String(), "role", cmp.Or(nodes[0].role, c.Role)))
}

// workFlags say what the benchmark did and where its files are. Of one daemon, paths are as it sees them; of several
// nodes they are ours, and no daemon reads or writes the benchmark's files.
type workFlags struct {
	roleFlags
	BenchmarkResult   string   `placeholder:"FILE" help:"The benchmark's result, in the daemon's results folder; with several nodes, here."`
	Completed         string   `placeholder:"N" help:"Successful requests, where there is no result file."`
	TotalInputTokens  string   `placeholder:"N" help:"Input tokens, where there is no result file."`
	TotalOutputTokens string   `placeholder:"N" help:"Output tokens, where there is no result file."`
	AggResult         string   `placeholder:"FILE" help:"The benchmark's aggregate, to be patched."`
	ValidationResult  string   `placeholder:"FILE" help:"Where the validation goes. Default: beside the result."`
	Expected          gpuCount `name:"expected-num-gpus" placeholder:"N" help:"How many GPUs must be there, on all nodes together."`
	JSON              bool     `name:"json" help:"Print the result as JSON on a terminal, too, and no summary."`
}

// Validate checks what only the flags together say.
func (w workFlags) Validate() error { return w.check() }

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
	now := time.Now() // the window ends here, whatever follows
	nodes, err := c.fleet()
	if err != nil {
		return exitFor(std, err)
	}
	if len(nodes) == 1 && !c.given() {
		return c.ended(ctx, std, nodes[0], "/v1/mark-end", form(append(c.fields(), "run", c.Name, "id", c.ID, "at_unix", c.AtUnix)...), c.JSON)
	}
	if c.ID != "" && len(nodes) > 1 {
		return exitFor(std, usageError{errors.New("--id is of a window at one daemon; with several nodes give --run")})
	}
	return conclusion{
		addrFlags: c.addrFlags, workFlags: c.workFlags, path: "/v1/mark-end", hurry: now.Add(patience),
		fields: []string{"run", c.Name, "id", c.ID, "at_unix", cmp.Or(c.AtUnix, unixText(now))},
	}.conclude(ctx, std, nodes)
}

// measureCmd is POST /v1/measure.
type measureCmd struct {
	addrFlags
	workFlags
	Name      string   `name:"run" placeholder:"NAME" help:"Name of the window. Default: generated."`
	StartUnix string   `placeholder:"SECONDS" help:"Start of the span. Default: the benchmark result's."`
	EndUnix   string   `placeholder:"SECONDS" help:"End of the span. Default: the benchmark result's."`
	GPUs      []string `name:"gpus" placeholder:"GPU,…" help:"Indices, UUIDs, PCI bus ids, or 'visible': those of CUDA_, HIP_ or ROCR_VISIBLE_DEVICES here. Default: all."`
	Role      string   `placeholder:"ROLE" help:"prefill or decode, in a disaggregated deployment."`
}

// Run measures the span and prints the result.
func (c measureCmd) Run(ctx context.Context, std streams) error {
	nodes, err := c.fleet()
	if err == nil {
		c.GPUs, err = namedHere(c.GPUs, "/sys")
	}
	if err != nil {
		return exitFor(std, err)
	}
	span := []string{"start_unix", c.StartUnix, "end_unix", c.EndUnix, "gpus", strings.Join(c.GPUs, ",")}
	if len(nodes) == 1 && !c.given() {
		return c.ended(ctx, std, nodes[0], "/v1/measure",
			form(slices.Concat(c.fields(), span, []string{"run", c.Name, "role", cmp.Or(nodes[0].role, c.Role)})...), c.JSON)
	}
	return conclusion{
		addrFlags: c.addrFlags, workFlags: c.workFlags, path: "/v1/measure", roles: true,
		fields: append(span, "run", cmp.Or(c.Name, newRun()), "role", c.Role),
	}.conclude(ctx, std, nodes)
}

// readyCmd waits for /readyz.
type readyCmd struct {
	addrFlags
	Wait          time.Duration `default:"10s" help:"Give up after this long."`
	AllowDegraded bool          `help:"Be content with the other GPUs where a driver call hangs: say which, and exit 0. Marks then have its reason."`
}

// Run asks every daemon until each is ready.
func (c readyCmd) Run(ctx context.Context, std streams) error {
	limit, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	nodes, err := c.fleet()
	if err != nil {
		return exitFor(std, err)
	}
	nodes.each(func(n *node) (err error) {
		n.degraded, err = n.client.ready(limit, c.AllowDegraded)
		return err
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, n := range nodes {
		if n.degraded != nil {
			_, _ = fmt.Fprintln(std.err, "wattmark: warning: going on without what hangs:", n.degraded)
		}
	}
	return c.soften(std, nodes.failed())
}

// ready asks until the daemon is ready or ctx ends; the error is what it said last. Where that is enough it also ends
// when all but the GPUs that hang are ready; degraded says which.
func (c client) ready(ctx context.Context, enough bool) (degraded, err error) {
	for {
		text, err := c.do(ctx, "GET", "/readyz", nil)
		if err == nil {
			return nil, nil
		}
		var state api.Readiness
		if enough && json.Unmarshal(text, &state) == nil && state.Degraded {
			return err, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
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
