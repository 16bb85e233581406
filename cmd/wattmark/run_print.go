package main

import (
	"fmt"
	"io"

	"wattmark/sampler"
	"wattmark/window"
)

// printRun shows a command's energy as time shows its time.
func printRun(w io.Writer, r window.Result, benchmarks bool, code int) {
	if len(r.GPUs) == 0 {
		fmt.Fprintf(w, "wattmark: %.3f s; exit code %d\n", r.Duration().Seconds(), code)
		return
	}
	printJudgement(w, "wattmark", r)
	printEnergies(w, r)
	what := "the command"
	if benchmarks {
		what = "the benchmark's own window"
	}
	fmt.Fprintf(w, "  %.3f s, %s; exit code %d\n", r.Duration().Seconds(), what, code)
	printPerToken(w, r)
}

// printEnded shows the result of a mark-end or measure to somebody at a terminal.
func printEnded(w io.Writer, r window.Result) {
	printJudgement(w, "run "+clean(r.Run), r)
	if len(r.GPUs) > 0 {
		printEnergies(w, r)
	}
	fmt.Fprintf(w, "  %.3f s\n", r.Duration().Seconds())
	printPerToken(w, r)
	printAggregate(w, r)
	fmt.Fprintln(w, "  --json prints all that is known of it")
}

// printEnergies is a table of what each GPU used, and all of them.
func printEnergies(w io.Writer, r window.Result) {
	rows := [][]string{{"GPU", "model", "method", "energy J", "± J (2σ)", "average W", "peak W"}}
	peaks, known := 0.0, true
	for _, gpu := range r.GPUs {
		peak, ok := gpu.MaxPower.Known()
		peaks, known = peaks+peak, known && ok
		rows = append(rows, []string{
			fmt.Sprint(gpu.Index), clean(gpu.Model), clean(string(gpu.Method)), number(gpu.Energy, "%.1f"), number(gpu.Bound, "%.1f"),
			number(gpu.AvgPower, "%.1f"), number(gpu.MaxPower, "%.1f"),
		})
	}
	total := sampler.Value{} // at most: the GPUs' peaks need not be at the same time
	if known {
		total = sampler.Some(peaks)
	}
	table(w, append(rows, []string{
		"all", "", "", number(r.Energy(), "%.1f"), number(r.Bound(), "%.1f"), number(r.TotalPower(), "%.1f"), number(total, "≤%.1f"),
	})...)
}

func printPerToken(w io.Writer, r window.Result) {
	if j, ok := r.PerOutputToken().Known(); ok {
		fmt.Fprintf(w, "  %.6f J ± %.6f per output token, %s J per token\n", j, r.BoundOf(r.PerOutputToken()).Or(0), number(r.PerTotalToken(), "%.6f"))
	}
}
