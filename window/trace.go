package window

import (
	"math"

	"wattmark/sampler"
)

// trace is one GPU's readings with time as seconds since the window's start, which is 0; its end is span.
type trace struct {
	info     sampler.Info
	limits   Limits
	span     float64
	counts   []sample // of the energy counter
	powers   []sample // of Reading.PowerWatts
	rejected int      // power readings that no GPU can have
	readings []sampler.Reading
	times    []float64 // of the readings
}

// sample is one reading of one quantity.
type sample struct {
	x     float64 // seconds
	y     float64 // joules or watts
	half  float64 // half the driver call in seconds: x is that uncertain
	power float64 // watts at x, as instantaneous as the sensors give it; NaN where there is none
}

func newTrace(series sampler.Series, start, end sampler.Moment, lim Limits) *trace {
	tr := &trace{info: series.Info, limits: lim, span: end.Sub(start).Seconds(), readings: series.Readings}
	for _, r := range series.Readings {
		s := sample{x: r.At.Sub(start).Seconds(), half: r.Call.Seconds() / 2, power: math.NaN()}
		tr.times = append(tr.times, s.x)
		if watts, ok := r.Power().Known(); ok && tr.plausible(watts) {
			s.power = watts
		}
		if joules, ok := r.EnergyJoules.Known(); ok {
			s.y = joules
			tr.counts = append(tr.counts, s)
		}
		if watts, ok := r.PowerWatts.Known(); ok {
			if !tr.plausible(watts) {
				tr.rejected++
				continue
			}
			s.y = watts
			tr.powers = append(tr.powers, s)
		}
	}
	fillPower(tr.counts)
	return tr
}

// plausible reports that a GPU can draw so much: not less than nothing and not more than twice its limit. (Power
// above the limit is ordinary for some milliseconds; readings of megawatts are on record.)
func (tr *trace) plausible(watts float64) bool {
	const most = 20e3 // where the limit is not known: above any module
	return watts >= 0 && watts <= 2*tr.info.PowerLimitWatts.Or(most/2)
}

// fillPower gives counter samples without a power reading the mean power since the sample before.
func fillPower(counts []sample) {
	for i := range counts {
		if !math.IsNaN(counts[i].power) {
			continue
		}
		counts[i].power = 0
		if i > 0 && counts[i].x > counts[i-1].x {
			counts[i].power = max(0, (counts[i].y-counts[i-1].y)/(counts[i].x-counts[i-1].x))
		}
	}
}

// seen reports that there is any reading near the window.
func (tr *trace) seen() bool {
	near := tr.limits.MaxGap.Seconds()
	for _, list := range [][]sample{tr.counts, tr.powers} {
		for _, s := range list {
			if s.x >= -near && s.x <= tr.span+near {
				return true
			}
		}
	}
	return false
}

// estimate is what one method makes of the trace.
type estimate struct {
	method      Method
	samples     []sample // the readings it used, of any time
	span        float64
	start, end  edge
	gapVariance float64 // J², of stretches without readings
	bracketed   bool
}

// estimate evaluates the curve at both edges of the window.
func (tr *trace) estimate(method Method, samples []sample, c curve) estimate {
	e := estimate{method: method, samples: samples, span: tr.span}
	n := len(samples)
	e.bracketed = n > 0 && samples[0].x <= 0 && samples[n-1].x >= tr.span
	if n < 2 || !e.bracketed {
		return e
	}
	e.start, e.end = c.at(0), c.at(tr.span)
	return e
}

// energy is E(end) − E(start): never negative, for E never falls.
func (e estimate) energy() sampler.Value {
	if !e.start.ok || !e.end.ok {
		return sampler.Value{}
	}
	return sampler.Some(max(0, e.end.joules-e.start.joules))
}

// sigma returns the standard deviations of the energy: all of it, and the part that all GPUs share.
func (e estimate) sigma() (all, shared float64) {
	shared2 := square(e.start.shared) + square(e.end.shared) + e.gapVariance
	own2 := square(e.start.own) + square(e.end.own)
	return math.Sqrt(own2 + shared2), math.Sqrt(shared2)
}

func square(x float64) float64 { return x * x }
