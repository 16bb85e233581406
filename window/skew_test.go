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

func skew(offset, bound float64) window.Skew {
	return window.Skew{Offset: sampler.Some(offset), Bound: sampler.Some(bound)}
}

// skewed is a node whose clock is ahead by so many seconds, with one GPU of this load, measured over a span that was
// told in the other clock; and what it truly used in that span.
func skewed(t *testing.T, host string, s window.Skew, load sim.Load, seconds ...float64) (r window.Result, truth float64) {
	t.Helper()
	ahead := time.Duration(s.Offset.Or(0) * 1e9)
	origin := time.Unix(1_785_585_600, 0)
	gpu := sim.New(sim.Config{Host: host, Load: load, Clock: sampler.NewClock(), Origin: origin.Add(ahead)})
	told := func(x float64) sampler.Moment {
		return sampler.WallMoment(origin.Add(time.Duration(x * 1e9)))
	}
	w := window.Window{Run: "r1", Start: s.Here(told(seconds[0])), End: s.Here(told(seconds[1])), Skew: s}
	src := window.Recorded{gpu.Series(0, time.Minute, time.Second)}
	r = window.Measure(src, w, allowed())
	at := func(x float64) time.Time { return origin.Add(ahead).Add(time.Duration(x * 1e9)) }
	return r, gpu.TrueJoules(at(seconds[0]), at(seconds[1]))
}

// Nodes whose clocks are seconds apart measure the same span of a load that changes at its edges.
func TestSkewedNodesMeasureTheSameSpan(t *testing.T) {
	load := sim.Steps{{Watts: 100}, {At: 10, Watts: 600}, {At: 40, Watts: 100}}
	var results []window.Result
	sum := 0.0
	for host, ahead := range map[string]float64{"n1": 0, "n2": 7.25, "n3": -3.5} {
		r, truth := skewed(t, host, skew(ahead, 0.0005), load, 10, 40)
		if got, bound := r.Energy().Or(0), r.Bound().Or(0); math.Abs(got-truth) > bound || bound > 0.02*truth || math.Abs(truth-18000) > 1 {
			t.Errorf("%s, ahead by %v s: %v J, want %v ± %v", host, ahead, got, truth, bound)
		}
		results = append(results, r)
		sum += truth
	}
	m := window.Merge(results...)
	if !m.Valid() || math.Abs(m.Energy().Or(0)-sum) > m.Bound().Or(0) {
		t.Errorf("merged: %v J ± %v, want %v; reasons %v", m.Energy(), m.Bound(), sum, m.AllReasons())
	}
	if d := m.Duration(); d != 30*time.Second {
		t.Errorf("duration = %v, want 30 s", d)
	}
	for _, node := range m.Nodes {
		if node.StartUnix != sampler.Some(1_785_585_610) || node.EndUnix != sampler.Some(1_785_585_640) || !node.ClockOffset.OK() || node.GPUs != 1 {
			t.Errorf("node %+v: want the edges in the common clock", node)
		}
	}
}

// A mark that is told in another clock, without the offset: the merge sees it.
func TestUnknownSkewIsSeen(t *testing.T) {
	a, _ := skewed(t, "n1", window.Skew{}, sim.Constant(500), 10, 40)
	b, _ := skewed(t, "n2", window.Skew{}, sim.Constant(500), 10.2, 40.2)
	m := window.Merge(a, b)
	if got := m.AllReasons(); !slices.Equal(got, []window.Reason{window.DifferentWindows}) {
		t.Errorf("reasons = %v", got)
	}
	if !slices.Contains(m.Notes, window.ClockOffsetUnknown) {
		t.Errorf("notes = %v, want clock_offset_unknown", m.Notes)
	}
	if one := window.Merge(a, a.As("again")); slices.Contains(one.Notes, window.ClockOffsetUnknown) {
		t.Errorf("notes on one host = %v", one.Notes)
	}
}

