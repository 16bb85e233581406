package window

import (
	"math"
	"time"

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
	power float64 // watts at x, as instantaneous as the sensors give it
	// instant: power is over some 25 ms; else it may be a longer mean.
	instant bool
}

func newTrace(series sampler.Series, start, end sampler.Moment, lim Limits) *trace {
	n := len(series.Readings)
	tr := &trace{
		info: series.Info, limits: lim, span: end.Sub(start).Seconds(), readings: series.Readings,
		counts: make([]sample, 0, n), powers: make([]sample, 0, n), times: make([]float64, 0, n),
	}
	for i, r := range series.Readings {
		s := sample{x: r.At.Sub(start).Seconds(), half: r.Call.Seconds() / 2}
		tr.times = append(tr.times, s.x)
		r, lies := series.Info.Believe(r)
		tr.rejected += lies
		average, instant := tr.drawn(r.PowerWatts, i), tr.drawn(r.InstantWatts, i)
		s.power = instant.Or(average.Or(math.NaN()))
		s.instant = instant.OK() || average.OK() && series.Info.PowerPeriod == 0
		if joules, ok := r.EnergyJoules.Known(); ok {
			s.y = joules
			tr.counts = append(tr.counts, s)
		}
		if watts, ok := average.Known(); ok {
			s.y = watts
			tr.powers = append(tr.powers, s)
		}
	}
	fillPower(tr.counts)
	return tr
}

// drawn returns the power of reading i, and counts it as rejected if it is nothing although the energy counter went on.
func (tr *trace) drawn(power sampler.Value, i int) sampler.Value {
	const load, around = 10, time.Second // W: less than any GPU idles at
	if watts, ok := power.Known(); !ok || watts > 0 {
		return power
	}
	first, last := i, i
	for first > 0 && tr.readings[i].At.Sub(tr.readings[first].At) < around {
		first--
	}
	for last+1 < len(tr.readings) && tr.readings[last].At.Sub(tr.readings[i].At) < around {
		last++
	}
	from, ok := tr.readings[first].EnergyJoules.Known()
	to, also := tr.readings[last].EnergyJoules.Known()
	if seconds := tr.readings[last].At.Sub(tr.readings[first].At).Seconds(); !ok || !also || to-from <= load*seconds {
		return power
	}
	tr.rejected++
	return sampler.Value{}
}

// most returns the power that the GPU may draw: its limit, else the most that it was seen to draw.
func (tr *trace) most() float64 {
	if watts, ok := tr.limit(); ok {
		return watts
	}
	watts := 0.0
	for _, s := range tr.powers {
		watts = max(watts, s.y)
	}
	return watts
}

// limit returns the GPU's power limit; a limit of 0 is how some drivers say that they know none.
func (tr *trace) limit() (watts float64, ok bool) {
	watts, ok = tr.info.PowerLimitWatts.Known()
	return watts, ok && watts > 0
}

// fillPower gives counter samples without a power reading the mean power of the second before, or of the first second
// where nothing is known before. Over less than a second it would show the counter's ticks.
func fillPower(counts []sample) {
	for i := range counts {
		if !math.IsNaN(counts[i].power) {
			continue
		}
		first, last := i, i
		for first > 0 && counts[last].x-counts[first].x < 1 {
			first--
		}
		for last+1 < len(counts) && counts[last].x-counts[first].x < 1 {
			last++
		}
		counts[i].power = 0
		if seconds := counts[last].x - counts[first].x; seconds > 0 {
			counts[i].power = max(0, (counts[last].y-counts[first].y)/seconds)
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
	gapVariance float64        // J², of stretches without readings
	dates       func() float64 // J², of readings whose times are not known well; nil: none
	brief       float64        // J: a window shorter than a refresh of power is not known better than this
	bracketed   bool
	alone       bool // the power just outside the window, on both sides, is less than half of that in it
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
	first, last := tr.around(samples)
	behind := samples[last].power
	for _, s := range samples[last:] { // a mean takes its time to fall
		behind = min(behind, s.power)
	}
	e.alone = max(samples[first].power, behind) < (e.end.joules-e.start.joules)/tr.span/2
	if tr.span < renewed {
		e.brief = tr.brief(samples, e.end.joules-e.start.joules)
	}
	return e
}

// brief returns by how much the energy of a window may be off that is shorter than a refresh of power: it was used at some
// power of those seen around it, which may all be from the other side of a step.
func (tr *trace) brief(samples []sample, joules float64) float64 {
	const around = 0.2 // s: a refresh, what it looks back, and the time to the next reading among a flood of marks
	lo, hi := math.Inf(1), 0.0
	for _, s := range samples {
		if s.x >= -around && s.x <= tr.span+around {
			lo, hi = min(lo, s.power), max(hi, s.power)
		}
	}
	return max(0, joules-lo*tr.span, hi*tr.span-joules)
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
	shared2 := square(e.start.shared) + square(e.end.shared)
	// A window is where the load was: two edges that guess err to the same side.
	if e.span < e.start.interval || e.alone && e.start.blind && e.end.blind {
		shared2 = square(e.start.shared + e.end.shared)
	}
	shared2 += e.gapVariance
	own2 := square(e.start.own) + square(e.end.own) + math.Abs(e.end.path-e.start.path)
	if e.dates != nil {
		own2 += e.dates()
	}
	return max(math.Sqrt(own2+shared2), e.brief/2), math.Sqrt(shared2)
}

func square(x float64) float64 { return x * x }
