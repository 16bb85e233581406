package window_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"wattmark/window"
)

// kinds are how a window relates to the readings.
func kinds() map[string]func(trial) trial {
	return map[string]func(trial) trial{
		"live":        trial.live,
		"burst":       trial.burst,
		"dense":       trial.dense,
		"flood":       trial.flood,
		"retroactive": func(tr trial) trial { return tr },
	}
}

// The bound is 2 standard deviations: the truth lies within it in 95 % of the windows, whatever the load does and
// wherever the marks lie. In windows of two seconds the trapezoid has seen too little at 1 Hz to know what it missed.
func TestTruthLiesWithinTheBound(t *testing.T) {
	const windows = 60
	for _, test := range []struct {
		model   string
		method  window.Method // empty: the best
		kind    string
		seconds float64
		each    float64 // coverage for each load
		all     float64 // and for all
	}{
		{"H200", "", "live", 2, 0.93, 0.97},
		{"H200", "", "live", 10, 0.93, 0.97},
		{"H200", "", "live", 60, 0.93, 0.97},
		{"H200", "", "burst", 10, 0.93, 0.97},
		{"H200", "", "flood", 0.5, 0.93, 0.97},
		{"H200", "", "flood", 5, 0.93, 0.97},
		{"H200", window.Boxcar, "flood", 5, 0.93, 0.97},
		{"H200", "", "retroactive", 0.05, 0.93, 0.97},
		{"H200", "", "retroactive", 10, 0.93, 0.97},
		{"H200", window.Boxcar, "live", 10, 0.93, 0.97},
		{"H200", window.Boxcar, "live", 60, 0.93, 0.97},
		{"H200", window.Boxcar, "dense", 3, 0.93, 0.97},
		{"H200", window.Boxcar, "dense", 10, 0.93, 0.97},
		{"H200", window.Boxcar, "dense", 60, 0.93, 0.97},
		{"H200", window.Boxcar, "retroactive", 10, 0.93, 0.97},
		{"H200", window.Trapezoid, "live", 10, 0.93, 0.97},
		{"A100", "", "live", 10, 0.93, 0.97},
		{"A100", "", "flood", 2, 0.93, 0.97},
		{"A100", "", "retroactive", 10, 0.93, 0.97},
		{"A100", window.Trapezoid, "live", 2, 0.90, 0.96},
		{"A100", window.Trapezoid, "live", 5, 0.93, 0.97},
		{"A100", window.Trapezoid, "live", 10, 0.93, 0.97},
		{"A100", window.Trapezoid, "dense", 5, 0.93, 0.97},
		{"A100", window.Trapezoid, "dense", 60, 0.93, 0.97},
		{"A100", window.Trapezoid, "retroactive", 5, 0.93, 0.97},
		{"MI300X", "", "live", 10, 0.93, 0.97},
		{"MI300X", "", "retroactive", 10, 0.90, 0.97},
		{"MI300X", window.Trapezoid, "live", 5, 0.93, 0.96},
		{"MI300X", window.Trapezoid, "live", 60, 0.93, 0.96},
	} {
		name := fmt.Sprintf("%s %s %s %gs", test.model, test.method, test.kind, test.seconds)
		within, total := 0, 0
		for _, shape := range shapes() {
			random := rand.New(rand.NewPCG(1, 2))
			var acc accuracy
			for range windows {
				tr := kinds()[test.kind](newTrial(random, test.model, shape, test.seconds))
				acc.add(tr, tr.measure(test.method))
			}
			if got := acc.coverage(); got < test.each {
				t.Errorf("%s, %s: the truth lies within the bound in %.1f %% of the windows, want %.1f %%; mean error %.3f %%, sd %.3f %%",
					name, shape.name, 100*got, 100*test.each, 100*acc.mean(), 100*acc.deviation())
			}
			within, total = within+acc.within, total+windows
		}
		if got := float64(within) / float64(total); got < test.all {
			t.Errorf("%s: the truth lies within the bound in %.1f %% of all windows, want %.1f %%", name, 100*got, 100*test.all)
		}
	}
}

