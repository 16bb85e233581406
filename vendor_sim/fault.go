package sim

import (
	"errors"
	"time"
)

// ErrDropped is the error of a read during Drop.
var ErrDropped = errors.New("simulated: the driver did not answer")

// ErrLost is the error of every read after Lost.
var ErrLost = errors.New("simulated: the GPU has fallen off the bus")

type faultKind int

const (
	drop faultKind = iota
	hang
	lost
	callTime
	powerMissing
	powerSpike
	counterMissing
	counterReset
	counterScale
	counterFrozen
)

// Fault is a way in which a driver misbehaves. Times are since the GPU's origin; spans are [from, to).
type Fault struct {
	kind     faultKind
	from, to time.Duration
	value    float64
}

func (f Fault) at(t time.Duration) bool { return f.from <= t && t < f.to }

// Drop makes reads fail with ErrDropped.
func Drop(from, to time.Duration) Fault { return Fault{kind: drop, from: from, to: to} }

// Hang makes reads that begin in the span return at its end, with the values of then.
func Hang(from, to time.Duration) Fault { return Fault{kind: hang, from: from, to: to} }

// Lost makes reads fail with ErrLost from then on.
func Lost(at time.Duration) Fault { return Fault{kind: lost, from: at, to: 1<<63 - 1} }

// CallTime makes each read take this long. Its values are those of its middle.
func CallTime(d time.Duration) Fault { return Fault{kind: callTime, from: d} }

// PowerMissing leaves power out of the readings.
func PowerMissing(from, to time.Duration) Fault { return Fault{kind: powerMissing, from: from, to: to} }

// PowerSpike makes the power sensors show this many watts after each refresh in the span. The truth is not touched.
func PowerSpike(from, to time.Duration, watts float64) Fault {
	return Fault{kind: powerSpike, from: from, to: to, value: watts}
}

// CounterMissing leaves the energy counter out of the readings.
func CounterMissing(from, to time.Duration) Fault {
	return Fault{kind: counterMissing, from: from, to: to}
}

// CounterReset makes the energy counter start at 0 again.
func CounterReset(at time.Duration) Fault { return Fault{kind: counterReset, from: at} }

// CounterScale makes the energy counter count this multiple of the energy.
func CounterScale(factor float64) Fault { return Fault{kind: counterScale, value: factor} }

// CounterFrozen makes the energy counter stand still. What was used meanwhile is never counted.
func CounterFrozen(from, to time.Duration) Fault {
	return Fault{kind: counterFrozen, from: from, to: to}
}

// during reports whether a fault of this kind is in force at t, and returns it.
func (g *GPU) during(kind faultKind, t time.Duration) (Fault, bool) {
	for _, f := range g.faults {
		if f.kind == kind && f.at(t) {
			return f, true
		}
	}
	return Fault{}, false
}

// counted returns what the energy counter counts from 0 to t, in joules, before any reset.
func (g *GPU) counted(t time.Duration) float64 {
	joules := g.load.EnergyJoules(t.Seconds())
	for _, f := range g.faults {
		if f.kind == counterFrozen && t > f.from {
			joules -= g.load.EnergyJoules(min(t, f.to).Seconds()) - g.load.EnergyJoules(f.from.Seconds())
		}
	}
	for _, f := range g.faults {
		if f.kind == counterScale {
			joules *= f.value
		}
	}
	return joules
}

// counter returns what the energy counter would show at t if it were always up to date.
func (g *GPU) counter(t time.Duration) float64 {
	joules := g.counterOrigin + g.counted(t)
	newest := time.Duration(-1 << 63)
	for _, f := range g.faults {
		if f.kind == counterReset && newest <= f.from && f.from <= t {
			newest = f.from
			joules = g.counted(t) - g.counted(newest)
		}
	}
	return joules
}
