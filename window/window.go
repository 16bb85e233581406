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
}

// Limits are the rules a measurement is held to.
type Limits struct {
	MaxGap         time.Duration // between readings; DefaultMaxGap if zero
	AllowSimulated bool          // simulated GPUs give a valid result
	Method         Method        // measure by this method; empty: by the best that the GPU's sensors allow
}

// DefaultMaxGap is the benchmark's limit.
const DefaultMaxGap = 3 * time.Second

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
			first, end := span(series.Readings, from, to)
			if !yield(sampler.Series{Info: series.Info, Readings: series.Readings[first:end]}) {
				return
			}
		}
	}
}

// span returns the range of readings from the last at or before from to the first at or after to.
func span(readings []sampler.Reading, from, to sampler.Moment) (first, end int) {
	for i, r := range readings {
		if r.At.Sub(from) <= 0 {
			first = i
		}
		end = i + 1
		if r.At.Sub(to) >= 0 {
			break
		}
	}
	return first, max(first, end)
}
