package nvmldouble

import (
	"fmt"
	"time"
)

// Fault is something that goes wrong on one GPU: always, or between two times since the script's origin. Functions are
// named without their _v2; "*" means all functions of the GPU.
type Fault struct {
	text     string
	from, to time.Duration
	hasFrom  bool
	hasTo    bool
}

// From returns the fault beginning at t.
func (f Fault) From(t time.Duration) Fault {
	f.from, f.hasFrom = t, true
	return f
}

// To returns the fault ending at t.
func (f Fault) To(t time.Duration) Fault {
	f.to, f.hasTo = t, true
	return f
}

func (f Fault) String() string {
	text := f.text
	if f.hasFrom {
		text += fmt.Sprintf(" from %v", f.from.Seconds())
	}
	if f.hasTo {
		text += fmt.Sprintf(" to %v", f.to.Seconds())
	}
	return text
}

// FieldReturns makes a field of GetFieldValues return code in all scopes, while the call itself succeeds.
func FieldReturns(field, code int) Fault { return Fault{text: fmt.Sprintf("field %d %d", field, code)} }

// FieldReturnsInScope does so in one scope (0 GPU, 1 module).
func FieldReturnsInScope(field, code, scope int) Fault {
	return Fault{text: fmt.Sprintf("field %d %d scope %d", field, code, scope)}
}

// Returns makes a function return code.
func Returns(function string, code int) Fault {
	return Fault{text: fmt.Sprintf("call %s %d", function, code)}
}

// Lost makes all functions return 15, GPU is lost.
func Lost() Fault { return Returns("*", 15) }

// Hangs makes a function block until the fault ends or leaves the script.
func Hangs(function string) Fault { return Fault{text: "hang " + function} }

// PowerNotAvailable makes every way to read power answer "not supported".
func PowerNotAvailable() Fault { return Fault{text: "na"} }

// PowerSpike makes the power sensors say watts.
func PowerSpike(watts float64) Fault { return Fault{text: fmt.Sprintf("spike %v", watts)} }

// CounterReset makes the energy counter start again from 0 at t.
func CounterReset(t time.Duration) Fault { return Fault{text: "reset"}.From(t) }

// CounterScaled makes the counter advance at factor times the true power.
func CounterScaled(factor float64) Fault { return Fault{text: fmt.Sprintf("scale %v", factor)} }

// CounterFrozen makes the counter stand still, and catch up when the fault ends.
func CounterFrozen() Fault { return Fault{text: "freeze"} }

// CounterGrowsPerRead makes each read of the counter add joules, as on parts whose counter depends on the polling rate.
func CounterGrowsPerRead(joules float64) Fault { return Fault{text: fmt.Sprintf("polling %v", joules)} }
