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

// setClock returns the series of a host whose wall clock is set by step at the second when of the GPU's clock.
func setClock(gpu *sim.GPU, series sampler.Series, when float64, step time.Duration) sampler.Series {
	at := gpu.Moment(when)
	series.Readings = slices.Clone(series.Readings)
	for i := range series.Readings {
		series.Readings[i].At = set(series.Readings[i].At, at, step)
	}
	return series
}

func set(m, at sampler.Moment, step time.Duration) sampler.Moment {
	if m.Sub(at) >= 0 {
		m.UnixNano += int64(step)
	}
	return m
}

func TestClockSetInsideTheWindow(t *testing.T) {
	gpu := busy("H200")
	steady := readAt(gpu, every(0, 60, 1, 22.299, 37.901)...) // the polls lie just outside
	want := measured(t, steady, span(gpu, 22.3, 37.9))
	for _, test := range []struct {
		name string
		when float64
		step time.Duration
		note bool
	}{
		{"an hour back", 30, -time.Hour, true},
		{"an hour forward", 30, time.Hour, true},
		{"a second forward", 30, time.Second, true},
		{"just after the start", 22.4, time.Hour, true},
		{"just before the end", 37.8, -time.Hour, true},
		{"slewed by a millisecond", 30, time.Millisecond, false},
		{"before the window", 20, time.Hour, false},
		{"after the window", 39, time.Hour, false},
	} {
		w := span(gpu, 22.3, 37.9)
		w.Start, w.End = set(w.Start, gpu.Moment(test.when), test.step), set(w.End, gpu.Moment(test.when), test.step)
		r := window.Measure(window.Recorded{setClock(gpu, steady, test.when, test.step)}, w, allowed())
		if !r.Valid() || r.GPUs[0].Energy != want.Energy || r.GPUs[0].Bound != want.Bound {
			t.Errorf("%s: energy %v ± %v, reasons %v; want %v ± %v as without", test.name, r.GPUs[0].Energy, r.GPUs[0].Bound,
				r.AllReasons(), want.Energy, want.Bound)
		}
		if got := slices.Contains(r.Notes, window.ClockStep); got != test.note {
			t.Errorf("%s: notes = %v, want %s %v", test.name, r.Notes, window.ClockStep, test.note)
		}
		if got := r.Duration(); got != 15600*time.Millisecond {
			t.Errorf("%s: duration = %v, want 15.6s: it is monotonic", test.name, got)
		}
	}
}

// every returns the seconds from first to last in steps, and more.
func every(first, last, step float64, more ...float64) []float64 {
	for t := first; t <= last; t += step {
		more = append(more, t)
	}
	return more
}

// A benchmark stamps its window with the wall clock only.
func TestWindowOfTheWallClock(t *testing.T) {
	gpu := busy("H200")
	for _, test := range []struct {
		name string
		a, b float64 // s, on the GPU's clock
		when float64
		step time.Duration
		note bool
	}{
		{"never set", 22.3, 37.9, 100, 0, false},
		{"set forward before the window", 22.3, 37.9, 10, time.Hour, false},
		{"set back before the window", 22.3, 37.9, 10, -time.Hour, false},
		{"set forward after the window", 22.3, 37.9, 45, time.Hour, false},
		{"set back after the window", 22.3, 37.9, 45, -time.Hour, false},
		{"set forward inside", 22.3, 37.9, 30, time.Hour, true},
		{"set back before, and the window's times shown twice", 32.3, 37.9, 31, -10 * time.Second, false},
	} {
		series := setClock(gpu, gpu.Series(0, 60*time.Second, time.Second), test.when, test.step)
		at := gpu.Moment(test.when)
		start, end := set(gpu.Moment(test.a), at, test.step), set(gpu.Moment(test.b), at, test.step)
		start.MonoNano, end.MonoNano = 0, 0
		r := window.Measure(window.Recorded{series}, window.Window{Start: start, End: end}, allowed())
		want := truth(gpu, test.a, test.b)
		if energy, ok := r.Energy().Known(); !ok || !r.Valid() || math.Abs(energy-want) > r.Bound().Or(0) {
			t.Errorf("%s: %v J ± %v, reasons %v; want %.1f", test.name, r.Energy(), r.Bound(), r.AllReasons(), want)
		}
		if got, want := r.Duration(), seconds(test.b-test.a); (got - want).Abs() > time.Microsecond {
			t.Errorf("%s: duration = %v, want %v", test.name, got, want)
		}
		if got := slices.Contains(r.Notes, window.ClockStep); got != test.note {
			t.Errorf("%s: notes = %v, want %s %v", test.name, r.Notes, window.ClockStep, test.note)
		}
		if r.Start.UnixNano != start.UnixNano || r.End.UnixNano != end.UnixNano {
			t.Errorf("%s: the result's window is %v to %v, want the wall times that were asked for", test.name, r.Start, r.End)
		}
	}
}

