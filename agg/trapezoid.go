package agg

import (
	"math"
	"sort"

	"wattmark/sampler"
	"wattmark/window"
)

// Trapezoid measures one GPU between two Unix times as InferenceX's script does, in the script's own arithmetic: times
// are float64 seconds since 1970. window.Measure agrees to a nanosecond of power (the tests hold both together), which
// is not enough for the same last digit after rounding: 5.6 kW times 1 ns is 0.6 % of the third decimal of a joule.
//
// unix is ascending, without repetitions, and belongs to watts. The reason is empty if nothing speaks against the
// energy; energy and the longest gap in seconds are missing if the readings do not enclose the window.
func Trapezoid(unix, watts []float64, start, end, maxGap float64) (energy, gap sampler.Value, reason window.Reason) {
	n := len(unix)
	switch {
	case n < 2:
		return energy, gap, window.InsufficientSamples
	case unix[0] > start || unix[n-1] < end:
		return energy, gap, window.NotBracketed
	}
	first := sort.Search(n, func(i int) bool { return unix[i] > start }) - 1
	last := sort.SearchFloat64s(unix, end)
	longest, joules := 0.0, 0.0
	at, power := start, powerAt(unix, watts, first, start)
	for i := first; i < last; i++ {
		longest = max(longest, unix[i+1]-unix[i])
		t, p := unix[i+1], watts[i+1]
		if t >= end {
			t, p = end, powerAt(unix, watts, i, end)
		}
		if t > at {
			joules += 0.5 * (power + p) * (t - at)
			at, power = t, p
		}
	}
	if longest > maxGap {
		reason = window.GapExceeded
	}
	return sampler.Some(joules), sampler.Some(longest), reason
}

// powerAt returns the power at t, on a straight line between readings i and i+1.
func powerAt(unix, watts []float64, i int, t float64) float64 {
	const hit = 1e-9 // seconds from a reading at which it is taken as it is
	switch {
	case math.Abs(unix[i]-t) <= hit:
		return watts[i]
	case i+1 == len(unix):
		return watts[i]
	case math.Abs(unix[i+1]-t) <= hit:
		return watts[i+1]
	}
	return watts[i] + (watts[i+1]-watts[i])*(t-unix[i])/(unix[i+1]-unix[i])
}
