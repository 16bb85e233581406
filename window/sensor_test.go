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

func TestImplausiblePowerIsLeftOut(t *testing.T) {
	for _, watts := range []float64{4e6, -5, 1401, 593e3} {
		gpu := busy("H200", sim.PowerSpike(seconds(26), seconds(27.5), watts), sim.CounterMissing(0, time.Hour))
		got := measured(t, gpu.Series(0, time.Minute, time.Second), span(gpu, 22, 38))
		if !slices.Contains(got.Notes, window.PowerRejected) {
			t.Errorf("%g W: notes = %v, want %s", watts, got.Notes, window.PowerRejected)
		}
		if most := got.MaxPower.Or(-1); most > 1400 || most < 600 {
			t.Errorf("%g W: highest power = %v W, want that of the load", watts, most)
		}
		if want := truth(gpu, 22, 38); math.Abs(got.Energy.Or(0)-want) > got.Bound.Or(0)+0.01*want {
			t.Errorf("%g W: %.1f J ± %.1f, want %.1f", watts, got.Energy.Or(0), got.Bound.Or(0), want)
		}
	}
}

func TestPlausiblePowerStays(t *testing.T) {
	for _, watts := range []float64{0, 1, 900, 1399} { // a spike above the limit is ordinary for some milliseconds
		gpu := busy("H200", sim.PowerSpike(seconds(26), seconds(26.05), watts))
		got := measured(t, gpu.Series(0, time.Minute, time.Second), span(gpu, 22, 38))
		if slices.Contains(got.Notes, window.PowerRejected) {
			t.Errorf("%g W: notes = %v, want no %s", watts, got.Notes, window.PowerRejected)
		}
	}
}

// One sensor that raves does not take the other with it.
func TestOneImplausibleSensor(t *testing.T) {
	for _, edit := range []func(*sampler.Reading){
		func(r *sampler.Reading) { r.InstantWatts = sampler.Some(4e6) },
		func(r *sampler.Reading) { r.PowerWatts = sampler.Some(4e6) },
	} {
		for _, method := range []window.Method{"", window.Boxcar, window.Trapezoid} {
			gpu := busy("H200")
			series := gpu.Series(0, time.Minute, time.Second)
			for i := range series.Readings {
				if i%4 == 1 {
					edit(&series.Readings[i])
				}
			}
			limits := allowed()
			limits.Method = method
			r := window.Measure(window.Recorded{series}, span(gpu, 22, 38), limits)
			want := truth(gpu, 22, 38)
			if energy, ok := r.Energy().Known(); !ok || !r.Bound().OK() || math.Abs(energy-want) > r.Bound().Or(0)+0.01*want {
				t.Errorf("method %q: %v J ± %v, reasons %v; want %.1f", method, r.Energy(), r.Bound(), r.AllReasons(), want)
			}
		}
	}
}

func TestCounterWithoutAnyPowerSensor(t *testing.T) {
	random, step := rand.New(rand.NewPCG(9, 9)), shapes()[1]
	for _, kind := range []string{"live", "burst"} {
		var acc accuracy
		for range 40 {
			tr := newTrial(random, "H200", step, 10)
			sensors := sim.HopperSensors()
			sensors.AverageWindow, sensors.InstantWindow = 0, 0
			sensors.CounterPhase = seconds(random.Float64())
			tr.gpu = sim.New(sim.Config{Load: tr.gpu.Load(), Sensors: sensors})
			tr = kinds()[kind](tr)
			r := tr.measure("")
			acc.add(tr, r)
			if got := r.GPUs[0]; got.Method != window.Counter || got.PowerEnergy.OK() || got.MaxPower.OK() || got.Crosscheck.OK() {
				t.Fatalf("by %s, power %v, most %v, crosscheck %v; want the counter, no power", got.Method, got.PowerEnergy, got.MaxPower, got.Crosscheck)
			}
		}
		if acc.coverage() < 0.9 || math.Abs(acc.mean()) > 0.005 {
			t.Errorf("%s: mean error %+.3f %%, sd %.3f %%, within the bound %.0f %%; want at most 0.5 %%, at least 90 %%", kind,
				100*acc.mean(), 100*acc.deviation(), 100*acc.coverage())
		}
	}
}

