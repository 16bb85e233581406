package window_test

import (
	"math/rand/v2"
	"testing"

	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// Averaged power at other intervals than the schedule's second, and from drivers that give no instantaneous power beside
// it (before field 186): those show when power stepped to the interval only.
func TestAveragedPowerAtAnyInterval(t *testing.T) {
	for _, test := range []struct {
		instant   bool
		every     float64
		each, all float64 // coverage for each load, and for all
	}{
		{true, 0.1, 0.93, 0.97},
		{true, 0.2, 0.93, 0.97},
		{true, 0.3, 0.90, 0.97},
		{true, 0.5, 0.88, 0.97},
		{true, 0.9, 0.90, 0.97},
		{true, 1.3, 0.93, 0.97},
		{false, 0.1, 0.85, 0.94},
		{false, 0.5, 0.93, 0.97},
		{false, 1, 0.93, 0.97},
		{false, 2, 0.90, 0.97},
	} {
		within, all := 0, 0
		for _, shape := range shapes() {
			random := rand.New(rand.NewPCG(1, 2))
			var acc accuracy
			for range 60 {
				tr := newTrial(random, "H200", shape, 10)
				sensors := sim.HopperSensors()
				sensors.CounterQuantum = 0
				sensors.Refresh = seconds(0.0995 + 0.003*random.Float64())
				sensors.RefreshPhase = seconds(random.Float64())
				if !test.instant {
					sensors.InstantWindow = 0
				}
				tr.gpu = sim.New(sim.Config{Load: tr.gpu.Load(), Sensors: sensors})
				tr.readings = every(tr.a-8-random.Float64(), tr.b+4, test.every)
				r := tr.live().measure("")
				if r.GPUs[0].Method != window.Boxcar {
					t.Fatalf("measured by %s", r.GPUs[0].Method)
				}
				acc.add(tr, r)
			}
			if got := acc.coverage(); got < test.each {
				t.Errorf("instantaneous too %v, every %v s, %s: the truth lies within the bound in %.1f %% of the windows, want %.1f %%; mean error %.3f %%, sd %.3f %%",
					test.instant, test.every, shape.name, 100*got, 100*test.each, 100*acc.mean(), 100*acc.deviation())
			}
			within, all = within+acc.within, all+60
		}
		if got := float64(within) / float64(all); got < test.all {
			t.Errorf("instantaneous too %v, every %v s: %.1f %% of all windows, want %.1f %%", test.instant, test.every, 100*got, 100*test.all)
		}
	}
}

// A long window under a load that moves is measured without bias: keeping E from falling must not push it up.
func TestAveragedPowerDoesNotDrift(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	square := shapes()[4]
	var acc accuracy
	for range 40 {
		tr := newTrial(random, "H200", square, 120).dense()
		acc.add(tr, tr.measure(window.Boxcar))
	}
	if mean := acc.mean(); mean > 0.001 || mean < -0.001 || acc.deviation() > 0.005 {
		t.Errorf("two minutes of a square at 10 Hz: %+.3f %% ± %.3f %%, want 0 ± 0.5", 100*mean, 100*acc.deviation())
	}
}
