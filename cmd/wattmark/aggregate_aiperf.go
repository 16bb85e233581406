package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"wattmark/agg"
	"wattmark/internal/atomicfile"
	"wattmark/window"
)

// aiperfFlags take the window and the counts from what AIPerf left, as InferenceX's AgentX does.
type aiperfFlags struct {
	AIPerf string `name:"aiperf" placeholder:"DIR" help:"Take window and counts from AIPerf's profile_export_aiperf.json and profile_export.jsonl in DIR."`
}

// The files that InferenceX's adapter writes into the folder.
const (
	aiperfWindowFile = "agentic_power_window.json"
	aiperfValidation = "power_validation.json"
	aiperfLifecycle  = "aiperf_profile_lifecycle"
)

// fromAIPerf makes the benchmark's result that AIPerf does not write, and names it. If that is not possible the aggregate
// and the validation file say why; handled is then true.
func (c *aggregateCmd) fromAIPerf(std streams) (handled bool, err error) {
	if c.ValidationResult == "" {
		c.ValidationResult = filepath.Join(c.AIPerf, aiperfValidation)
	}
	c.BenchResult = filepath.Join(c.AIPerf, aiperfWindowFile)
	found, err := agg.ReadAIPerf(c.AIPerf)
	if err == nil {
		var text []byte
		if text, err = json.MarshalIndent(found, "", "  "); err == nil {
			err = atomicfile.WriteFile(c.BenchResult, append(text, '\n'))
		}
		if err == nil {
			return false, nil
		}
		err = &agg.AIPerfError{Reason: agg.PowerWindowUnwritable, Err: err}
	}
	_, _ = fmt.Fprintln(std.err, "wattmark:", err)
	result := window.Result{Run: filepath.Base(c.AIPerf), Backend: "csv", Versions: window.Versions{Wattmark: version()}}
	if known, ok := errors.AsType[*agg.AIPerfError](err); ok {
		result.Reasons = []window.Reason{known.Reason}
	}
	if c.ExpectedNumGPUs.given {
		result.Expected = &c.ExpectedNumGPUs.n
	}
	return true, c.finish(std, result, agg.Sources{
		Telemetry: strings.Join(append(c.Window, c.CSV), ""), Benchmark: c.BenchResult, WindowSource: aiperfLifecycle,
	})
}
