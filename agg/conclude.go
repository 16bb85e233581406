package agg

import (
	"iter"
	"math"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// Conclude measures w and joins what the benchmark says about it: the benchmark's own start and end set the window
// where it has both (by the clock that the marks were told in), its counts are the denominators, its reasons come first. benchmark is nil where nothing is known.
func Conclude(src window.Source, w window.Window, limits window.Limits, benchmark *Benchmark) window.Result {
	if benchmark == nil {
		return window.Measure(src, w, limits)
	}
	if benchmark.HasWindow {
		w.Start, w.End = benchmark.Window()
		w.Start, w.End = w.Skew.Here(w.Start), w.Skew.Here(w.End)
	}
	result := window.Measure(src, w, limits)
	if reported, ok := benchmark.Duration.Known(); ok && !benchmark.HasWindow && durationDiffers(reported, result.Duration()) {
		result.Notes = append(result.Notes, window.DurationDiffers)
	}
	work := benchmark.Work
	result.Work = &work
	result.Reasons = append(append([]window.Reason{}, benchmark.Reasons...), result.Reasons...)
	return result
}

// durationDiffers holds the window to the duration that the benchmark reports, as InferenceX does.
func durationDiffers(reported float64, measured time.Duration) bool {
	return math.Abs(reported-measured.Seconds()) > max(0.5, 0.01*measured.Seconds())
}

// Window returns the benchmark's start and end, by the clock of the benchmark's host. It is for a benchmark that HasWindow.
func (b Benchmark) Window() (start, end sampler.Moment) {
	return sampler.UnixMoment(b.Start.Or(0)), sampler.UnixMoment(b.End.Or(0))
}

// Readings around a window that its file keeps, so that it can be measured again with the benchmark's own edges, and
// with the same answer.
const (
	keepBefore = 15 * time.Second
	keepAfter  = 5 * time.Second
)

// Kept yields the readings that Measure needs for w: what a window's file keeps.
func Kept(src window.Source, w window.Window) iter.Seq[sampler.Series] {
	return func(yield func(sampler.Series) bool) {
		for series := range src.Series(w.Start.Add(-keepBefore), w.End.Add(keepAfter)) {
			series.Readings = window.Useful(series.Readings, w.Start)
			if !yield(series) {
				return
			}
		}
	}
}
