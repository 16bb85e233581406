package window

import (
	"iter"
	"slices"
	"time"

	"wattmark/sampler"
)

// Window is what to measure: a span of time and what is expected of it.
type Window struct {
	Run        string
	Start, End sampler.Moment
	Expected   *int   // how many GPUs must be there; nil: not checked
	Role       string // of the GPUs in a disaggregated deployment: "prefill", "decode" or ""
	Skew       Skew   // between this node's clock, which Start and End are in, and the clock that they were told in
}

// Limits are the rules a measurement is held to.
type Limits struct {
	MaxGap         time.Duration // between readings; DefaultMaxGap if zero
	Interval       time.Duration // of the schedule that the readings follow; a second if zero
	AllowSimulated bool          // simulated GPUs give a valid result
	Method         Method        // measure by this method; empty: by the best that the GPU's sensors allow
}

// DefaultMaxGap is the benchmark's limit.
const DefaultMaxGap = 3 * time.Second

// gap reports that so many seconds without a reading are too many. Exactly MaxGap is not: differences of seconds are
// off by less than the nanosecond that clocks count.
func (lim Limits) gap(seconds float64) bool { return seconds > lim.MaxGap.Seconds()+1e-9 }

// Source is where readings come from: the sampler's memory, a recording, a slice.
type Source interface {
	// Series yields, for each GPU, the readings from the last at or before from to the first at or after to.
	Series(from, to sampler.Moment) iter.Seq[sampler.Series]
}

// Only returns the part of src that concerns the GPUs with these IDs; all of it if there are none.
func Only(src Source, ids ...string) Source {
	if len(ids) == 0 {
		return src
	}
	return only{src, ids}
}

type only struct {
	src Source
	ids []string
}

func (o only) Series(from, to sampler.Moment) iter.Seq[sampler.Series] {
	return func(yield func(sampler.Series) bool) {
		for series := range o.src.Series(from, to) {
			if slices.Contains(o.ids, series.Info.ID()) && !yield(series) {
				return
			}
		}
	}
}

// Recorded is a Source of readings that are at hand.
type Recorded []sampler.Series

// Series yields the recorded series, cut to the span.
func (r Recorded) Series(from, to sampler.Moment) iter.Seq[sampler.Series] {
	return func(yield func(sampler.Series) bool) {
		for _, series := range r {
			readings := series.Readings
			first, end := sampler.Span(len(readings), func(i int) sampler.Moment { return readings[i].At }, from, to)
			if !yield(sampler.Series{Info: series.Info, Readings: readings[first:end]}) {
				return
			}
		}
	}
}
