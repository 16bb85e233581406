package window_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// seconds is a duration of so many seconds.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func TestGateRejectsFaultyCounters(t *testing.T) {
	for _, test := range []struct {
		name   string
		model  string
		a, b   float64
		faults []sim.Fault
		cause  window.Note
	}{
		{"frozen for two seconds", "H200", 20.5, 40.5, []sim.Fault{sim.CounterFrozen(seconds(30), seconds(32.5))}, window.CounterFrozen},
		{"frozen all along", "H200", 20.5, 40.5, []sim.Fault{sim.CounterFrozen(0, time.Hour)}, window.CounterFrozen},
		{"counts half", "H200", 20.5, 40.5, []sim.Fault{sim.CounterScale(0.5)}, window.CounterDisagrees},
		{"counts half, just ten seconds", "H200", 20.5, 30.5, []sim.Fault{sim.CounterScale(0.5)}, window.CounterDisagrees},
		{"counts 30 % too much", "H200", 20.5, 40.5, []sim.Fault{sim.CounterScale(1.3)}, window.CounterDisagrees},
		{"counts 11 % too little", "H200", 20.5, 80.5, []sim.Fault{sim.CounterScale(0.88)}, window.CounterDisagrees},
		{"counts double", "H200", 20.5, 25.5, []sim.Fault{sim.CounterScale(2)}, window.CounterTooFast},
		{"reset", "H200", 20.5, 40.5, []sim.Fault{sim.CounterReset(seconds(30.2))}, window.CounterFell},
		{"reset just after the start", "H200", 20.5, 40.5, []sim.Fault{sim.CounterReset(seconds(20.6))}, window.CounterFell},
		{"reset just before the end", "H200", 20.5, 40.5, []sim.Fault{sim.CounterReset(seconds(40.4))}, window.CounterFell},
		{"counts half", "A100", 20.5, 40.5, []sim.Fault{sim.CounterScale(0.5)}, window.CounterDisagrees},
		{"counts half", "MI300X", 20.5, 40.5, []sim.Fault{sim.CounterScale(0.5)}, window.CounterDisagrees},
		{"frozen", "MI300X", 20.5, 40.5, []sim.Fault{sim.CounterFrozen(seconds(30), seconds(32.5))}, window.CounterFrozen},
	} {
		t.Run(test.model+" "+test.name, func(t *testing.T) {
			limit := sim.New(sim.Config{Model: test.model}).Info().PowerLimitWatts.Or(0)
			load := sim.Sine{Mean: 0.75 * limit, Amplitude: 0.1 * limit, Period: 17}
			gpu := sim.New(sim.Config{Model: test.model, Load: load, Faults: test.faults})
			times := []float64{test.a, test.b}
			for at := 10.0; at < test.b+5; at++ {
				times = append(times, at)
			}
			got := measured(t, readAt(gpu, times...), span(gpu, test.a, test.b))
			if want := []window.Note{window.CounterRejected, test.cause}; !slices.Equal(got.Notes[:min(2, len(got.Notes))], want) {
				t.Errorf("notes = %v, want %v", got.Notes, want)
			}
			if got.Method == window.Counter || !got.CounterEnergy.OK() {
				t.Errorf("method = %s, counter energy %v; want power, and what the counter said", got.Method, got.CounterEnergy)
			}
			want := truth(gpu, test.a, test.b)
			if off := math.Abs(got.Energy.Or(math.NaN()) - want); !(off <= got.Bound.Or(0)+0.5*(test.b-test.a)) {
				t.Errorf("energy = %.1f J ± %.1f, want %.1f", got.Energy.Or(-1), got.Bound.Or(-1), want)
			}
			if power := got.PowerEnergy; power != got.Energy {
				t.Errorf("energy = %v, want that by power, %v", got.Energy, power)
			}
		})
	}
}

