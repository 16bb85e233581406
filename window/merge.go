package window

import (
	"cmp"
	"slices"
	"time"
)

// SameWindow is how far apart the edges of two nodes' windows may lie: a tenth of the sampling interval.
const SameWindow = 100 * time.Millisecond

// Merge returns the result of several nodes together. It is associative and commutative. Energies add up; a GPU that
// occurs twice, or windows of different times, are reasons.
func Merge(results ...Result) Result {
	if len(results) == 0 {
		return Result{Reasons: []Reason{NoUsableSamples}}
	}
	m := results[0]
	m.GPUs = slices.Clone(m.GPUs)
	m.Reasons, m.Notes = slices.Clone(m.Reasons), slices.Clone(m.Notes)
	for _, r := range results[1:] {
		m = merge(m, r)
	}
	slices.Sort(m.Reasons)
	slices.Sort(m.Notes)
	slices.SortStableFunc(m.GPUs, func(a, b GPU) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Index, b.Index), cmp.Compare(a.ID(), b.ID()))
	})
	for i := 1; i < len(m.GPUs); i++ {
		if slices.ContainsFunc(m.GPUs[:i], func(g GPU) bool { return g.ID() == m.GPUs[i].ID() }) {
			m.Reasons = add(m.Reasons, DuplicateGPU)
		}
	}
	return m
}

func merge(a, b Result) Result {
	a.Reasons, a.Notes = add(a.Reasons, b.Reasons...), add(a.Notes, b.Notes...)
	a.GPUs = append(a.GPUs, b.GPUs...)
	// Nodes have clocks of their own: only wall time compares.
	if apart(a.Start.UnixNano, b.Start.UnixNano) || apart(a.End.UnixNano, b.End.UnixNano) {
		a.Reasons = add(a.Reasons, DifferentWindows)
	}
	a.Start.MonoNano, a.End.MonoNano = 0, 0
	a.Start.UnixNano = min(a.Start.UnixNano, b.Start.UnixNano)
	a.End.UnixNano = max(a.End.UnixNano, b.End.UnixNano)
	switch {
	case a.Expected == nil || b.Expected == nil:
		a.Expected = nil
	default:
		sum := *a.Expected + *b.Expected
		a.Expected = &sum
	}
	a.Run = min(a.Run, b.Run)
	if b.Backend != a.Backend {
		a.Backend = "mixed"
	}
	if a.Work == nil {
		a.Work = b.Work
	}
	a.Cost = Cost{} // of a daemon, not of a fleet
	a.Aggregate = Aggregate{}
	if b.Versions != a.Versions {
		a.Versions = Versions{Wattmark: max(a.Versions.Wattmark, b.Versions.Wattmark)}
	}
	return a
}

func apart(a, b int64) bool {
	return a-b > int64(SameWindow) || b-a > int64(SameWindow)
}
