package amdsmidouble

import (
	"math"
	"time"
)

// Load is the power of a GPU over time, with a closed-form integral.
type Load struct {
	Watts     float64 // mean
	Amplitude float64 // W around the mean; 0: constant
	Period    time.Duration
	Square    bool // a square wave, high half first, instead of a sine
}

// Power returns the power in W, x after the load began.
func (l Load) Power(x time.Duration) float64 {
	t, period := x.Seconds(), l.Period.Seconds()
	switch {
	case l.Amplitude == 0:
		return l.Watts
	case !l.Square:
		return l.Watts + l.Amplitude*math.Sin(2*math.Pi*t/period)
	case math.Mod(t, period) < period/2:
		return l.Watts + l.Amplitude
	default:
		return l.Watts - l.Amplitude
	}
}

// Joules returns the energy in J used from the beginning of the load to x after it.
func (l Load) Joules(x time.Duration) float64 {
	t, period := x.Seconds(), l.Period.Seconds()
	switch {
	case l.Amplitude == 0:
		return l.Watts * t
	case !l.Square:
		return l.Watts*t + l.Amplitude*period/(2*math.Pi)*(1-math.Cos(2*math.Pi*t/period))
	default:
		u := math.Mod(t, period)
		return l.Watts*t + l.Amplitude*math.Min(u, period-u)
	}
}