// One edge is a mark, with both clocks; the other a benchmark's stamp. The wall clock was set back in between.
func TestMixedEdges(t *testing.T) {
	gpu := busy("H200")
	series := setClock(gpu, gpu.Series(0, 60*time.Second, time.Second), 30, -time.Hour)
	end := set(gpu.Moment(37.9), gpu.Moment(30), -time.Hour)
	end.MonoNano = 0
	r := window.Measure(window.Recorded{series}, window.Window{Start: gpu.Moment(22.3), End: end}, allowed())
	if want := truth(gpu, 22.3, 37.9); !r.Valid() || math.Abs(r.Energy().Or(0)-want) > r.Bound().Or(0) {
		t.Errorf("%v J ± %v, reasons %v; want %.1f: the end lies after the start on the monotonic clock", r.Energy(), r.Bound(),
			r.AllReasons(), want)
	}
}

func TestWallOnlyReadings(t *testing.T) { // a recording of another tool
	gpu := busy("H200")
	series := gpu.Series(0, 60*time.Second, time.Second)
	for i := range series.Readings {
		series.Readings[i].At.MonoNano = 0
	}
	for _, w := range []window.Window{
		span(gpu, 22.3, 37.9),
		{Start: sampler.WallMoment(gpu.Moment(22.3).Wall()), End: sampler.WallMoment(gpu.Moment(37.9).Wall())},
	} {
		got := measured(t, series, w)
		if want := truth(gpu, 22.3, 37.9); math.Abs(got.Energy.Or(0)-want) > got.Bound.Or(0) {
			t.Errorf("%v J ± %v, want %.1f", got.Energy, got.Bound, want)
		}
	}
}

func TestImpossibleWindows(t *testing.T) {
	gpu := busy("H200")
	stepped := setClock(gpu, gpu.Series(0, 60*time.Second, time.Second), 30, time.Hour)
	wall := func(t float64) sampler.Moment { return sampler.WallMoment(gpu.Moment(t).Wall()) }
	for name, test := range map[string]struct {
		src        window.Source
		start, end sampler.Moment
	}{
		"no length":                     {window.Recorded{stepped}, gpu.Moment(22), gpu.Moment(22)},
		"end before start":              {window.Recorded{stepped}, gpu.Moment(38), gpu.Moment(22)},
		"end before start, wall only":   {window.Recorded{stepped}, wall(38), wall(22)},
		"no GPUs":                       {window.Recorded{}, gpu.Moment(38), gpu.Moment(22)},
		"zero moments":                  {window.Recorded{stepped}, sampler.Moment{}, sampler.Moment{}},
		"the same time on the way back": {window.Recorded{stepped}, gpu.Moment(22), wall(22)},
	} {
		r := window.Measure(test.src, window.Window{Start: test.start, End: test.end}, allowed())
		if !slices.Equal(r.AllReasons(), []window.Reason{window.InvalidBenchmarkWindow}) || r.Energy().OK() || len(r.GPUs) != 0 {
			t.Errorf("%s: reasons %v, energy %v, %d GPUs; want %s, none", name, r.AllReasons(), r.Energy(), len(r.GPUs),
				window.InvalidBenchmarkWindow)
		}
	}
	skipped := window.Measure(window.Recorded{stepped}, window.Window{Start: wall(1000), End: wall(1100)}, allowed())
	if skipped.Valid() || skipped.Energy().OK() {
		t.Errorf("times that the clock skipped: energy %v, reasons %v; want none, a reason", skipped.Energy(), skipped.AllReasons())
	}
}
