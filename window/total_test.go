package window_test

import (
	"math"
	"testing"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// ramps returns a GPU read every second from its own offset on, whose power is from + slope · t.
func ramps(offset time.Duration, from, slope float64, silent func(int) bool) sampler.Series {
	s := sampler.Series{Info: sampler.Info{UUID: offset.String()}}
	for i := range 20 {
		at := time.Duration(i)*time.Second + offset
		if silent == nil || !silent(i) {
			s.Readings = append(s.Readings, sampler.Reading{
				At:         sampler.Moment{UnixNano: int64(at), MonoNano: int64(at) + 1},
				PowerWatts: sampler.Some(from + slope*at.Seconds()),
			})
		}
	}
	return s
}

// Power of two GPUs that are read at different times is summed at one time: exactly, where both are straight lines.
func TestTotalIsSynchronised(t *testing.T) {
	a, b := ramps(0, 100, 10, nil), ramps(300*time.Millisecond, 500, -20, nil)
	points := window.Total([]sampler.Series{a, b}, 0, window.Limits{})
	if len(points) != 40 {
		t.Fatalf("%d points, want one for each reading", len(points))
	}
	for i, p := range points[1 : len(points)-1] { // at the ends one of them is held
		x := float64(p.At.UnixNano) / 1e9
		if got, want := p.Watts.Or(math.NaN()), 600-10*x; math.Abs(got-want) > 1e-9 {
			t.Errorf("point %d at %.1f s: %v W, want %v", i, x, got, want)
		}
	}
	if thin := window.Total([]sampler.Series{a, b}, time.Second, window.Limits{}); len(thin) != 20 {
		t.Errorf("a second apart: %d points, want 20", len(thin))
	}
}

// Where one GPU is silent for too long there is no total, rather than one without it.
func TestTotalIsMissingInAGap(t *testing.T) {
	silent := func(i int) bool { return i > 5 && i < 12 || i > 15 }
	points := window.Total([]sampler.Series{ramps(0, 100, 0, nil), ramps(0, 50, 0, silent)}, 0, window.Limits{})
	for _, p := range points {
		second := int(p.At.UnixNano / 1e9)
		if watts, ok := p.Watts.Known(); ok == silent(second) || ok && watts != 150 {
			t.Errorf("%d s: %v %v", second, watts, ok)
		}
	}
	if window.Total(nil, 0, window.Limits{}) != nil {
		t.Error("no GPUs have a total")
	}
}
