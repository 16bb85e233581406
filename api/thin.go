package api

import (
	"cmp"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// A report's chart is 900 points wide: of a long window it gets the lowest and the highest power of each of so many
// stretches, and what is around the edges. A day of eight GPUs would have 50 MB of readings.
const (
	stretches  = 2000
	aroundEdge = 5 * time.Second
)

// thinner returns what thins the series of a long window, and limits by which its stretches are no gaps.
func thinner(r window.Result, limits window.Limits) (thin func(sampler.Series) sampler.Series, drawn window.Limits) {
	length := r.Duration() / stretches
	if length <= 5*cmp.Or(limits.Interval, time.Second) {
		return func(s sampler.Series) sampler.Series { return s }, limits
	}
	drawn = limits
	drawn.MaxGap = max(cmp.Or(drawn.MaxGap, window.DefaultMaxGap), 2*length)
	return func(s sampler.Series) sampler.Series {
		s.Readings = thinned(s.Readings, r, length)
		return s
	}, drawn
}

func thinned(readings []sampler.Reading, r window.Result, length time.Duration) []sampler.Reading {
	near := func(at sampler.Moment) bool {
		return at.Sub(r.Start).Abs() <= aroundEdge || at.Sub(r.End).Abs() <= aroundEdge
	}
	var kept []sampler.Reading
	for first := 0; first < len(readings); {
		lowest, highest, next := first, first, first
		for ; next < len(readings) && readings[next].At.Sub(readings[first].At) < length; next++ {
			if near(readings[next].At) {
				break
			}
			if watts := readings[next].Power().Or(0); watts < readings[lowest].Power().Or(0) {
				lowest = next
			} else if watts > readings[highest].Power().Or(0) {
				highest = next
			}
		}
		if next == first { // at an edge
			kept = append(kept, readings[first])
			first++
			continue
		}
		kept = append(kept, readings[min(lowest, highest)])
		if lowest != highest {
			kept = append(kept, readings[max(lowest, highest)])
		}
		first = next
	}
	return kept
}
