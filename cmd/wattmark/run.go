package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"wattmark/agg"
)

// runCmd measures a command as time does: with the daemon at --addr if one answers there, else with one of its own for
// as long as the command runs. The command's streams, signals and exit code are its own, whatever becomes of the
// measurement.
type runCmd struct {
	backendFlags
	credentialFlags
	Addr           string        `default:"127.0.0.1:9844" help:"Daemon to measure with if one answers here: host:port, a URL, unix:/path.sock, or none."`
	Name           string        `name:"run" placeholder:"NAME" help:"Name of the window. Default: generated."`
	BenchResult    string        `placeholder:"FILE" help:"What the command leaves as a benchmark's result: gives joules per token. Its own start and end, where it has them, are the window."`
	Expected       gpuCount      `name:"expected-num-gpus" placeholder:"N" help:"How many GPUs must be there."`
	JSON           string        `name:"json" env:"WATTMARK_RUN_JSON" placeholder:"FILE" help:"Write the result and its readings here, as a window file: for report and aggregate --window."`
	CSV            string        `name:"csv" env:"WATTMARK_RUN_CSV" placeholder:"FILE" help:"Write the readings here, as nvidia-smi or amd-smi prints them."`
	Interval       time.Duration `default:"1s" help:"Between readings, without a daemon."`
	MaxGap         time.Duration `default:"3s" help:"Longest time without a reading that a power method bears, without a daemon."`
	AllowSimulated bool          `help:"Let results of simulated GPUs be valid, without a daemon."`
	Command        []string      `arg:"" passthrough:"" help:"The command and its arguments, after --."`
}

// Validate is called by kong.
func (c *runCmd) Validate() error {
	if len(c.Command) > 0 && c.Command[0] == "--" {
		c.Command = c.Command[1:]
	}
	switch {
	case strings.Contains(c.Addr, ","):
		return errors.New("--addr is one daemon; mark-start and mark-end measure several")
	case len(c.Command) == 0:
		return errors.New("no command: wattmark run [flags] -- COMMAND [arguments]")
	case c.Interval < 10*time.Millisecond || c.Interval > time.Minute:
		return fmt.Errorf("--interval is 10ms to 60s, not %v", c.Interval)
	case c.MaxGap <= 0:
		return errors.New("--max-gap must be positive")
	}
	return nil
}

// What shells and time say of a command that cannot be run.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// Run runs the command and exits as it does.
func (c *runCmd) Run(ctx context.Context, std streams) error {
	path, err := exec.LookPath(c.Command[0])
	if err != nil {
		fmt.Fprintln(std.err, "wattmark:", err)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return exitCode(exitNotFound)
		}
		return exitCode(exitNotExecutable)
	}
	m := c.meter(ctx, std)
	defer m.stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	m.begin(ctx)
	code, err := execute(path, c.Command, std, func() {
		runLightly(ctx, newLogger(std, "error", "text")) // not before: the command would inherit the priority
	})
	if err != nil {
		m.end(agg.Benchmark{}, false)
		fmt.Fprintln(std.err, "wattmark:", err)
		return exitCode(exitNotExecutable)
	}
	c.report(std, m, code)
	if code != 0 {
		return exitCode(code)
	}
	return nil
}

// report ends the window and says what came out. What goes wrong here is said and changes no exit code.
func (c *runCmd) report(std streams, m *meter, code int) {
	var benchmark agg.Benchmark
	if c.BenchResult != "" {
		benchmark = readBenchmark(c.BenchResult)
	}
	result, ok := m.end(benchmark, c.BenchResult != "" && benchmark.Err == nil)
	if benchmark.Err != nil {
		fmt.Fprintln(std.err, "wattmark: the benchmark's result:", benchmark.Err)
		result.Reasons = append(result.Reasons, benchmark.Reasons...)
	}
	if !ok {
		return
	}
	printRun(std.err, result, benchmark.HasWindow, code)
	if c.CSV != "" {
		if err := m.readings(c.CSV, result); err != nil {
			fmt.Fprintln(std.err, "wattmark: --csv:", err)
		}
	}
	if c.JSON != "" {
		if err := m.keep(c.JSON, result); err != nil {
			fmt.Fprintln(std.err, "wattmark: --json:", err)
		}
	}
}
