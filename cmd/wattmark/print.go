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
	printJudgement(w, "run "+clean(r.Run), r)
	if e, ok := r.Energy().Known(); ok {
		_, _ = fmt.Fprintf(w, "  %.1f J ± %.1f J over %.3f s on %d GPUs: %.1f W each\n",
			e, r.Bound().Or(0), r.Duration().Seconds(), len(r.GPUs), r.AvgPower().Or(0))
	}
	if j, ok := r.PerOutputToken().Known(); ok {
		_, _ = fmt.Fprintf(w, "  %.6f J ± %.6f per output token, %.6f J per token\n", j, r.BoundOf(r.PerOutputToken()).Or(0), r.PerTotalToken().Or(0))
	}
	printAggregate(w, r)
}

// printJudgement says whether a result holds, and each reason and note in words.
func printJudgement(w io.Writer, of string, r window.Result) {
	judgement := "not valid"
	if r.Valid() {
		judgement = "valid"
	}
	_, _ = fmt.Fprintf(w, "%s: %s\n", of, judgement)
	for _, reason := range r.AllReasons() {
		_, _ = fmt.Fprintf(w, "  %s\n", explained(string(reason), reason.Words()))
	}
	for _, note := range r.AllNotes() {
		_, _ = fmt.Fprintf(w, "  note %s\n", explained(string(note), note.Words()))
	}
}

// explained is a code and what it means; one of a newer daemon stands for itself.
func explained(code, words string) string {
	if words == code {
		return clean(code)
	}
	return code + ": " + words
}

// printAggregate says what became of the benchmark's aggregate, where one was named.
func printAggregate(w io.Writer, r window.Result) {
	if r.Aggregate.Status != "" && r.Aggregate.Status != "none" {
		status := r.Aggregate.Status
		if r.Aggregate.Detail != "" {
			status += ": " + r.Aggregate.Detail
		}
		_, _ = fmt.Fprintf(w, "  aggregate %s: %s\n", clean(r.Aggregate.Path), clean(status))
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