func TestAccuracy(t *testing.T) {
	const unlimited = 100 // percent
	for _, test := range []struct {
		method    window.Method
		kind      string
		seconds   float64
		bias, dev float64 // percent
	}{
		{"", "live", 10, 0.05, 0.6},
		{"", "burst", 10, 0.02, 0.1},
		{window.Boxcar, "live", 60, 0.3, unlimited},
		{window.Boxcar, "live", 10, 0.5, unlimited},
	} {
		for _, shape := range shapes() {
			if test.kind == "burst" && shape.name == "square" {
				continue // steps of 500 W anywhere in the tick at the mark: see the bound
			}
			random := rand.New(rand.NewPCG(5, 5))
			var acc accuracy
			for range 400 {
				tr := kinds()[test.kind](newTrial(random, "H200", shape, test.seconds))
				acc.add(tr, tr.measure(test.method))
			}
			if got := 100 * acc.mean(); !(math.Abs(got) <= test.bias) {
				t.Errorf("%s %s %gs, %s: mean error %+.3f %%, want at most %g %%", test.method, test.kind, test.seconds, shape.name, got, test.bias)
			}
			if got := 100 * acc.deviation(); !(got <= test.dev) {
				t.Errorf("%s %s %gs, %s: sd %.3f %%, want at most %g %%", test.method, test.kind, test.seconds, shape.name, got, test.dev)
			}
		}
	}
}

// A bound of zero would be a claim that the sensors cannot keep; more than a tick's energy at both edges, a waste.
func TestBoundIsOfTheSizeOfATick(t *testing.T) {
	random, constant := rand.New(rand.NewPCG(1, 1)), shapes()[0]
	for range 100 {
		r := newTrial(random, "H200", constant, 10).live().measure("")
		tick := r.TotalPower().Or(0) * 0.1
		if bound := r.Bound().Or(-1); bound < 0.2*tick || bound > 1.5*tick {
			t.Errorf("bound = %.2f J at %.0f W, want about the energy of a tick, %.2f J", bound, r.TotalPower().Or(0), tick)
		}
	}
}

// Two readings that agree on when a load began or ended say so to better than the interval between them.
func TestAStepNarrowsTheBound(t *testing.T) {
	random, step := rand.New(rand.NewPCG(1, 1)), shapes()[1]
	share := 0.0
	for range 60 {
		tr := newTrial(random, "H200", step, 10)
		share += tr.measure("").Bound().Or(math.Inf(1)) / tr.truth() / 60
	}
	if share > 0.025 {
		t.Errorf("bound of a retroactive window from step to step = %.2f %%, want at most 2.5 %%", 100*share)
	}
}

func TestKnownPhaseNarrowsTheBound(t *testing.T) {
	random, constant := rand.New(rand.NewPCG(1, 1)), shapes()[0]
	for _, sign := range []float64{1, -1} { // reads after the marks, or before
		var acc accuracy
		for range 60 {
			tr := newTrial(random, "H200", constant, 10).live()
			seen := tr
			for _, mark := range []float64{tr.a, tr.b} {
				seen.readings = append(slices.Clone(seen.readings), every(mark+sign*0.06-0.055, mark+sign*0.06+0.055, 0.01)...)
			}
			live, burst := tr.measure("").Bound().Or(0), seen.measure("")
			if !(burst.Bound().Or(0) < live/4) {
				t.Errorf("bound = %.2f J with the tick seen, %.2f J without; want less than a quarter", burst.Bound().Or(0), live)
			}
			acc.add(tr, burst)
		}
		if acc.coverage() < 0.95 || acc.deviation() > 0.001 {
			t.Errorf("reads on side %g: within the bound %.0f %%, sd %.3f %%; want 95 %%, 0.1 %%", sign, 100*acc.coverage(), 100*acc.deviation())
		}
	}
}
