package nvmldouble

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Trace is the true power of a GPU over the time since the script's origin. Its parts add up.
type Trace struct {
	Steps  []Step // in the order of time; the first one also holds before its time
	Sine   Sine
	Decode Decode
}

// Step is power from At on.
type Step struct {
	At    time.Duration
	Watts float64
}

// Sine is Mean + Amplitude · sin(2πt/Period) watts; a zero Period is no sine.
type Sine struct {
	Mean, Amplitude float64
	Period          time.Duration
}

// Decode is the shape of a server that works on batches: from Start on, in each Period, Prefill watts for PrefillTime,
// then Plateau watts until BusyTime, then Idle watts. Before Start it idles. A zero Period is no such load.
type Decode struct {
	Idle, Prefill, Plateau               float64
	PrefillTime, BusyTime, Period, Start time.Duration
}

// Constant is a trace of always the same power.
func Constant(watts float64) Trace { return Trace{Steps: []Step{{Watts: watts}}} }

// Joules is the exact integral of the power from the origin to t, in the same closed form as the double's.
func (tr Trace) Joules(t time.Duration) float64 {
	x := t.Seconds()
	return stepsJoules(tr.Steps, x) - stepsJoules(tr.Steps, 0) +
		tr.Sine.antiderivative(x) - tr.Sine.antiderivative(0) +
		tr.Decode.antiderivative(x) - tr.Decode.antiderivative(0)
}

func stepsJoules(steps []Step, t float64) float64 {
	if len(steps) == 0 {
		return 0
	}
	if first := steps[0]; t <= first.At.Seconds() {
		return first.Watts * (t - first.At.Seconds())
	}
	joules := 0.0
	for i, step := range steps {
		end := t
		if i+1 < len(steps) {
			end = min(t, steps[i+1].At.Seconds())
		}
		if end > step.At.Seconds() {
			joules += step.Watts * (end - step.At.Seconds())
		}
	}
	return joules
}

func (s Sine) antiderivative(t float64) float64 {
	if s.Period <= 0 {
		return 0
	}
	turn := 2 * math.Pi / s.Period.Seconds()
	return s.Mean*t - s.Amplitude/turn*math.Cos(turn*t)
}

func (d Decode) antiderivative(t float64) float64 {
	if d.Period <= 0 {
		return 0
	}
	x := t - d.Start.Seconds()
	if x <= 0 {
		return d.Idle * x
	}
	period, prefill, busy := d.Period.Seconds(), d.PrefillTime.Seconds(), d.BusyTime.Seconds()
	whole := math.Floor(x / period)
	rest := x - whole*period
	return whole*(d.Prefill*prefill+d.Plateau*(busy-prefill)+d.Idle*(period-busy)) +
		d.Prefill*min(rest, prefill) + d.Plateau*max(0, min(rest, busy)-prefill) + d.Idle*max(0, rest-busy)
}

func (tr Trace) render(b *strings.Builder, gpu int) {
	for _, s := range tr.Steps {
		fmt.Fprintf(b, "gpu %d step %v %v\n", gpu, s.At.Seconds(), s.Watts)
	}
	if s := tr.Sine; s.Period > 0 {
		fmt.Fprintf(b, "gpu %d sine %v %v %v\n", gpu, s.Mean, s.Amplitude, s.Period.Seconds())
	}
	if d := tr.Decode; d.Period > 0 {
		fmt.Fprintf(b, "gpu %d decode %v %v %v %v %v %v %v\n", gpu, d.Idle, d.Prefill, d.Plateau,
			d.PrefillTime.Seconds(), d.BusyTime.Seconds(), d.Period.Seconds(), d.Start.Seconds())
	}
}
