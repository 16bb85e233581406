package window_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// slewed returns the series of a host whose wall clock runs so much faster than its monotonic clock.
func slewed(series sampler.Series, rate float64) sampler.Series {
	series.Readings = slices.Clone(series.Readings)
	first := series.Readings[0].At
	for i := range series.Readings {
		at := &series.Readings[i].At
		at.UnixNano += int64(rate * float64(at.UnixNano-first.UnixNano))
	}
	return series
}

// A leap second that is smeared over a day (11.6 ppm), and a clock that NTP slews as fast as it may (500 ppm): marks
// and stamps of the wall clock measure what they did, and nothing was set.
func TestSlewedClock(t *testing.T) {
	gpu := sim.New(sim.Config{Load: sim.Sine{Mean: 400, Amplitude: 200, Period: 13}})
	const from, to = 100.25, 3500.5
	plain := gpu.Series(0, time.Hour, time.Second)
	want := measured(t, plain, span(gpu, from, to))
	for _, rate := range []float64{11.6e-6, -11.6e-6, 500e-6, -500e-6} {
		series := slewed(plain, rate)
		first := series.Readings[0].At
		wall := func(t float64) sampler.Moment {
			m := gpu.Moment(t)
			m.UnixNano += int64(rate * float64(m.UnixNano-first.UnixNano))
			return m
		}
		live := window.Window{Start: wall(from), End: wall(to)}
		stamped := live
		stamped.Start.MonoNano, stamped.End.MonoNano = 0, 0
		for name, w := range map[string]window.Window{"marks": live, "stamps": stamped} {
			r := window.Measure(window.Recorded{series}, w, allowed())
			off := math.Abs(r.Energy().Or(0) - want.Energy.Or(0))
			if !r.Valid() || name == "marks" && off != 0 || off > 1 { // half a millisecond per reading is 0.2 J
				t.Errorf("%g ppm, %s: %v J, want %v; reasons %v", 1e6*rate, name, r.Energy(), want.Energy, r.AllReasons())
			}
			if (r.Duration() - seconds(to-from)).Abs() > 2*time.Millisecond {
				t.Errorf("%g ppm, %s: duration %v, want %v", 1e6*rate, name, r.Duration(), seconds(to-from))
			}
			if name == "marks" && math.Abs(rate) < 100e-6 && slices.Contains(r.AllNotes(), window.ClockStep) {
				t.Errorf("%g ppm: a smear is no step: notes %v", 1e6*rate, r.AllNotes())
			}
		}
	}
}

// The host sleeps for an hour: its monotonic clock stands still, its wall clock does not, and the driver may begin its
// counters anew.
func TestSuspend(t *testing.T) {
	for _, reset := range []bool{false, true} {
		var faults []sim.Fault
		if reset {
			faults = append(faults, sim.CounterReset(seconds(30)))
		}
		gpu := busy("H200", faults...)
		series := setClock(gpu, gpu.Series(0, 60*time.Second, time.Second), 30, time.Hour)
		w := span(gpu, 22.3, 37.9)
		w.End = set(w.End, gpu.Moment(30), time.Hour)
		r := window.Measure(window.Recorded{series}, w, allowed())
		if want := truth(gpu, 22.3, 37.9); !r.Valid() || math.Abs(r.Energy().Or(0)-want) > r.Bound().Or(0) {
			t.Errorf("counter reset %v: %v J ± %v, want %.1f; reasons %v", reset, r.Energy(), r.Bound(), want, r.AllReasons())
		}
		if !slices.Contains(r.AllNotes(), window.ClockStep) || slices.Contains(r.AllNotes(), window.CounterFell) != reset {
			t.Errorf("counter reset %v: notes %v", reset, r.AllNotes())
		}
		if r.Duration() != seconds(37.9-22.3) {
			t.Errorf("duration %v: the sleep is no part of it", r.Duration())
		}
	}
}
