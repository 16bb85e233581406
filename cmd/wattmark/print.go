package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"wattmark/sampler"
	"wattmark/window"
)

// printVerdict says in a few lines what a result is worth.
func printVerdict(w io.Writer, r window.Result) {
	_, _ = fmt.Fprintf(w, "run %s: %s\n", r.Run, verdict(r))
	if notes := join(r.AllNotes()); notes != "" {
		_, _ = fmt.Fprintf(w, "  notes: %s\n", notes)
	}
	if e, ok := r.Energy().Known(); ok {
		_, _ = fmt.Fprintf(w, "  %.1f J ± %.1f J over %.3f s on %d GPUs: %.1f W each\n",
			e, r.Bound().Or(0), r.Duration().Seconds(), len(r.GPUs), r.AvgPower().Or(0))
	}
	if j, ok := r.PerOutputToken().Known(); ok {
		_, _ = fmt.Fprintf(w, "  %.6f J ± %.6f per output token, %.6f J per token\n", j, r.BoundOf(r.PerOutputToken()).Or(0), r.PerTotalToken().Or(0))
	}
	if r.Aggregate.Status != "" && r.Aggregate.Status != "none" {
		status := r.Aggregate.Status
		if r.Aggregate.Detail != "" {
			status += ": " + r.Aggregate.Detail
		}
		_, _ = fmt.Fprintf(w, "  aggregate %s: %s\n", r.Aggregate.Path, status)
	}
}

func verdict(r window.Result) string {
	if r.Valid() {
		return "valid"
	}
	return "not valid: " + join(r.AllReasons())
}

func join[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, word := range list {
		words[i] = string(word)
	}
	return strings.Join(words, ", ")
}

// table writes rows in aligned columns.
func table(w io.Writer, rows ...[]string) {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range rows {
		_, _ = fmt.Fprintln(out, strings.Join(row, "\t")+"\t")
	}
	_ = out.Flush()
}

// number prints a value, "–" if it is missing.
func number(v sampler.Value, format string) string {
	x, ok := v.Known()
	if !ok {
		return "–"
	}
	return fmt.Sprintf(format, x)
}
