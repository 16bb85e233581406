package sim

import (
	"math"
	"math/rand/v2"
	"sort"
)

// Serving describes the load of a GPU that serves a language model: every few seconds a burst of prefill, decode steps
// in between, each half at high power (matrix products) and half at low power (waiting for memory and other GPUs).
type Serving struct {
	Seed                uint64
	LowWatts, HighWatts float64 // of the two halves of a decode step
	PrefillWatts        float64
	StepSeconds         float64 // of one decode step
	PrefillSeconds      float64 // of one burst
	EverySeconds        float64 // from one burst to the next
	StepJitterRatio     float64 // a step's duration varies evenly by ± this share of it
	BurstJitterRatio    float64 // as does that of a burst, and the time to the next
	DriftRatio          float64 // power sinks by up to this share and recovers, once in about two minutes
}

// ServingH200 is a 700 W GPU at work: 470 and 690 W in decode steps of 23 ms, 700 W for 0.4 s every 3 s.
func ServingH200(seed uint64) Serving {
	return Serving{
		Seed: seed, LowWatts: 470, HighWatts: 690, PrefillWatts: 700,
		StepSeconds: 0.023, PrefillSeconds: 0.4, EverySeconds: 3,
		StepJitterRatio: 0.05, BurstJitterRatio: 0.2, DriftRatio: 0.08,
	}
}

// Decode is the load of Serving, which never ends: put it in a Busy for an idle time on either side.
//
// The powers p(x) of two minutes are drawn once, as constant pieces, and repeat with period T:
// P(t) = p(x)·(1 − d/2 + d/2·cos 2πx/T) with x = t mod T and d = DriftRatio. Within a piece the integral is closed:
// p·((1 − d/2)·Δx + d/2·T/2π·Δsin 2πx/T); whole pieces and whole periods are summed in advance.
type Decode struct {
	drift  float64
	starts []float64 // s, of each piece; the last is T
	watts  []float64
	joules []float64 // from 0 to each start; the last is E(T)
}

// patternSeconds is about how long the drawn pattern lasts before it repeats.
const patternSeconds = 120

// NewDecode draws the load. Equal Servings give equal loads.
func NewDecode(s Serving) *Decode {
	random := rand.New(rand.NewPCG(s.Seed, 0x77a77))
	vary := func(x, ratio float64) float64 { return x * (1 + ratio*(2*random.Float64()-1)) }
	d := &Decode{drift: s.DriftRatio}
	t := 0.0
	piece := func(watts, seconds float64) {
		d.starts = append(d.starts, t)
		d.watts = append(d.watts, watts)
		t += seconds
	}
	for range int(min(max(1, math.Ceil(patternSeconds/s.EverySeconds)), 1000)) {
		next := t + vary(s.EverySeconds, s.BurstJitterRatio)
		piece(s.PrefillWatts, vary(s.PrefillSeconds, s.BurstJitterRatio))
		for t < next {
			half := vary(s.StepSeconds, s.StepJitterRatio) / 2
			piece(s.HighWatts, half)
			piece(s.LowWatts, half)
		}
	}
	d.starts = append(d.starts, t)
	d.joules = make([]float64, len(d.starts))
	for i := range d.watts {
		d.joules[i+1] = d.joules[i] + d.within(i, d.starts[i+1])
	}
	return d
}

// PowerWatts is P(t).
func (d *Decode) PowerWatts(t float64) float64 {
	_, x := periods(t, d.period())
	return d.watts[d.piece(x)] * (1 - d.drift/2 + d.drift/2*math.Cos(2*math.Pi*x/d.period()))
}

// EnergyJoules is E(t), found in time proportional to the logarithm of the pattern's length, for any t.
func (d *Decode) EnergyJoules(t float64) float64 {
	k, x := periods(t, d.period())
	i := d.piece(x)
	return k*d.joules[len(d.watts)] + d.joules[i] + d.within(i, x)
}

func (d *Decode) period() float64 { return d.starts[len(d.watts)] }

// piece returns the index of the piece in which x lies.
func (d *Decode) piece(x float64) int {
	after := sort.Search(len(d.watts), func(i int) bool { return d.starts[i] > x })
	return max(0, after-1)
}

// within returns the energy of piece i from its start to x.
func (d *Decode) within(i int, x float64) float64 {
	omega := 2 * math.Pi / d.period()
	a := d.starts[i]
	return d.watts[i] * ((1-d.drift/2)*(x-a) + d.drift/2/omega*(math.Sin(omega*x)-math.Sin(omega*a)))
}
