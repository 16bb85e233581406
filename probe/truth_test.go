package probe

import (
	"fmt"
	"math"
	"testing"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
)

// recorded is what a probe of a simulated GPU reads, without waiting for it. A change spoils a reading made t seconds
// after the origin.
func recorded(gpu *sim.GPU, duration time.Duration, change func(t float64, r *sampler.Reading)) record {
	rec := record{complete: true}
	for p, phase := range plan(duration) {
		for k := 0; ; k++ {
			at := phase.from + time.Duration(k)*phase.every + phase.shift(k)
			if at >= phase.to {
				break
			}
			t := 10 + at.Seconds()
			r := gpu.At(t)
			r.Call = 4 * time.Microsecond
			if change != nil {
				change(t, &r)
			}
			rec.readings[p] = append(rec.readings[p], r)
		}
	}
	return rec
}

// serving is the load of a 700 W GPU at work, begun at a time of its own.
func serving(seed int) sim.Load {
	return sim.Shift{Load: sim.NewDecode(sim.ServingH200(uint64(seed))), By: -1.37 * float64(seed)}
}

// within reports that a value is there and as good as wanted.
func within(v sampler.Value, want, tolerance float64) bool {
	x, ok := v.Known()
	return ok && math.Abs(x-want) <= tolerance
}

// What the probe says of sensors whose nature is known, under a load that moves: eight seconds find the steps to 1 %
// and the window of averaged power to 10 %, a minute to 0.2 % and 5 %; whatever the phases of sensors and load.
func TestTruth(t *testing.T) {
	volta := sim.Sensors{
		CounterQuantum: 0.001, CounterPeriod: 20 * time.Millisecond, InstantWindow: 10 * time.Millisecond,
		Refresh: 20 * time.Millisecond, PowerQuantum: 0.001,
	}
	half := sim.HopperSensors()
	half.AverageWindow = 500 * time.Millisecond
	slowly := sim.HopperSensors() // as GeForce cards refresh
	slowly.Refresh, slowly.CounterPeriod = 500*time.Millisecond, 106*time.Millisecond
	for _, test := range []struct {
		name                  string
		model                 string
		sensors               sim.Sensors // zero: the model's
		step, refresh, window float64     // s; 0: not to be found
	}{
		{"Hopper", "H200", sim.Sensors{}, 0.1, 0.1, 1},
		{"GA100", "A100", sim.Sensors{}, 0.1013, 0.1013, 0},
		{"MI300", "MI300X", sim.Sensors{}, 0, 0, 0},
		{"half a second", "H200", half, 0.1, 0.1, 0.5},
		{"20 ms", "A100", volta, 0.02, 0.02, 0},
		{"refreshed every 500 ms", "H200", slowly, 0.106, 0.5, 1},
	} {
		for _, duration := range []time.Duration{Shortest, Default} {
			t.Run(fmt.Sprint(test.name, " ", duration), func(t *testing.T) {
				fine, coarse, phases := 0.01, 0.1, 12
				if duration == Default {
					fine, coarse, phases = 0.002, 0.05, 4
				}
				windows := 0
				for i := range phases {
					c := sim.Config{Model: test.model, Index: i, Load: serving(i), Sensors: test.sensors}
					if c.Sensors != (sim.Sensors{}) {
						c.Sensors.CounterPhase, c.Sensors.RefreshPhase = time.Duration(7*i)*time.Millisecond, time.Duration(11*i)*time.Millisecond
					}
					gpu := sim.New(c)
					r := analyse(gpu.Info(), recorded(gpu, duration, nil))
					steps, power := r.Counter.Steps, r.Power
					if test.step == 0 && steps.Period.OK() || test.step > 0 && !within(steps.Period, test.step, fine*test.step) {
						t.Errorf("%d: counter steps %v, want %v s", i, show(steps), test.step)
					}
					if test.step > 0 && !within(steps.Period, test.step, steps.Bound.Or(0)+1e-6) {
						t.Errorf("%d: counter steps %v: %v s is beyond the bound", i, show(steps), test.step)
					}
					if test.refresh > 0 && (power.Refresh.Period.OK() || test.refresh < 0.4) && !within(power.Refresh.Period, test.refresh, fine*test.refresh) ||
						test.refresh == 0 && power.Refresh.Period.OK() {
						t.Errorf("%d: power refreshed %v, want %v s", i, show(power.Refresh), test.refresh)
					}
					if steps.Jitter.Or(0) > 0.001 || power.Refresh.Jitter.Or(0) > 0.001 {
						t.Errorf("%d: jitter %v %v, there is none", i, steps.Jitter, power.Refresh.Jitter)
					}
					// Where power hardly moved by chance the window is left open, never guessed.
					switch {
					case test.window == 0 && power.Shape.Window.OK():
						t.Errorf("%d: window %v of power that is not averaged", i, show(power.Shape))
					case test.window > 0 && power.Shape.Window.OK():
						windows++
						if !within(power.Shape.Window, test.window, coarse*test.window) || math.Abs(power.Shape.Lag.Or(0)) > 0.03 {
							t.Errorf("%d: averaged %v, want over %v s without a lag", i, show(power.Shape), test.window)
						}
					case power.Shape.Note == "":
						t.Errorf("%d: no window and no note", i)
					}
					if power.Shape.Most.Or(9) < 0.01 || test.window == 0 && power.Shape.Most.Or(0) > 0.31 {
						t.Errorf("%d: window %v", i, show(power.Shape))
					}
					if a := r.Counter.Power; !within(a.Ratio, 1, 0.002+1.5*a.Bound.Or(9)) || a.Bound.Or(9) > 0.1 {
						t.Errorf("%d: counter over power %v, want 1", i, show(a))
					}
					if p := r.Counter.Polling; p.Depends != nil && *p.Depends {
						t.Errorf("%d: the counter is said to depend on polling: %v", i, show(p))
					}
					if k := r.Counter.Integral; k.FullTime != nil && !*k.FullTime {
						t.Errorf("%d: the counter is said to see glimpses: %v", i, show(k))
					}
				}
				if test.window > 0 && test.refresh < 0.4 && windows < phases*5/6 {
					t.Errorf("the window was found %d times of %d", windows, phases)
				}
			})
		}
	}
}