func TestCounterAloneFromTheFirstReadingOn(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	mean := 0.0
	for range 100 {
		sensors := sim.HopperSensors()
		sensors.AverageWindow, sensors.InstantWindow, sensors.CounterPhase = 0, 0, seconds(random.Float64())
		gpu := sim.New(sim.Config{Load: sim.Constant(600), Sensors: sensors})
		got := measured(t, readAt(gpu, every(0, 20, 1, 0.02, 12.5)...), span(gpu, 0, 12.5))
		mean += (got.Energy.Or(0) - 7500) / 7500 / 100
	}
	if math.Abs(mean) > 0.002 { // half a tick of 12.5 s is 0.4 %
		t.Errorf("mean error = %+.2f %%, want none: power at the start follows from what comes after", 100*mean)
	}
}

// AMD's driver stamps each count itself: no tick, no age.
func TestCounterWithoutTicks(t *testing.T) {
	gpu := busy("MI300X")
	got := measured(t, readAt(gpu, every(0, 60, 1, 22.3, 37.9)...), span(gpu, 22.3, 37.9))
	if want := truth(gpu, 22.3, 37.9); got.Method != window.Counter || math.Abs(got.Energy.Or(0)-want) > 0.001 {
		t.Errorf("%.4f J by %s, want %.4f", got.Energy.Or(0), got.Method, want)
	}
	if bound := got.Bound.Or(0); bound < 0.5 || bound > 3 { // the driver's stamp is good to a millisecond, of 675 W
		t.Errorf("bound = %.3f J, want about the energy of a millisecond at each edge", bound)
	}
}

func TestDriverCallsWidenTheBound(t *testing.T) {
	gpu := busy("MI300X")
	series := readAt(gpu, every(0, 60, 1, 22.3, 37.9)...)
	for i := range series.Readings {
		series.Readings[i].Call = 60 * time.Millisecond // each time is uncertain by ± 30 ms
	}
	got := measured(t, series, span(gpu, 22.3, 37.9))
	want := 2 * 675 * 0.03 * math.Sqrt(2.0/3) // two edges, evenly distributed
	if bound := got.Bound.Or(0); math.Abs(bound-want) > 0.01*want {
		t.Errorf("bound = %.2f J, want %.2f", bound, want)
	}
	if got.DriverCallMax.Or(0) != 0.06 {
		t.Errorf("longest call = %v s, want 0.06", got.DriverCallMax)
	}
}

func TestLimitOfZeroIsUnknown(t *testing.T) {
	gpu := busy("H200")
	for name, limit := range map[string]sampler.Value{"zero": sampler.Some(0), "missing": {}} {
		series := gpu.Series(0, time.Minute, time.Second)
		series.Info.PowerLimitWatts = limit
		got := measured(t, series, span(gpu, 22, 38))
		if want := truth(gpu, 22, 38); got.Method != window.Counter || len(got.Notes) > 1 || math.Abs(got.Energy.Or(0)-want) > got.Bound.Or(0) {
			t.Errorf("limit %s: %.1f J ± %.1f by %s, notes %v; want %.1f by the counter", name, got.Energy.Or(0), got.Bound.Or(0), got.Method,
				got.Notes, want)
		}
	}
}

func TestLargeCounters(t *testing.T) {
	gpu := busy("H200")
	for _, origin := range []float64{0, 1e9, 1e12} { // the last: 45 years at 700 W
		series := gpu.Series(0, time.Minute, time.Second)
		first := series.Readings[0].EnergyJoules.Or(0)
		for i, r := range series.Readings {
			series.Readings[i].EnergyJoules = sampler.Some(r.EnergyJoules.Or(0) - first + origin)
		}
		got := measured(t, series, span(gpu, 22, 38))
		if want := truth(gpu, 22, 38); math.Abs(got.Energy.Or(0)-want) > got.Bound.Or(0) {
			t.Errorf("counter from %g J: %.3f J, want %.3f", origin, got.Energy.Or(0), want)
		}
	}
}

