package window

import (
	"math"
	"slices"
	"time"

	"wattmark/sampler"
)

// Readings around the window that Measure looks at: before it, for the power that the first edge starts from; after
// it, for the counter tick that dates the last edge.
const (
	before = 5 * time.Second
	after  = 150 * time.Millisecond
)

// Measure returns the energy that each GPU of src used in w, how well it is known, and what speaks against publishing
// it. It is pure: the same readings give the same answer.
func Measure(src Source, w Window, lim Limits) Result {
	if lim.MaxGap == 0 {
		lim.MaxGap = DefaultMaxGap
	}
	r := Result{Run: w.Run, Start: w.Start, End: w.End, Expected: w.Expected}
	if w.End.Sub(w.Start) <= 0 {
		r.Reasons = add(r.Reasons, InvalidBenchmarkWindow)
		return r
	}
	observed := 0
	for series := range src.Series(w.Start.Add(-before), w.End.Add(after)) {
		// The first GPU with readings fixes the edges on the monotonic clock, so that all measure the same span.
		r.Start, r.End = onReadings(r.Start, series.Readings), onReadings(r.End, series.Readings)
		gpu := measureGPU(series, r.Start, r.End, lim)
		gpu.Role = w.Role
		if !slices.Contains(gpu.Reasons, NoUsableSamples) {
			observed++
		}
		if clockStepped(series.Readings, r.Start, r.End) {
			r.Notes = add(r.Notes, ClockStep)
		}
		r.GPUs = append(r.GPUs, gpu)
	}
	if len(r.GPUs) == 0 {
		r.Reasons = add(r.Reasons, NoUsableSamples)
	}
	switch {
	case w.Expected == nil:
	case *w.Expected <= 0:
		r.Reasons = add(r.Reasons, InvalidExpectedGPUCount)
	case *w.Expected != observed:
		r.Reasons = add(r.Reasons, ExpectedGPUCountMismatch)
	}
	if r.Simulated() && !lim.AllowSimulated {
		r.Reasons = add(r.Reasons, SimulatedPower)
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
// Where the wall clock was set back and shows a time twice, the later one counts.
func onReadings(m sampler.Moment, readings []sampler.Reading) sampler.Moment {
	if m.MonoNano != 0 || len(readings) == 0 {
		return m
	}
	nearest := readings[0].At
	for _, r := range slices.Backward(readings) {
		if r.At.UnixNano <= m.UnixNano {
			nearest = r.At
			break
		}
	}
	if nearest.MonoNano != 0 {
		m.MonoNano = nearest.MonoNano + m.UnixNano - nearest.UnixNano
	}
	return m
}

// clockStepped reports that the wall clock was set between start and end: it moved against the monotonic clock by
// more than slewing explains.
func clockStepped(readings []sampler.Reading, start, end sampler.Moment) bool {
	const slew, jitter = 1e-3, 50 * time.Millisecond // NTP slews by at most 500 ppm
	var last sampler.Moment
	for _, r := range readings {
		if r.At.MonoNano == 0 || r.At.Sub(start) < 0 || r.At.Sub(end) > 0 {
			continue
		}
		if last.MonoNano != 0 {
			mono := r.At.MonoNano - last.MonoNano
			step := r.At.UnixNano - last.UnixNano - mono
			if math.Abs(float64(step)) > slew*float64(mono)+float64(jitter) {
				return true
			}
		}
		last = r.At
	}
	return false
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
		gpu.Notes = add(gpu.Notes, PowerRejected)
	}

	byPower := tr.byPower(powerMethod(info))
	byCounter := tr.byCounter()
	cause, rejected := tr.gate(byPower)
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
		best = byPower
	case info.HasCounter && !byCounter.bracketed && byPower.bracketed:
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
