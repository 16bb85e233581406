package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"wattmark/agg"
	"wattmark/window"
)

// aggregateCmd measures offline and patches a benchmark's aggregate: from window files, which finishes what mark-end
// left pending; from the CSV that nvidia-smi, amd-smi or serve --csv wrote, which is what InferenceX's own script does;
// from all CSV files below a folder; or from a Prometheus that scraped the nodes. Paths are not made absolute: they stand in the validation file as given.
type aggregateCmd struct {
	Window   []string `required:"" xor:"source" sep:"none" placeholder:"FILE" help:"power_window_<run>.json; repeat to merge nodes, or a pattern in quotes; prefill=FILE and decode=FILE give roles."`
	CSV      string   `required:"" xor:"source" name:"csv" env:"WATTMARK_AGGREGATE_CSV" placeholder:"FILE" help:"Recorded readings, as nvidia-smi, amd-smi or serve --csv write them."`
	Backfill string   `required:"" xor:"source" placeholder:"DIR" help:"Do --csv for every agg_<R>.json below DIR that has <R>.json and a CSV beside it."`
	prometheusFlags
	aiperfFlags

	BenchResult      string   `placeholder:"FILE" help:"The benchmark's result."`
	AggResult        string   `placeholder:"FILE" help:"The benchmark's aggregate, to be patched."`
	ValidationResult string   `placeholder:"FILE" help:"Where the validation goes. Default: beside the benchmark's result."`
	ExpectedNumGPUs  gpuCount `name:"expected-num-gpus" placeholder:"N" help:"How many GPUs must be there. Default: what the marks said; with --csv it must be given."`
	ExpectedNodes    int      `placeholder:"N" help:"With --window: how many nodes must be there."`
	roleFlags
	RequirePower   bool `help:"Exit 1 if the power is not valid. REQUIRE_POWER=1 does the same."`
	AllowSimulated bool `help:"Let results of simulated GPUs be valid."`
	AggExtra       bool `help:"Put the percentiles of power into the aggregate too (p75_ and p90_ keys of later InferenceX schemas)."`
	JSON           bool `name:"json" help:"Print the result as JSON."`

	MaxGap  time.Duration `default:"3s" help:"With --csv and --prometheus: how far apart readings may be."`
	CSVZone string        `name:"csv-zone" default:"local" placeholder:"ZONE" help:"With --csv: the zone of times that name none: local, UTC, Europe/Berlin, +0200."`
	Strict  bool          `default:"true" negatable:"" help:"With --csv: take odd files exactly as InferenceX's script does; docs/inferencex.md has the differences."`
}

// Validate checks what depends on where the readings come from.
func (c aggregateCmd) Validate() error {
	if c.Backfill != "" {
		if c.BenchResult != "" || c.AggResult != "" || c.ValidationResult != "" || c.AIPerf != "" {
			return errors.New("--backfill finds the files itself: no --bench-result, --aiperf, --agg-result or --validation-result")
		}
	} else if c.AIPerf != "" && (c.BenchResult != "" || c.AggResult == "") {
		return errors.New("--aiperf makes the benchmark's result itself; --agg-result must be given")
	} else if (c.CSV != "" || len(c.Window) > 0) && c.AIPerf == "" && (c.BenchResult == "" || c.AggResult == "") {
		return errors.New("--bench-result and --agg-result must be given")
	}
	if c.CSV != "" && !c.ExpectedNumGPUs.given {
		return errors.New("--csv needs --expected-num-gpus")
	}
	if c.MaxGap <= 0 {
		return fmt.Errorf("--max-gap=%v: it must be positive", c.MaxGap)
	}
	_, err := parseZone(c.CSVZone)
	return errors.Join(err, c.check(), c.checkPrometheus())
}

// Run measures, patches and says what it did.
func (c aggregateCmd) Run(ctx context.Context, std streams) error {
	if c.AIPerf != "" {
		if handled, err := c.fromAIPerf(std); handled {
			return err
		}
	}
	switch {
	case c.Backfill != "":
		return c.backfill(ctx, std)
	case c.CSV != "":
		return c.fromCSV(std)
	case c.Prometheus != "":
		return c.fromPrometheus(ctx, std)
	}
	benchmark := readBenchmark(c.BenchResult)
	result, err := c.fromWindows(std, benchmark)
	if err != nil {
		return err
	}
	return c.finish(std, result, agg.Sources{
		Telemetry: strings.Join(c.Window, " "), Benchmark: c.BenchResult, ReportedDuration: benchmark.Duration,
	})
}

// finish writes the files and says what became of them.
func (c aggregateCmd) finish(std streams, result window.Result, sources agg.Sources) error {
	files := agg.Files{Aggregate: c.AggResult, Validation: c.ValidationResult, MustExist: true, Sources: sources, Extra: c.AggExtra}
	if files.Validation == "" && c.BenchResult != "" {
		files.Validation = agg.ValidationName(c.BenchResult, result.Run, "")
	}
	var err error
	result.Aggregate, err = agg.WritePaths(result, files)
	if err != nil {
		_, _ = fmt.Fprintln(std.err, "wattmark: warning:", err)
	}
	if result.Aggregate.Status == agg.StatusFailed {
		why := window.AggregateUnwritable
		if _, err := os.Stat(c.AggResult); errors.Is(err, fs.ErrNotExist) {
			why = window.AggregateMissing
		}
		result.Reasons = append(slices.Clone(result.Reasons), why)
	}
	if c.JSON {
		if err := json.NewEncoder(std.out).Encode(result); err != nil {
			return err
		}
	} else {
		printVerdict(std.err, result)
	}
	written := result.Aggregate.Status == agg.StatusPatched || c.AggResult == ""
	if c.required() && (!result.Valid() || !written || err != nil) {
		return exitCode(exitFailed)
	}
	return nil
}

func (c aggregateCmd) required() bool {
	switch strings.ToLower(os.Getenv("REQUIRE_POWER")) {
	case "1", "true", "yes":
		return true
	}
	return c.RequirePower
}

func readBenchmark(path string) agg.Benchmark {
	file, err := os.Open(path)
	if err != nil {
		return agg.Benchmark{Reasons: []window.Reason{window.InvalidBenchmarkResult}, Err: err}
	}
	defer func() { _ = file.Close() }()
	return agg.ReadBenchmark(file)
}
