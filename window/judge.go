package window

import (
	"math"

	"wattmark/sampler"
)

// judge writes the estimate into the GPU's result, with the reasons that speak against it.
func (e estimate) judge(gpu *GPU, lim Limits) {
	gpu.Method = e.method
	gpu.Energy = e.energy()
	if gpu.Energy.OK() {
		all, shared := e.sigma()
		// A GPU uses something between nothing and its limit: what windows of milliseconds are known to.
		most := math.Inf(1)
		if limit, ok := gpu.PowerLimit.Known(); ok && limit > 0 {
			most = max(overLimit*limit*e.span, gpu.Energy.Or(0)) // of a few ms the energy itself may be more than there can be
		}
		gpu.Bound, gpu.SharedBound = sampler.Some(min(2*all, most)), sampler.Some(min(2*shared, most))
		gpu.AvgPower = divide(gpu.Energy, e.span)
	}
	reason := e.reason(lim)
	if reason != "" {
		gpu.Reasons = add(gpu.Reasons, reason)
	}
	if reason == InsufficientSamples || reason == NotBracketed {
		return
	}

	longest, missing := e.gaps(lim)
	gpu.MaxGapS = sampler.Some(longest)
	gpu.Coverage = sampler.Some(max(0, 1-missing/e.span))
	if reason == "" && lim.gap(longest) {
		gpu.Notes = add(gpu.Notes, GapBridged)
	}
	if e.method != Trapezoid && (e.start.interpolated || e.end.interpolated) {
		gpu.Notes = add(gpu.Notes, EdgeInterpolated)
	}
}

// reason returns what speaks against publishing the estimate, "" if nothing does.
func (e estimate) reason(lim Limits) Reason {
	if len(e.samples) < 2 {
		return InsufficientSamples
	}
	if !e.bracketed {
		return NotBracketed
	}
	longest, _ := e.gaps(lim)
	counted := e.method == Counter && !e.start.inGap(lim) && !e.end.inGap(lim) // the counter went on in the gap
	if lim.gap(longest) && !counted {
		return GapExceeded
	}
	return ""
}

// inGap reports that the edge lies in a gap, away from the readings at its ends.
func (e edge) inGap(lim Limits) bool { return lim.gap(e.interval) && e.interpolated }

// gaps returns the longest time between two readings, from the last at or before the window to the first at or after
// it, and how many seconds of the window lie in gaps.
func (e estimate) gaps(lim Limits) (longest, missing float64) {
	for i := 1; i < len(e.samples); i++ {
		from, to := e.samples[i-1].x, e.samples[i].x
		if to <= 0 || from >= e.span {
			continue
		}
		longest = max(longest, to-from)
		if lim.gap(to - from) {
			missing += min(to, e.span) - max(from, 0)
		}
	}
	return longest, missing
}

// describe adds what else the readings say about the window.
func (tr *trace) describe(gpu *GPU, used estimate) {
	for _, s := range used.samples {
		if s.x >= 0 && s.x <= tr.span {
			gpu.Samples++
		}
	}
	gpu.Tolerance = tr.tolerance(gpu.Energy)
	for _, s := range tr.powers {
		if s.x >= 0 && s.x <= tr.span && s.y >= gpu.MaxPower.Or(0) {
			gpu.MaxPower = sampler.Some(s.y)
		}
	}
	throttled, known := 0.0, false
	for i, r := range tr.readings {
		x := tr.times[i]
		if x < 0 || x > tr.span {
			continue
		}
		gpu.DriverCallMax = sampler.Some(max(r.Call.Seconds(), gpu.DriverCallMax.Or(0)))
		if t, ok := r.TemperatureC.Value().Known(); ok {
			gpu.MaxTemperature = sampler.Some(max(t, gpu.MaxTemperature.Or(t)))
		}
		if r.Stretched {
			gpu.Notes = add(gpu.Notes, IntervalStretched)
		}
		known = known || r.ThrottleKnown || r.Throttle != 0
		if r.Throttle != 0 && i > 0 {
			throttled += x - max(0, tr.times[i-1])
		}
	}
	if known {
		gpu.ThrottledS = sampler.Some(throttled)
	}
	if throttled > 0 {
		gpu.Notes = add(gpu.Notes, Throttled)
	}
}

// tolerance is the sensor's systematic error in joules: 5 % (arXiv 2312.02741) or 5 W (nvidia-smi's help), whichever
// is more, and what a sensor that looks at a part of the time only can miss of a load that repeats (alias term).
func (tr *trace) tolerance(energy sampler.Value) sampler.Value {
	joules, ok := energy.Known()
	if !ok {
		return sampler.Value{}
	}
	const seen = 0.25 // of the time, as measured on A100 and H100; whether the counter sees all of it is not known
	var inside []float64
	for _, s := range tr.counts {
		if s.x >= 0 && s.x <= tr.span {
			inside = append(inside, s.power)
		}
	}
	sigma := deviation(inside)
	alias := math.Sqrt((1 - seen) * square(sigma) * tr.info.CounterPeriod.Seconds() * tr.span)
	return sampler.Some(max(0.05*joules, 5*tr.span) + alias)
}
