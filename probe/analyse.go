package probe

import (
	"slices"

	"wattmark/sampler"
)

// analyse makes the report of what was read. It is pure.
func analyse(info sampler.Info, rec record) Report {
	all := slices.Concat(rec.readings[slow], rec.readings[fast], rec.readings[medium])
	r := Report{Complete: rec.complete, Reads: reads(all, rec), Rates: []Rate{}, Buffer: bufferOf(rec.drains)}
	r.Counter.Calibration = calibration(info, rec)
	if len(all) > 0 {
		a := analysis{info: info, origin: all[0].At, rec: rec}
		r.Seconds = all[len(all)-1].At.Sub(all[0].At).Seconds()
		a.report(&r)
	}
	r.Verdict = verdict(info, r)
	return r
}

// reads is about the driver calls.
func reads(all []sampler.Reading, rec record) Reads {
	calls := make([]float64, len(all))
	for i, r := range all {
		calls[i] = r.Call.Seconds()
	}
	out := Reads{
		Good: len(all), Failed: rec.failed,
		CallP50: sampler.Some(quantile(calls, 0.5)), CallP99: sampler.Some(quantile(calls, 0.99)), CallMax: sampler.Some(quantile(calls, 1)),
	}
	if rec.err != nil {
		out.Error = rec.err.Error()
	}
	return out
}

// calibration is what the daemon makes of the last slow reading and the fast ones.
func calibration(info sampler.Info, rec record) sampler.Calibration {
	slowly, quickly := rec.readings[slow], rec.readings[fast]
	if !info.HasCounter || info.CounterPeriod == 0 || len(slowly) == 0 || len(quickly) == 0 {
		return sampler.Calibration{}
	}
	return sampler.CalibrationOf(slices.Concat(slowly[len(slowly)-1:], quickly))
}

// analysis is the work on one record.
type analysis struct {
	info   sampler.Info
	origin sampler.Moment
	rec    record
}

// of returns the values of a quantity at one pace.
func (a analysis) of(pace int, quantity func(sampler.Reading) sampler.Value) []point {
	return points(a.rec.readings[pace], a.origin, quantity)
}

func energyOf(r sampler.Reading) sampler.Value  { return r.EnergyJoules }
func powerOf(r sampler.Reading) sampler.Value   { return r.PowerWatts }
func instantOf(r sampler.Reading) sampler.Value { return r.InstantWatts }

func (a analysis) report(r *Report) {
	var counts [phases][]point
	for pace := range phases {
		counts[pace] = a.of(pace, energyOf)
	}
	every := slices.Concat(counts[slow], counts[fast], counts[medium])
	g, why := findGrid(counts[fast], counts[medium])
	r.Counter.Steps, r.Counter.Quantum = g.steps(why), quantum(values(every))
	power, powerGrid := a.field(powerOf)
	instant, instantGrid := a.field(instantOf)
	r.Power, r.Instant = power, instant

	usable := true
	switch {
	case len(every) == 0:
		r.Counter.Note, usable = noteNone, false
	case falls(every):
		r.Counter.Note, usable = noteFell, false
	case still(every, g.period):
		r.Counter.Note, usable = noteFrozen, false
	}
	if !usable {
		const none = "not determinable without a counter that counts"
		r.Counter.Power.Note, r.Counter.Polling.Note, r.Counter.Integral.Note = none, none, none
		r.Power.Shape.Note, r.Instant.Shape.Note = none, none
		return
	}
	rates := a.rates(counts, g, powerGrid)
	r.Rates = rates
	r.Counter.Polling = dependence(rates[0], rates[2])
	r.Counter.Power = agreement(rates[:2])
	if d := r.Counter.Polling.Depends; d != nil && *d {
		const spoiled = "not determinable: the counter depends on how often it is read"
		r.Counter.Power = agreement(rates[:1]) // as the daemon reads it
		r.Counter.Integral.Note, r.Power.Shape.Note, r.Instant.Shape.Note = spoiled, spoiled, spoiled
		return
	}
	c, windows, finest := newCurve(slices.Concat(counts[fast], counts[medium]), g), windows(), g.period
	if g.period == 0 { // it steps at every read: the fast ones alone show short windows
		c, finest = newCurve(counts[fast], g), 2*plan(Default)[fast].every.Seconds()
		windows = shorter(windows, c.seconds()/3)
	}
	r.Power.Shape = explain(a.refreshed(powerOf, powerGrid), c, windows, finest)
	r.Instant.Shape = explain(a.refreshed(instantOf, instantGrid), c, windows, finest)
	glimpse, glimpseGrid := instantOf, instantGrid
	if a.info.PowerSource == "instant" {
		glimpse, glimpseGrid = powerOf, powerGrid
	}
	r.Counter.Integral = integral(c, g, slices.Concat(a.of(fast, glimpse), a.of(medium, glimpse)), values(a.refreshed(glimpse, glimpseGrid)))
}

// field describes a power field by itself.
func (a analysis) field(quantity func(sampler.Reading) sampler.Value) (Field, grid) {
	quickly, steadily := a.of(fast, quantity), a.of(medium, quantity)
	all := values(slices.Concat(a.of(slow, quantity), quickly, steadily))
	g, why := findGrid(quickly, steadily)
	f := Field{Refresh: g.steps(why), Quantum: quantum(all)}
	if len(all) > 0 {
		mean, _ := meanOf(all)
		f.Mean, f.Least, f.Most = sampler.Some(mean), sampler.Some(slices.Min(all)), sampler.Some(slices.Max(all))
	}
	return f, g
}

// refreshed returns the values that the field took on and when: at the moments of its grid; without one, its readings.
func (a analysis) refreshed(quantity func(sampler.Reading) sampler.Value, g grid) []point {
	list := slices.Concat(a.of(fast, quantity), a.of(medium, quantity))
	if g.period <= 0 {
		return list
	}
	var out []point
	for _, e := range changes(list) {
		out = append(out, point{x: g.nearest(e.at), y: e.y})
	}
	return out
}

func values(list []point) []float64 {
	out := make([]float64, len(list))
	for i, p := range list {
		out[i] = p.y
	}
	return out
}