// A counter that counts half and makes up for it where nobody looks agrees with power over the window, and is not believed.
func TestGateLooksBesideGaps(t *testing.T) {
	for name, hide := range map[string]func(*sampler.Reading){
		"no readings":          nil,
		"no readings of power": func(r *sampler.Reading) { r.PowerWatts, r.InstantWatts = sampler.Value{}, sampler.Value{} },
	} {
		gpu := sim.New(sim.Config{Load: sim.Constant(600)})
		series := gpu.Series(0, 90*time.Second, time.Second)
		series.Info.PowerLimitWatts = sampler.Value{} // 900 W in the gap are no fault in themselves
		readings := series.Readings[:0]
		for i, r := range series.Readings {
			seconds := float64(i)
			missing := 300 * min(seconds, 30) // joules; half of what is used but in the gap, where it is all made up for
			if seconds > 30 {
				missing -= 300 * min(seconds-30, 30)
			}
			if seconds > 60 {
				missing += 300 * (seconds - 60)
			}
			r.EnergyJoules = sampler.Some(r.EnergyJoules.Or(math.NaN()) - missing)
			if gap := i > 30 && i < 60; gap && hide == nil {
				continue
			} else if gap {
				hide(&r)
			}
			readings = append(readings, r)
		}
		series.Readings = readings
		got := window.Measure(window.Recorded{series}, span(gpu, 15.5, 75.5), allowed()).GPUs[0]
		if off := got.CounterEnergy.Or(0)/36_000 - 1; math.Abs(off) > 0.02 {
			t.Errorf("%s: the counter is off by %.3f over the window; the test means it to agree", name, off)
		}
		if want := []window.Note{window.CounterRejected, window.CounterDisagrees}; !slices.Equal(got.Notes[:min(2, len(got.Notes))], want) {
			t.Errorf("%s: notes %v, want %v", name, got.Notes, want)
		}
	}
}

func TestGateJudgesTheWindowOnly(t *testing.T) {
	for name, fault := range map[string]sim.Fault{
		"reset before the window": sim.CounterReset(seconds(18.3)),
		"reset after the window":  sim.CounterReset(seconds(42.3)),
		"frozen before":           sim.CounterFrozen(0, seconds(18)),
		"frozen after":            sim.CounterFrozen(seconds(42), time.Hour),
	} {
		gpu := sim.New(sim.Config{Load: sim.Constant(600), Faults: []sim.Fault{fault}})
		got := measured(t, gpu.Series(0, time.Minute, time.Second), span(gpu, 20.5, 40.5))
		if want := truth(gpu, 20.5, 40.5); got.Method != window.Counter || math.Abs(got.Energy.Or(0)-want) > got.Bound.Or(0) {
			t.Errorf("%s: %.1f J ± %.1f by %s, notes %v; want %.1f by the counter", name, got.Energy.Or(0), got.Bound.Or(0), got.Method,
				got.Notes, want)
		}
	}
}

func TestHealthyCountersAreNeverRejected(t *testing.T) {
	for _, model := range []string{"H200", "A100"} {
		for _, shape := range shapes() {
			if model == "A100" && shape.name == "square" {
				continue // see TestLoadInStepWithTheReadings
			}
			random := rand.New(rand.NewPCG(8, 8))
			for range 150 {
				tr := newTrial(random, model, shape, 0.5+40*random.Float64()*random.Float64())
				tr = slices.Collect(mapValues(kinds()))[random.IntN(3)](tr)
				r := tr.measure("")
				if got := r.GPUs[0]; got.Method != window.Counter || slices.Contains(got.Notes, window.CounterRejected) {
					t.Errorf("%s, %s, %.1f s: measured by %s, notes %v; crosscheck %.3f", model, shape.name, tr.b-tr.a, got.Method, got.Notes,
						got.Crosscheck.Or(0))
				}
			}
		}
	}
}

