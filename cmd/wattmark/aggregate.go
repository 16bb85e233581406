package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"wattmark/agg"
	"wattmark/window"
)

// aggregateCmd finishes what mark-end left pending: the measurement again from window files, joined with the
// benchmark's result, into its aggregate.
type aggregateCmd struct {
	Window           []string `required:"" sep:"none" type:"path" placeholder:"FILE" help:"power_window_<run>.json; repeat to merge nodes."`
	BenchResult      string   `required:"" type:"path" placeholder:"FILE" help:"The benchmark's result."`
	AggResult        string   `required:"" type:"path" placeholder:"FILE" help:"The benchmark's aggregate, to be patched."`
	ValidationResult string   `type:"path" placeholder:"FILE" help:"Where the validation goes. Default: beside the benchmark's result."`
	ExpectedNumGPUs  *int     `name:"expected-num-gpus" placeholder:"N" help:"How many GPUs must be there. Default: what the marks said."`
	RequirePower     bool     `help:"Exit 1 if the power is not valid. REQUIRE_POWER=1 does the same."`
	AllowSimulated   bool     `help:"Let results of simulated GPUs be valid."`
	JSON             bool     `name:"json" help:"Print the result as JSON."`
}

// Run measures, patches and says what it did.
func (c aggregateCmd) Run(std streams) error {
	benchmark := readBenchmark(c.BenchResult)
	result, err := c.measure(benchmark)
	if err != nil {
		return err
	}
	files := agg.Files{
		Aggregate: c.AggResult, Validation: c.ValidationResult, MustExist: true,
		Sources: agg.Sources{
			Telemetry: strings.Join(c.Window, " "), Benchmark: c.BenchResult, ReportedDuration: benchmark.Duration,
		},
	}
	if files.Validation == "" {
		files.Validation = agg.ValidationName(c.BenchResult, result.Run, "")
	}
	result.Aggregate, err = agg.WritePaths(result, files)
	if err != nil {
		_, _ = fmt.Fprintln(std.err, "wattmark: warning:", err)
	}
	if c.JSON {
		if err := json.NewEncoder(std.out).Encode(result); err != nil {
			return err
		}
	} else {
		printVerdict(std.err, result)
	}
	if c.required() && (!result.Valid() || result.Aggregate.Status != agg.StatusPatched || err != nil) {
		return exitCode(exitFailed)
	}
	return nil
}

// measure measures each node's window again, with the benchmark's edges where it has them, and merges.
func (c aggregateCmd) measure(benchmark agg.Benchmark) (window.Result, error) {
	var results []window.Result
	for _, path := range c.Window {
		file, err := readWindowFile(path)
		if err != nil {
			return window.Result{}, err
		}
		w := file.Window()
		if c.ExpectedNumGPUs != nil {
			w.Expected = nil // of the merged whole, below
		}
		limits := file.Limits
		limits.AllowSimulated = limits.AllowSimulated || c.AllowSimulated
		result := agg.Conclude(window.Recorded(file.Series), w, limits, &benchmark)
		result.Backend, result.Cost, result.Versions = file.Result.Backend, file.Result.Cost, file.Result.Versions
		result.Cost.DriverCallMax = file.Result.Cost.DriverCallMax
		results = append(results, result)
	}
	merged := results[0]
	if len(results) > 1 {
		merged = window.Merge(results...)
	}
	if c.ExpectedNumGPUs != nil {
		merged = merged.Expecting(*c.ExpectedNumGPUs)
	}
	return merged, nil
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

func readWindowFile(path string) (agg.WindowFile, error) {
	var file agg.WindowFile
	f, err := os.Open(path)
	if err != nil {
		return file, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, agg.MaxWindowFile+1))
	if err != nil {
		return file, fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return file, fmt.Errorf("%s is not a window file: %w", path, err)
	}
	if len(file.Series) == 0 && len(file.Result.GPUs) > 0 || file.Result.Run == "" {
		return file, fmt.Errorf("%s: %w", path, errors.New("not a window file: it has no readings"))
	}
	return file, nil
}
