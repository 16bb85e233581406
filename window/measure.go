package window

import (
	"math"
	"slices"
	"sort"
	"time"

	"wattmark/sampler"
)

// lookBack is how far back of a reading others say how steady power is.
const lookBack = 1900 * time.Millisecond // between two multiples of any usual interval

// Readings around the window that Measure looks at: before it, for the power that the first edge starts from, enough
// that E at a moment is the same in every window with an edge there; after it, for the counter tick that dates the last
// edge.
const (
	before = 8 * time.Second         // what spread looks back on, from the reading before the edge
	enough = 100                     // readings before the edge that say as much, if they go back that far
	after  = 2500 * time.Millisecond // one interval to the reading after the edge, a tick, and soon
)

// Measure returns the energy that each GPU of src used in w, how well it is known, and what speaks against publishing
// it. It is pure: the same readings give the same answer.
func Measure(src Source, w Window, lim Limits) Result {
	if lim.MaxGap == 0 {
		lim.MaxGap = DefaultMaxGap
	}
	r := Result{Run: w.Run, Start: w.Start, End: w.End, Expected: w.Expected, Skew: w.Skew}
	var power tally
	for series := range src.Series(w.Start.Add(-before), w.End.Add(after)) {
		// The first GPU with readings fixes the edges on the monotonic clock, so that all measure the same span.
		r.Start, r.End = onReadings(r.Start, series.Readings), onReadings(r.End, series.Readings)
		if r.Duration() <= 0 {
			break
		}
		series.Readings = Useful(series.Readings, r.Start)
		gpu := measureGPU(series, r.Start, r.End, lim)
		gpu.Role = w.Role
		gpu.misplaced(w.Skew.Bound.Or(0))
		if clockStepped(series.Readings, r.Start, r.End) {
			r.Notes = add(r.Notes, ClockStep)
		}
		if call, ok := gpu.DriverCallMax.Known(); ok {
			r.Cost.DriverCallMax = sampler.Some(max(call, r.Cost.DriverCallMax.Or(0)))
		}
		r.GPUs = append(r.GPUs, gpu)
		power.add(series, r.Start, r.End, lim)
		r.Stats.Throttled.add(series.Readings, r.Start, r.End)
	}
	switch {
	case r.Duration() <= 0:
		r.Reasons, r.GPUs = add(r.Reasons, InvalidBenchmarkWindow), nil
		return r
	case len(r.GPUs) == 0:
		r.Reasons = add(r.Reasons, NoUsableSamples)
	}
	power.describe(&r.Stats, lim)
	if bound, ok := r.Bound().Known(); ok && bound > 0.05*r.Energy().Or(0) {
		r.Notes = add(r.Notes, WideBound)
	}
	if w.Expected != nil {
		r = r.Expecting(*w.Expected)
	}
	if w.Skew.uncertain(lim.Interval) {
		r.Reasons = add(r.Reasons, ClockOffsetUncertain)
	}
	if r.Simulated() && !lim.AllowSimulated {
		r.Reasons = add(r.Reasons, SimulatedPower)
	}
	return r
}

// Expecting returns the result held to a number of GPUs.
func (r Result) Expecting(gpus int) Result {
	r.Expected = &gpus
	switch {
	case gpus <= 0:
		r.Reasons = add(slices.Clone(r.Reasons), InvalidExpectedGPUCount)
	case gpus != r.Observed():
		r.Reasons = add(slices.Clone(r.Reasons), ExpectedGPUCountMismatch)
	}
	return r
}

// Observed is how many GPUs gave any reading.
func (r Result) Observed() int {
	n := 0
	for _, gpu := range r.GPUs {
		if !slices.Contains(gpu.Reasons, NoUsableSamples) {
			n++
		}
	}
	return n
}

// onReadings gives a moment that has wall time only the monotonic time at which the readings' wall clock showed it.
func onReadings(m sampler.Moment, readings []sampler.Reading) sampler.Moment {
	return m.Among(len(readings), func(i int) sampler.Moment { return readings[i].At })
}

// Useful returns the readings without those at their beginning that tell nothing of a window from start on: among a flood
// of marks there are hundreds before it, and each costs as much as one inside.
func Useful(readings []sampler.Reading, start sampler.Moment) []sampler.Reading {
	start = onReadings(start, readings)
	edge := sort.Search(len(readings), func(i int) bool { return readings[i].At.Sub(start) > 0 })
	first := max(0, edge-enough)
	for first > 0 && readings[edge-1].At.Sub(readings[first].At) < 2*lookBack {
		first--
	}
	return readings[first:]
}

// clockStepped reports that the wall clock was set between start and end: it moved against the monotonic clock by
// more than slewing explains.
func clockStepped(readings []sampler.Reading, start, end sampler.Moment) bool {
	const slew, jitter = 1e-3, 50 * time.Millisecond // NTP slews by at most 500 ppm
	last := start
	stepped := func(m sampler.Moment) bool {
		if m.MonoNano == 0 {
			return false
		}
		mono, wall := m.MonoNano-last.MonoNano, m.UnixNano-last.UnixNano
		known := last.MonoNano != 0
		last = m
		return known && math.Abs(float64(wall-mono)) > slew*float64(mono)+float64(jitter)
	}
	for _, r := range readings {
		if r.At.Sub(start) >= 0 && r.At.Sub(end) <= 0 && stepped(r.At) {
			return true
		}
	}
	return stepped(end)
}

// measureGPU measures one GPU between start and end.
func measureGPU(series sampler.Series, start, end sampler.Moment, lim Limits) GPU {
	info := series.Info
	gpu := GPU{
		Host: info.Host, UUID: info.UUID, BusID: info.BusID, Index: info.Index, Model: info.Model,
		Vendor: info.Vendor, Scope: info.Scope, PowerLimit: info.PowerLimitWatts, PowerSource: info.PowerSource,
		Simulated: info.Simulated, Reasons: []Reason{}, Notes: []Note{},
	}
	tr := newTrace(series, start, end, lim)
	if !tr.seen() {
		gpu.Reasons = add(gpu.Reasons, NoUsableSamples)
		gpu.Method = powerMethod(info)
		return gpu
	}
	if tr.rejected > 0 {
		gpu.Rejected = tr.rejected
		gpu.Notes = add(gpu.Notes, PowerRejected)
	}

	byPower := tr.byPower(powerMethod(info))
	byCounter := tr.byCounter()
	cause, rejected := tr.gate(byCounter, byPower)
	gpu.PowerEnergy, gpu.CounterEnergy = byPower.energy(), byCounter.energy()
	if c, p := gpu.CounterEnergy.Or(0), gpu.PowerEnergy.Or(0); gpu.CounterEnergy.OK() && p > 0 {
		gpu.Crosscheck = sampler.Some(c / p)
	}

	best := byCounter
	switch {
	case lim.Method != "" && lim.Method != Counter:
		best = tr.byPower(lim.Method)
	case rejected:
		gpu.Notes = add(gpu.Notes, CounterRejected, cause)
		best = byPower.doubted(cause, byCounter)
	case info.HasCounter && byCounter.reason(lim) != "" && byPower.reason(lim) == "":
		gpu.Notes = add(gpu.Notes, CounterMissing)
		best = byPower
	case !info.HasCounter:
		best = byPower
	}
	best.judge(&gpu, lim)
	tr.describe(&gpu, best)
	return gpu
}

// powerMethod returns the power method that suits the GPU's sensor.
func powerMethod(info sampler.Info) Method {
	if info.PowerPeriod > 0 {
		return Boxcar
	}
	return Trapezoid
}