func mapValues[K comparable, V any](m map[K]V) func(func(V) bool) {
	return func(yield func(V) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

// Instantaneous power read in step with a load that repeats says nothing of the mean. Whichever sensor is then taken
// for the wrong one, the bound must cover the truth.
func TestLoadInStepWithTheReadings(t *testing.T) {
	for _, phase := range []float64{0.1, 0.6} {
		square := sim.Shift{Load: sim.Square{Low: 100, High: 380, Period: 0.5, Duty: 0.5}, By: phase}
		gpu := sim.New(sim.Config{Model: "A100", Load: square})
		got := measured(t, gpu.Series(0, time.Minute, time.Second), span(gpu, 10, 40))
		want := truth(gpu, 10, 40)
		if off := math.Abs(got.Energy.Or(math.NaN()) - want); !(off <= got.Bound.Or(0)) {
			t.Errorf("phase %g: %.0f J ± %.0f by %s, want %.0f", phase, got.Energy.Or(0), got.Bound.Or(0), got.Method, want)
		}
	}
}

// Few readings of instantaneous power are off by more than 10 % for many loads: that is no evidence against the counter.
func TestGateKnowsHowLittleInstantaneousPowerSays(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	rejected := 0
	for range 200 {
		square := sim.Square{Low: 100, High: 700, Period: 0.27 + 0.2*random.Float64(), Duty: 0.5}
		tr := newTrial(random, "MI300X", shape{load: func(*rand.Rand, float64, float64) sim.Load { return square }}, 10).live()
		r := tr.measure("")
		if slices.Contains(r.AllNotes(), window.CounterRejected) {
			rejected++
		}
		if off := math.Abs(r.Energy().Or(0) - tr.truth()); off > r.Bound().Or(0)+resolution(r) {
			t.Errorf("period %.3f s: %.1f J ± %.1f, want %.1f", square.Period, r.Energy().Or(0), r.Bound().Or(0), tr.truth())
		}
	}
	if rejected > 10 { // those that happen to be in step with the readings
		t.Errorf("healthy counters rejected in %d of 200 windows", rejected)
	}
}

// Power readings that are missing are no evidence against the counter.
func TestGateDoesNotJudgeWithoutPower(t *testing.T) {
	for _, model := range []string{"H200", "A100", "MI300X"} {
		for _, missing := range [][2]float64{{0, 100}, {15, 25}, {15, 35}, {20, 20.1}} {
			load := sim.Busy{Load: sim.Constant(380), IdleWatts: 60, Start: 16, End: 34}
			gpu := sim.New(sim.Config{
				Model: model, Load: load, Faults: []sim.Fault{sim.PowerMissing(seconds(missing[0]), seconds(missing[1]))},
			})
			got := measured(t, gpu.Series(0, time.Minute, time.Second), span(gpu, 10.5, 40.5))
			want := truth(gpu, 10.5, 40.5)
			if off := math.Abs(got.Energy.Or(0) - want); got.Method != window.Counter || off > got.Bound.Or(0)+0.5 {
				t.Errorf("%s without power for %v s: %.1f J ± %.1f by %s, notes %v; want %.1f by the counter", model, missing,
					got.Energy.Or(0), got.Bound.Or(0), got.Method, got.Notes, want)
			}
		}
	}
}

func TestIdleGPUsAreNotFrozen(t *testing.T) {
	for _, watts := range []float64{0, 3, 9.9} { // below what any GPU idles at: a counter in whole joules may stand still
		sensors := sim.HopperSensors()
		sensors.CounterQuantum = 50
		gpu := sim.New(sim.Config{Load: sim.Constant(watts), Sensors: sensors})
		got := measured(t, gpu.Series(0, time.Minute, time.Second), span(gpu, 10.5, 14.5))
		if got.Method != window.Counter {
			t.Errorf("%g W: measured by %s, notes %v; want the counter", watts, got.Method, got.Notes)
		}
	}
}

func TestForcedMethods(t *testing.T) {
	gpu := sim.New(sim.Config{Load: sim.Constant(500)})
	for _, method := range []window.Method{window.Counter, window.Boxcar, window.Trapezoid} {
		limits := allowed()
		limits.Method = method
		r := window.Measure(window.Recorded{gpu.Series(0, time.Minute, time.Second)}, span(gpu, 10.5, 40.5), limits)
		if got := r.GPUs[0].Method; got != method || !r.Valid() {
			t.Errorf("forced %s: measured by %s, reasons %v", method, got, r.AllReasons())
		}
		if want := fmt.Sprintf("%.0f", truth(gpu, 10.5, 40.5)); fmt.Sprintf("%.0f", r.Energy().Or(0)) != want {
			t.Errorf("forced %s: %.1f J, want %s", method, r.Energy().Or(0), want)
		}
	}
}