func TestSkewUncertain(t *testing.T) {
	load := sim.Constant(500)
	for _, test := range []struct {
		bound, interval float64
		want            bool
	}{
		{0.0999, 1, false}, {0.1001, 1, true}, {0.0999, 0, false}, {0.1001, 0, true}, {0.02, 0.1, true}, {0.02, 0.21, false},
	} {
		gpu := sim.New(sim.Config{Load: load, Clock: sampler.NewClock(), Origin: time.Unix(1_785_585_600, 0)})
		w := span(gpu, 10, 40)
		w.Skew = skew(0, test.bound)
		lim := allowed()
		lim.Interval = time.Duration(test.interval * 1e9)
		r := window.Measure(window.Recorded{gpu.Series(0, time.Minute, time.Second)}, w, lim)
		if got := slices.Contains(r.Reasons, window.ClockOffsetUncertain); got != test.want {
			t.Errorf("bound %v s at an interval of %v s: uncertain %v, want %v", test.bound, test.interval, got, test.want)
		}
	}
}

// The error that the clock's bound allows is inside the energy's bound.
func TestSkewWidensTheBound(t *testing.T) {
	load := sim.Steps{{Watts: 100}, {At: 10, Watts: 600}, {At: 40, Watts: 100}}
	origin := time.Unix(1_785_585_600, 0)
	gpu := sim.New(sim.Config{Load: load, Clock: sampler.NewClock(), Origin: origin})
	w := span(gpu, 10, 40)
	truth := gpu.TrueJoules(w.Start.Wall(), w.End.Wall())
	w.Start, w.End = w.Start.Add(50*time.Millisecond), w.End.Add(50*time.Millisecond)
	src := window.Recorded{gpu.Series(0, time.Minute, 10*time.Millisecond)}
	trusted := window.Measure(src, w, allowed())
	w.Skew = skew(0.05, 0.05) // the clock is right, and was taken to be ahead by 50 ms
	r := window.Measure(src, w, allowed())
	if off := math.Abs(trusted.Energy().Or(0) - truth); off < trusted.Bound().Or(0) || off < 20 {
		t.Errorf("%v J: the clock's error of %v J shows nowhere; is the test right?", trusted.Energy(), off)
	}
	if got, bound := r.Energy().Or(0), r.Bound().Or(0); math.Abs(got-truth) > bound || bound > 40 {
		t.Errorf("%v J, want %v ± %v, and that at most 40 J: 50 ms at 600 W", got, truth, bound)
	}
}

func TestSkewThrough(t *testing.T) {
	for _, test := range []struct {
		name             string
		start, end, want window.Skew
	}{
		{"both", skew(2, 0.001), skew(2.003, 0.002), skew(2, 0.004)},
		{"no drift", skew(-1, 0.001), skew(-1, 0.5), skew(-1, 0.001)},
		{"start only", skew(2, 0.001), window.Skew{}, skew(2, 0.001)},
		{"end only", window.Skew{}, skew(2, 0.001), skew(2, 0.001)},
		{"neither", window.Skew{}, window.Skew{}, window.Skew{}},
	} {
		got := test.start.Through(test.end)
		if got.Offset != test.want.Offset || math.Abs(got.Bound.Or(-1)-test.want.Bound.Or(-1)) > 1e-9 {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestCompared(t *testing.T) {
	r, _ := skewed(t, "n1", skew(0, 0.001), sim.Constant(500), 10, 40)
	late := r.Compared(skew(0.05, 0.002))
	if got := late.Skew.Bound.Or(0); math.Abs(got-0.051) > 1e-9 || late.Start != r.Start {
		t.Errorf("bound %v s from %v, want 0.051 s from %v", got, late.Start, r.Start)
	}
	if got, want := late.Bound().Or(0), math.Hypot(r.Bound().Or(0), 25); math.Abs(got-want) > 1 {
		t.Errorf("energy bound = %v J, want %v: 50 ms more at 500 W", got, want)
	}
	drifted := r.Compared(skew(0.11, 0.002))
	if m := window.Merge(drifted, r.As("x")); !slices.Contains(m.Reasons, window.ClockOffsetUncertain) {
		t.Errorf("drifted by 0.11 s: reasons %v", m.Reasons)
	}
	if m := window.Merge(late); slices.Contains(m.Reasons, window.ClockOffsetUncertain) {
		t.Errorf("drifted by 0.05 s: reasons %v", m.Reasons)
	}
}
