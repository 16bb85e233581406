package state

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// A wall clock that is set, while a daemon runs or while none does, changes neither what comes back nor what it measures.
func TestClockIsSet(t *testing.T) {
	for _, test := range []struct {
		step time.Duration
		when int // reading of 60, before which the clock is set; a new daemon begins at the 30th
	}{
		{time.Hour, 20}, {-time.Hour, 20}, {time.Hour, 30}, {-time.Hour, 30}, {-time.Hour, 40}, {time.Second, 30}, {0, 30},
	} {
		t.Run(fmt.Sprintf("%v at %d", test.step, test.when), func(t *testing.T) {
			r := newRig(t)
			gpu := sim.New(sim.Config{Load: sim.Sine{Mean: 400, Amplitude: 200, Period: 13}, Host: "host"})
			truth := gpu.Series(0, time.Minute, time.Second)
			info := truth.Info
			base := r.clock.Now().MonoNano - truth.Readings[0].At.MonoNano // from the GPU's origin to now
			var want []sampler.Reading
			var began sampler.Moment // of the second daemon
			s := r.open()
			s.Know(info)
			for i, reading := range truth.Readings {
				if i >= test.when {
					reading.At.UnixNano += int64(test.step)
				}
				reading.At.MonoNano += base
				want = append(want, reading)
				if i == 30 {
					r.close(s)
					s = r.open()
					began = reading.At.Add(-200 * time.Millisecond)
					s.self.At = began
					s.Know(info)
				}
				s.Keep(sampler.Kept{GPU: info.ID(), Reading: reading})
				if err := s.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			r.close(s)
			s = r.open()
			defer r.close(s)
			var got []sampler.Reading
			for kept := range s.Earlier(sampler.Moment{UnixNano: 1, MonoNano: 1}) {
				got = append(got, kept.Reading)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%d readings came back, want %d, each the same", len(got), len(want))
			}
			if gap := s.Restarts()[0]; gap.From != want[29].At || gap.To != began || gap.To.Sub(gap.From) != 800*time.Millisecond {
				t.Errorf("the time without a daemon: %+v, %v, want 800ms", gap, gap.To.Sub(gap.From))
			}
			w := window.Window{Start: want[10].At, End: want[50].At}
			limits := window.Limits{AllowSimulated: true}
			back := window.Measure(window.Recorded{{Info: info, Readings: got}}, w, limits)
			plain := window.Measure(window.Recorded{truth}, window.Window{Start: truth.Readings[10].At, End: truth.Readings[50].At}, limits)
			if !back.Valid() || back.Energy() != plain.Energy() || back.Bound() != plain.Bound() || back.Duration() != 40*time.Second {
				t.Errorf("%v J ± %v in %v, reasons %v; want %v ± %v in 40s as without", back.Energy(), back.Bound(), back.Duration(),
					back.AllReasons(), plain.Energy(), plain.Bound())
			}
			joules := gpu.Load().EnergyJoules(50) - gpu.Load().EnergyJoules(10)
			if off := math.Abs(back.Energy().Or(0) - joules); off > back.Bound().Or(0) {
				t.Errorf("off by %v J, bound %v", off, back.Bound())
			}
			if noted := slices.Contains(back.AllNotes(), window.ClockStep); noted != (test.step != 0) {
				t.Errorf("notes %v", back.AllNotes())
			}
		})
	}
}