func TestWhatElseTheReadingsSay(t *testing.T) {
	gpu := busy("H200")
	series := gpu.Series(0, time.Minute, time.Second)
	for i := range series.Readings {
		r := &series.Readings[i]
		r.TemperatureC, r.ThrottleKnown, r.Throttle = sampler.SomeGauge(50+float64(i%10)), true, 0
		if i >= 25 && i < 30 {
			r.Throttle = sampler.ThrottleThermal
		}
	}
	got := measured(t, series, span(gpu, 22, 38))
	for _, test := range []struct {
		name string
		got  sampler.Value
		want float64
	}{
		{"max temperature", got.MaxTemperature, 59},
		{"throttled time", got.ThrottledS, 5},
		{"max power", got.MaxPower, 630},
		{"average power", got.AvgPower, 630},
		{"power limit", got.PowerLimit, 700},
		{"longest gap", got.MaxGapS, 1},
		{"coverage", got.Coverage, 1},
		{"tolerance, 5 %", got.Tolerance, 0.05 * truth(gpu, 22, 38)},
		{"crosscheck", got.Crosscheck, 1},
	} {
		if x, ok := test.got.Known(); !ok || math.Abs(x-test.want) > 0.005*test.want {
			t.Errorf("%s = %v, want %v", test.name, test.got.Or(math.NaN()), test.want)
		}
	}
	if !slices.Contains(got.Notes, window.Throttled) || got.Samples != 17 {
		t.Errorf("notes %v, %d samples; want %s, 17", got.Notes, got.Samples, window.Throttled)
	}
	for i := range series.Readings {
		series.Readings[i].Throttle, series.Readings[i].ThrottleKnown = 0, false
		series.Readings[i].TemperatureC = sampler.Gauge{}
	}
	if got := measured(t, series, span(gpu, 22, 38)); got.ThrottledS.OK() || got.MaxTemperature.OK() {
		t.Errorf("throttled for %v s, at most %v °C; want missing: the driver did not say", got.ThrottledS, got.MaxTemperature)
	}
}

func TestToleranceHoldsTheAliasTerm(t *testing.T) {
	steady := measured(t, sim.New(sim.Config{Load: sim.Constant(500)}).Series(0, time.Minute, time.Second),
		span(sim.New(sim.Config{}), 10, 40))
	if want := 0.05 * 15000.0; math.Abs(steady.Tolerance.Or(0)-want) > 1 {
		t.Errorf("tolerance of a steady load = %v J, want 5 %%, %g", steady.Tolerance, want)
	}
	idle := sim.New(sim.Config{Load: sim.Constant(40)})
	if got := measured(t, idle.Series(0, time.Minute, time.Second), span(idle, 10, 40)); math.Abs(got.Tolerance.Or(0)-150) > 0.1 {
		t.Errorf("tolerance of an idle GPU = %v J, want 5 W", got.Tolerance)
	}
	wild := sim.New(sim.Config{Load: sim.Square{Low: 100, High: 700, Period: 1.7, Duty: 0.5}})
	got := measured(t, wild.Series(0, time.Minute, time.Second), span(wild, 10, 40))
	alias := math.Sqrt(0.75 * 300 * 300 * 0.1 * 30) // facts/nvml.md §2.6: σ = 300 W, a tick of 0.1 s
	if extra := got.Tolerance.Or(0) - 0.05*got.Energy.Or(0); extra < 0.8*alias || extra > 1.2*alias {
		t.Errorf("alias term = %.1f J, want about %.1f", extra, alias)
	}
}

// Readings that repeat a time, as recordings of other tools have, are of no harm.
func TestRepeatedTimes(t *testing.T) {
	for _, method := range []window.Method{"", window.Boxcar, window.Trapezoid} {
		gpu := sim.New(sim.Config{Load: sim.Constant(500)})
		series := gpu.Series(0, time.Minute, time.Second)
		var twice []sampler.Reading
		for _, r := range series.Readings {
			twice = append(twice, r, r)
		}
		series.Readings = twice
		limits := allowed()
		limits.Method = method
		for _, edges := range [][2]float64{{10, 40}, {10.4, 39.7}} {
			r := window.Measure(window.Recorded{series}, span(gpu, edges[0], edges[1]), limits)
			want := truth(gpu, edges[0], edges[1])
			if got := fmt.Sprintf("%.1f", r.Energy().Or(-1)); !r.Valid() || math.Abs(r.Energy().Or(-1)-want) > r.Bound().Or(0)+0.1 {
				t.Errorf("method %q: %s J, want %.1f; reasons %v", method, got, want, r.AllReasons())
			}
		}
	}
}
