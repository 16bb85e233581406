package window

import (
	"cmp"
	"slices"
	"time"
)

// SameWindow is how far apart the edges of two nodes' windows may lie: a tenth of the sampling interval.
const SameWindow = 100 * time.Millisecond

// Merge returns the result of several nodes together, in whatever order they come. Energies add up; a GPU that occurs
// twice, or windows of different times, are reasons. It is associative as long as all windows lie within SameWindow.
func Merge(results ...Result) Result {
	if len(results) == 0 {
		return Result{Reasons: []Reason{NoUsableSamples}}
	}
	m := results[0].alone()
	for _, r := range results[1:] {
		m = merge(m, r.alone())
	}
	// Nodes have clocks of their own: only wall time compares, that of the clock in which the marks were told.
	start := func(r Result) int64 { return r.Skew.There(r.Start).UnixNano }
	end := func(r Result) int64 { return r.Skew.There(r.End).UnixNano }
	if slices.ContainsFunc(results, func(r Result) bool { return r.Skew.Bound.Or(0) > SameWindow.Seconds() }) {
		m.Reasons = add(m.Reasons, ClockOffsetUncertain) // found after the node had judged its window
	}
	if apart(results, start) || apart(results, end) {
		m.Reasons = add(m.Reasons, DifferentWindows)
	}
	slices.SortStableFunc(m.GPUs, func(a, b GPU) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Index, b.Index), cmp.Compare(a.ID(), b.ID()))
	})
	ids := map[string]bool{}
	for _, gpu := range m.GPUs {
		ids[gpu.ID()] = true
	}
	if len(ids) < len(m.GPUs) {
		m.Reasons = add(m.Reasons, DuplicateGPU)
	}
	sortNodes(m.Nodes)
	if clocksUnknown(m.Nodes) {
		m.Notes = add(m.Notes, ClockOffsetUnknown)
	}
	slices.Sort(m.Reasons)
	slices.Sort(m.Notes)
	return m
}

func merge(a, b Result) Result {
	a.Reasons, a.Notes = add(a.Reasons, b.Reasons...), add(a.Notes, b.Notes...)
	a.GPUs, a.Nodes = append(a.GPUs, b.GPUs...), append(a.Nodes, b.Nodes...)
	a.Interruptions = slices.SortedFunc(slices.Values(slices.Concat(a.Interruptions, b.Interruptions)),
		func(x, y Interruption) int {
			return cmp.Or(cmp.Compare(x.StartUnix, y.StartUnix), cmp.Compare(x.EndUnix, y.EndUnix), cmp.Compare(x.GapS, y.GapS))
		})
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
	switch {
	case a.Work == nil:
		a.Work = b.Work
	case b.Work != nil && !a.Work.equal(*b.Work):
		a.Work = &Work{} // one benchmark drives all nodes; two that differ say nothing of the whole
	}
	a.Cost = Cost{} // of a daemon, not of a fleet
	a.Stats, a.Served = Stats{}, nil
	a.Aggregate = Aggregate{}
	if b.Versions != a.Versions {
		a.Versions = Versions{Wattmark: max(a.Versions.Wattmark, b.Versions.Wattmark)}
	}
	return a
}

// apart reports that an edge of the results differs by more than SameWindow.
func apart(results []Result, edge func(Result) int64) bool {
	first, last := edge(results[0]), edge(results[0])
	for _, r := range results {
		first, last = min(first, edge(r)), max(last, edge(r))
	}
	return last-first > int64(SameWindow)
}
