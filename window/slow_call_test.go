package window_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// On a busy host the process loses its processor inside driver calls: a count is then up to half a call away from the
// time it is stamped with. Readings close together must not claim to date the counter's step better than that.
func TestSlowCallsAreInTheBound(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const windows = 400
	within := 0
	for range windows {
		sensors := sim.HopperSensors()
		sensors.CounterPhase = time.Duration(random.Float64() * float64(sensors.CounterPeriod))
		gpu := sim.New(sim.Config{Load: sim.Constant(550), Sensors: sensors})
		series := sampler.Series{Info: gpu.Info()}
		read := func(begin float64) (end float64) {
			call := 0.0001
			if random.IntN(2) == 0 {
				call = 0.06 * random.Float64()
			}
			at := begin + call/2
			r := gpu.At(begin + call*random.Float64()) // somewhere in the call
			r.At, r.Call = gpu.Moment(at), time.Duration(call*float64(time.Second))
			series.Readings = append(series.Readings, r)
			return begin + call
		}
		var start, end float64
		for at := -8.0; at < 8; at++ {
			begin := at
			for range 5 { // marks of several windows, one after the other
				begin = read(begin + 0.002)
			}
			switch at {
			case 0:
				start = begin
			case 4:
				end = begin
			}
		}
		r := window.Measure(window.Recorded{series}, window.Window{Start: gpu.Moment(start), End: gpu.Moment(end)},
			window.Limits{AllowSimulated: true})
		truth := gpu.Load().EnergyJoules(end) - gpu.Load().EnergyJoules(start)
		if math.Abs(r.Energy().Or(0)-truth) <= r.Bound().Or(0) {
			within++
		}
	}
	if share := float64(within) / windows; share < 0.93 {
		t.Errorf("the truth lies within the bound in %.1f %% of the windows, want 95 %%", 100*share)
	}
}

// A window that is too short for the sensors says so.
func TestWideBound(t *testing.T) {
	gpu := sim.New(sim.Config{Load: sim.Constant(550)})
	series := gpu.Series(-10*time.Second, 70*time.Second, time.Second)
	for length, want := range map[float64]bool{0.2: true, 60: false} {
		w := window.Window{Start: gpu.Moment(0.1), End: gpu.Moment(0.1 + length)}
		r := window.Measure(window.Recorded{series}, w, window.Limits{AllowSimulated: true})
		if got := slices.Contains(r.AllNotes(), window.WideBound); got != want {
			t.Errorf("%v s: %v J ± %v, notes %v", length, r.Energy(), r.Bound(), r.AllNotes())
		}
	}
}
