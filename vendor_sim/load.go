package sim

import "math"

// Load is a power as a function of time. Both methods are pure functions of t, which is in seconds since the GPU's
// origin and may be negative: sensors average over the past.
type Load interface {
	// PowerWatts is P(t).
	PowerWatts(t float64) float64
	// EnergyJoules is the exact integral of P from 0 to t; for t < 0, minus that from t to 0.
	EnergyJoules(t float64) float64
}

// Constant is a power in watts that never changes: P(t) = c, E(t) = c·t.
type Constant float64

// PowerWatts is c.
func (c Constant) PowerWatts(float64) float64 { return float64(c) }

// EnergyJoules is c·t.
func (c Constant) EnergyJoules(t float64) float64 { return float64(c) * t }

// Level is a power from a time on.
type Level struct {
	At    float64 // s
	Watts float64
}

// Steps is a power that jumps: P(t) is the Watts of the last level whose At is at or before t. The first level holds
// for all earlier times too; its At does not matter. The others must be in the order of time. E(t) is the sum of
// Watts times overlap with [0, t]; it takes time proportional to the number of levels.
type Steps []Level

// Step is before watts until the second at, then after watts.
func Step(before, after, at float64) Steps {
	return Steps{{Watts: before}, {At: at, Watts: after}}
}

// PowerWatts is the power of the level at t.
func (s Steps) PowerWatts(t float64) float64 {
	watts := 0.0
	for i, level := range s {
		if i > 0 && t < level.At {
			break
		}
		watts = level.Watts
	}
	return watts
}

// EnergyJoules is the sum over the levels of Watts times their overlap with [0, t].
func (s Steps) EnergyJoules(t float64) float64 {
	low, high := min(0, t), max(0, t)
	joules := 0.0
	for i, level := range s {
		from, to := low, high
		if i > 0 {
			from = max(low, level.At)
		}
		if i+1 < len(s) {
			to = min(high, s[i+1].At)
		}
		joules += level.Watts * max(0, to-from)
	}
	return math.Copysign(1, t) * joules
}

// Ramp goes from Before to After watts in a straight line between the seconds Start and End, and is constant outside:
// with x = t − Start, D = End − Start, inside it P = Before + (After−Before)·x/D, whose integral from Start is
// Before·x + (After−Before)·x²/2D.
type Ramp struct {
	Before, After float64 // W
	Start, End    float64 // s
}

// PowerWatts is P(t).
func (r Ramp) PowerWatts(t float64) float64 {
	switch {
	case t < r.Start:
		return r.Before
	case t >= r.End:
		return r.After
	}
	return r.Before + (r.After-r.Before)*(t-r.Start)/(r.End-r.Start)
}

// EnergyJoules is E(t).
func (r Ramp) EnergyJoules(t float64) float64 { return r.since(t) - r.since(0) }

// since is the integral from Start to t.
func (r Ramp) since(t float64) float64 {
	x, d := t-r.Start, r.End-r.Start
	switch {
	case x <= 0:
		return r.Before * x
	case x >= d:
		return (r.Before+r.After)/2*d + r.After*(x-d)
	}
	return r.Before*x + (r.After-r.Before)*x*x/(2*d)
}

// Sine is P(t) = Mean + Amplitude·sin(ωt + Phase) with ω = 2π/Period, so
// E(t) = Mean·t − Amplitude/ω·(cos(ωt + Phase) − cos Phase). Amplitude is at most Mean, or power goes below zero.
type Sine struct {
	Mean, Amplitude float64 // W
	Period          float64 // s
	Phase           float64 // rad
}

// PowerWatts is P(t).
func (s Sine) PowerWatts(t float64) float64 {
	return s.Mean + s.Amplitude*math.Sin(s.omega()*t+s.Phase)
}

// EnergyJoules is E(t).
func (s Sine) EnergyJoules(t float64) float64 {
	return s.Mean*t - s.Amplitude/s.omega()*(math.Cos(s.omega()*t+s.Phase)-math.Cos(s.Phase))
}

func (s Sine) omega() float64 { return 2 * math.Pi / s.Period }

// Square is High watts for the first Duty (0 to 1) of each Period seconds, then Low: the worst case for a sensor that
// samples. With k = ⌊t/Period⌋ and x = t − k·Period,
// E(t) = Low·t + (High−Low)·(k·Duty·Period + min(x, Duty·Period)).
type Square struct {
	Low, High float64 // W
	Period    float64 // s
	Duty      float64
}

// PowerWatts is P(t).
func (s Square) PowerWatts(t float64) float64 {
	if _, x := periods(t, s.Period); x < s.Duty*s.Period {
		return s.High
	}
	return s.Low
}

// EnergyJoules is E(t).
func (s Square) EnergyJoules(t float64) float64 {
	k, x := periods(t, s.Period)
	high := s.Duty * s.Period
	return s.Low*t + (s.High-s.Low)*(k*high+min(x, high))
}

// periods splits t into whole periods and a rest of at least 0.
func periods(t, period float64) (whole, rest float64) {
	whole = math.Floor(t / period)
	return whole, t - whole*period
}
