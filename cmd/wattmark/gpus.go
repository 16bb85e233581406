package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/alecthomas/kong"

	"wattmark/internal/atomicfile"
	"wattmark/probe"
	"wattmark/sampler"
)

// gpusCmd shows what the daemon would see.
type gpusCmd struct {
	backendFlags
	JSON  jsonFlag      `name:"json" help:"Print JSON; with a FILE after it, write that there and print the tables."`
	Probe time.Duration `placeholder:"DURATION" help:"Read the sensors for so long, 8s to 10m, and say what they are like and what they will be used for. Changes no setting."`
}

// longestProbe bounds the readings that a probe keeps.
const longestProbe = 10 * time.Minute

// Validate is called by kong: what it refuses is a usage error.
func (c *gpusCmd) Validate() error {
	if c.Probe != 0 && (c.Probe < probe.Shortest || c.Probe > longestProbe) {
		return fmt.Errorf("--probe is %v to %v, not %v", probe.Shortest, longestProbe, c.Probe)
	}
	return nil
}

// jsonFlag is where JSON goes: "" nowhere, "-" to stdout, else to the file of that name.
type jsonFlag string

// Decode reads --json, --json FILE and --json=FILE; in the environment, as for any flag without a value, true and false.
func (j *jsonFlag) Decode(ctx *kong.DecodeContext) error {
	*j = "-"
	if next := ctx.Scan.Peek(); !next.IsValue() {
		return nil
	}
	var value string
	if err := ctx.Scan.PopValueInto("file", &value); err != nil {
		return err
	}
	switch value {
	case "true", "1", "yes":
	case "false", "0", "no", "":
		*j = ""
	default:
		*j = jsonFlag(value)
	}
	return nil
}

// IsBool tells kong that the flag may stand alone.
func (*jsonFlag) IsBool() bool { return true }

// gpuReport is one GPU and what its sensors say now.
type gpuReport struct {
	sampler.Info
	Reading     *gpuReading          `json:"reading"`
	Error       string               `json:"error,omitempty"`
	Calibration *sampler.Calibration `json:"calibration"` // as the daemon makes it at start; null: there is nothing to calibrate
	Probe       *probe.Report        `json:"probe"`       // null: not asked for
}

type gpuReading struct {
	Power   sampler.Value `json:"power_w"`
	Instant sampler.Value `json:"instant_power_w"`
	Energy  sampler.Value `json:"energy_counter_j"`
	CallS   float64       `json:"call_s"`
}

// Run reads every GPU, finds out what its energy counter is like (or, with --probe, all of its sensors), and prints
// what there is, and what to do about what is not. A signal ends it early, with what there is by then.
func (c *gpusCmd) Run(ctx context.Context, std streams) error {
	found, err := c.open(sampler.NewClock(), slog.New(slog.DiscardHandler))
	if err != nil {
		return exitFor(std, err)
	}
	defer found.close()
	began := time.Now()
	reports := c.inspect(ctx, std, found.devices)
	if c.JSON != "" {
		if err := c.writeJSON(std, map[string]any{
			"backend": found.now(), "gpus": reports, "version": version(), "time": began.UTC().Format(time.RFC3339),
		}); err != nil {
			return err
		}
	}
	if c.JSON != "-" {
		printGPUs(std.out, found, reports)
	}
	return ctx.Err()
}

func (c *gpusCmd) writeJSON(std streams, content any) error {
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if c.JSON == "-" {
		_, err = std.out.Write(text)
		return err
	}
	if err := atomicfile.WriteFile(string(c.JSON), text); err != nil {
		return fmt.Errorf("--json: %w", err)
	}
	return nil
}

// inspect asks all GPUs at once: one that does not answer does not keep the others.
func (c *gpusCmd) inspect(ctx context.Context, std streams, devices []sampler.Device) []gpuReport {
	const patience = 10 * time.Second
	type first struct {
		reading sampler.Reading
		err     error
	}
	readings := gather(ctx, len(devices), patience, func(i int) first {
		r, err := devices[i].Read()
		return first{r, err}
	})
	reports := make([]gpuReport, len(devices))
	answering := []int{}
	for i, device := range devices {
		reports[i].Info = device.Info()
		switch r := readings[i]; {
		case r == nil:
			reports[i].Error = "no answer: a driver call hangs"
			continue
		case r.err != nil:
			reports[i].Error = r.err.Error()
		default:
			reports[i].Reading = &gpuReading{r.reading.PowerWatts, r.reading.InstantWatts, r.reading.EnergyJoules, r.reading.Call.Seconds()}
		}
		answering = append(answering, i)
	}
	if c.Probe > 0 && len(answering) > 0 {
		_, _ = fmt.Fprintf(std.err, "probing %d GPUs for %v: reads only, no setting is changed; Ctrl-C ends it early with what there is\n",
			len(answering), c.Probe)
		for k, report := range gather(ctx, len(answering), c.Probe+3*patience, func(k int) probe.Report {
			return probe.Run(ctx, devices[answering[k]], c.Probe)
		}) {
			if report != nil {
				r := &reports[answering[k]]
				r.Probe = report
				if report.Counter.Calibration.Done {
					r.Calibration = &report.Counter.Calibration
				}
			}
		}
		return reports
	}
	for k, calibration := range gather(ctx, len(answering), patience, func(k int) *sampler.Calibration {
		device := devices[answering[k]]
		if info := device.Info(); !info.HasCounter || info.CounterPeriod == 0 {
			return nil
		}
		found := sampler.Calibrate(device)
		return &found
	}) {
		if calibration != nil {
			reports[answering[k]].Calibration = *calibration
		}
	}
	return reports
}

// gather does work n times at once and returns what came of it; nil where nothing did within the time, or soon after
// ctx has ended: a driver call cannot be cancelled.
func gather[T any](ctx context.Context, n int, patience time.Duration, work func(int) T) []*T {
	type answer struct {
		i    int
		made T
	}
	answers := make(chan answer, n)
	for i := range n {
		go func() { answers <- answer{i, work(i)} }()
	}
	out := make([]*T, n)
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	ended := ctx.Done()
	for range n {
		for waiting := true; waiting; {
			select {
			case a := <-answers:
				out[a.i], waiting = &a.made, false
			case <-ended:
				ended = nil
				timeout.Reset(time.Second)
			case <-timeout.C:
				return out
			}
		}
	}
	return out
}