// With steady power there is nothing to compare: the probe says so. The counter steps all the same.
func TestSteadyPower(t *testing.T) {
	gpu := sim.New(sim.Config{Load: sim.Constant(500)})
	r := analyse(gpu.Info(), recorded(gpu, Shortest, nil))
	const steady = "not determinable: power did not move"
	for what, note := range map[string]string{
		"window": r.Power.Shape.Note, "window of instant power": r.Instant.Shape.Note, "integral": r.Counter.Integral.Note,
	} {
		if note != steady {
			t.Errorf("%s: %q, want %q", what, note, steady)
		}
	}
	if r.Power.Shape.Window.OK() || r.Power.Refresh.Period.OK() || r.Power.Refresh.Note == "" || r.Counter.Integral.FullTime != nil {
		t.Errorf("something was guessed: %v %v", show(r.Power), show(r.Counter.Integral))
	}
	if !within(r.Counter.Steps.Period, 0.1, 0.001) || !within(r.Counter.Power.Ratio, 1, 0.001) || *r.Counter.Polling.Depends {
		t.Errorf("counter %v", show(r.Counter))
	}
}

// A sine looks the same through any window, but for its size and place.
func TestEvenPower(t *testing.T) {
	gpu := sim.New(sim.Config{Load: sim.Sine{Mean: 400, Amplitude: 250, Period: 1.3}})
	r := analyse(gpu.Info(), recorded(gpu, Default, nil))
	if r.Power.Shape.Window.OK() || r.Instant.Shape.Window.OK() || r.Counter.Integral.FullTime != nil {
		t.Errorf("something was guessed: %v %v %v", show(r.Power.Shape), show(r.Instant.Shape), show(r.Counter.Integral))
	}
}

// A field that shows its mean late is found out, to 20 ms.
func TestLag(t *testing.T) {
	for _, lag := range []float64{0, 0.15, 0.3} {
		gpu := sim.New(sim.Config{Load: serving(3)})
		rec := recorded(gpu, Default, func(t float64, r *sampler.Reading) { r.PowerWatts = gpu.At(t - lag).PowerWatts })
		s := analyse(gpu.Info(), rec).Power.Shape
		// The refresh keeps its pace of 100 ms, moved by the lag: what is seen is the lag up to whole refreshes.
		if !within(s.Window, 1, 0.05) || !within(s.Lag, lag, 0.02) {
			t.Errorf("late by %v s: %v", lag, show(s))
		}
	}
}

// A counter that adds up the glimpses of the instantaneous field is told from one that counts all of the time.
func TestIntegral(t *testing.T) {
	load := serving(5)
	gpu := sim.New(sim.Config{Load: load})
	all := analyse(gpu.Info(), recorded(gpu, Default, nil)).Counter.Integral
	if all.FullTime == nil || !*all.FullTime || all.R2.Or(1) > 0.97 {
		t.Errorf("full time: %v", show(all))
	}
	// Glimpses of 25 ms, each taken for 100 ms, from the origin on.
	const tick, glimpse = 0.1, 0.025
	var sums []float64
	sum := 0.0
	for k := range 1000 {
		sums = append(sums, sum)
		at := 0.029 + tick*float64(k)
		sum += (load.EnergyJoules(at) - load.EnergyJoules(at-glimpse)) / glimpse * tick
	}
	for _, phase := range []float64{0, 0.03, 0.08} {
		rec := recorded(gpu, Default, func(t float64, r *sampler.Reading) {
			r.EnergyJoules = sampler.Some(math.Floor(1000*sums[int((t-phase)/tick)]) / 1000)
		})
		part := analyse(gpu.Info(), rec).Counter.Integral
		if part.FullTime == nil || *part.FullTime || part.R2.Or(0) < 0.999 {
			t.Errorf("glimpses, phase %v: %v", phase, show(part))
		}
	}
}

// Values are multiples of what they are rounded to.
func TestResolution(t *testing.T) {
	for model, want := range map[string][2]float64{"H200": {0.001, 0.001}, "MI300X": {1.0 / 65536, 1}} {
		gpu := sim.New(sim.Config{Model: model, Load: serving(1)})
		r := analyse(gpu.Info(), recorded(gpu, Shortest, nil))
		if r.Counter.Quantum != sampler.Some(want[0]) || r.Power.Quantum != sampler.Some(want[1]) {
			t.Errorf("%s: %v J, %v W, want %v", model, r.Counter.Quantum, r.Power.Quantum, want)
		}
	}
}
