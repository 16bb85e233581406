package window_test

import (
	"math"
	"reflect"
	"testing"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// shaped is a GPU whose power is known in closed form, read every second for so many seconds.
func shaped(index, seconds int, watts func(x float64) float64, change func(*sampler.Reading, int)) sampler.Series {
	s := sampler.Series{Info: sampler.Info{UUID: string(rune('a' + index)), Index: index, PowerLimitWatts: sampler.Some(700)}}
	for i := range seconds + 1 {
		r := sampler.Reading{
			At:         sampler.Moment{UnixNano: int64(i) * 1e9, MonoNano: int64(i)*1e9 + 1},
			PowerWatts: sampler.Some(watts(float64(i))),
		}
		if change != nil {
			change(&r, i)
		}
		s.Readings = append(s.Readings, r)
	}
	return s
}

func statsOf(from, to float64, all ...sampler.Series) window.Stats {
	at := func(x float64) sampler.Moment {
		return sampler.Moment{UnixNano: int64(x * 1e9), MonoNano: int64(x*1e9) + 1}
	}
	return window.Measure(window.Recorded(all), window.Window{Start: at(from), End: at(to)}, window.Limits{}).Stats
}

func near(t *testing.T, what string, got sampler.Value, want, within float64) {
	t.Helper()
	if x, ok := got.Known(); !ok || math.Abs(x-want) > within {
		t.Errorf("%s = %v (known %v), want %v ± %v", what, x, ok, want, within)
	}
}

// Of a ramp every quantile is a point of it, and its middle is the median.
func TestStatsOfARamp(t *testing.T) {
	ramp := func(x float64) float64 { return 100 + 2*x }
	s := statsOf(10.25, 110.25, shaped(0, 120, ramp, nil), shaped(1, 120, ramp, nil))
	for q, got := range map[float64]sampler.Value{0.5: s.P50, 0.75: s.P75, 0.9: s.P90, 0.99: s.P99, 1: s.Peak} {
		near(t, "quantile of a ramp", got, 2*ramp(10.25+100*q), 1e-3)
	}
	// Within 10 % of the median 2·220.5: from 2·198.45 to 2·242.55, which takes 44.1 W at 2 W/s.
	near(t, "steady", s.Steady, 44.1/2/100, 1e-5)
	near(t, "coverage", s.Coverage, 1, 1e-9)
}

// Power that is one thing for 70 % of the time and another for the rest: quantiles on either side of that.
func TestStatsOfTwoLevels(t *testing.T) {
	levels := func(x float64) float64 {
		if x <= 70 {
			return 200
		}
		return 600
	}
	s := statsOf(0, 100, shaped(0, 110, levels, nil))
	near(t, "p50", s.P50, 200, 1e-3)
	near(t, "p75", s.P75, 600, 1e-3) // the second between 70 and 71 is a line from one to the other
	near(t, "p99", s.P99, 600, 1e-3)
	near(t, "peak", s.Peak, 600, 0)
	near(t, "steady", s.Steady, 0.7+0.01*20/400, 1e-6)
}

// Of a sine that is read often, quantiles are those of the arcsine distribution: mean + amplitude · sin(π(q − ½)).
func TestStatsOfASine(t *testing.T) {
	sine := func(x float64) float64 { return 400 + 100*math.Sin(2*math.Pi*x/100) }
	s := statsOf(0, 1000, shaped(0, 1010, sine, nil))
	for q, got := range map[float64]sampler.Value{0.5: s.P50, 0.75: s.P75, 0.9: s.P90, 0.99: s.P99} {
		near(t, "quantile of a sine", got, 400+100*math.Sin(math.Pi*(q-0.5)), 0.5) // read at 100 points a period
	}
	near(t, "peak", s.Peak, 500, 0.1)
}

// It is the sum at one time, not the sum of each GPU's quantiles: two in opposite phase draw the same all the time.
func TestStatsAreSynchronised(t *testing.T) {
	up := func(x float64) float64 { return 400 + 100*math.Sin(2*math.Pi*x/50) }
	down := func(x float64) float64 { return 400 - 100*math.Sin(2*math.Pi*x/50) }
	s := statsOf(0, 100, shaped(0, 110, up, nil), shaped(1, 110, down, nil))
	near(t, "p50", s.P50, 800, 1e-3)
	near(t, "peak", s.Peak, 800, 1e-3)
	near(t, "steady", s.Steady, 1, 1e-9)
}

// A gap of one GPU is time of which nothing is said; of a window that is mostly gap nothing is said at all.
func TestStatsOfAGap(t *testing.T) {
	silent := func(from, to int) func(*sampler.Reading, int) {
		return func(r *sampler.Reading, i int) {
			if i > from && i < to {
				r.PowerWatts = sampler.Value{}
			}
		}
	}
	flat := func(float64) float64 { return 300 }
	s := statsOf(0, 100, shaped(0, 110, flat, nil), shaped(1, 110, flat, silent(40, 60)))
	near(t, "coverage", s.Coverage, 0.8, 0.011)
	near(t, "p99", s.P99, 600, 1e-3)
	if s := statsOf(0, 100, shaped(0, 110, flat, nil), shaped(1, 110, flat, silent(20, 90))); s.P50.OK() || s.Peak.OK() || s.Steady.OK() {
		t.Errorf("of a window that is not known: %+v", s)
	}
	if s := statsOf(0, 100); s != (window.Stats{}) {
		t.Errorf("of no GPUs: %+v", s)
	}
}

// Seconds throttled, by cause, over all GPUs; missing where no driver says.
func TestStatsOfThrottling(t *testing.T) {
	flat := func(float64) float64 { return 300 }
	throttled := func(r *sampler.Reading, i int) {
		r.ThrottleKnown = true
		if i > 20 && i <= 30 {
			r.Throttle = sampler.ThrottlePowerCap
		}
		if i > 25 && i <= 28 {
			r.Throttle |= sampler.ThrottleThermal
		}
	}
	s := statsOf(10, 90, shaped(0, 100, flat, throttled), shaped(1, 100, flat, throttled))
	near(t, "power cap", s.Throttled.PowerCap, 20, 1e-9)
	near(t, "thermal", s.Throttled.Thermal, 6, 1e-9)
	near(t, "other", s.Throttled.Other, 0, 0)
	if s := statsOf(10, 90, shaped(0, 100, flat, nil)); s.Throttled != (window.ThrottledTime{}) {
		t.Errorf("no driver says: %+v", s.Throttled)
	}
}

// Energy above idle: 500 W for 60 s less the 100 W of an idle window that is half as long, with both bounds.
func TestAboveIdle(t *testing.T) {
	watts := func(x float64) float64 {
		if x < 50 {
			return 100
		}
		return 500
	}
	src := window.Recorded{shaped(0, 140, watts, nil), shaped(1, 140, watts, nil)}
	measure := func(run string, from, to time.Duration) window.Result {
		at := func(d time.Duration) sampler.Moment {
			return sampler.Moment{UnixNano: int64(d), MonoNano: int64(d) + 1}
		}
		return window.Measure(src, window.Window{Run: run, Start: at(from), End: at(to)}, window.Limits{})
	}
	idle, work := measure("idle", 10*time.Second, 40*time.Second), measure("work", 60*time.Second, 120*time.Second)
	got := work.Above(idle)
	near(t, "idle power", got.Stats.IdlePower, 200, 0.01)
	near(t, "above idle", got.Stats.AboveIdle, 2*400*60, 1)
	near(t, "its bound", got.Stats.AboveIdleBound, math.Hypot(work.Bound().Or(-1), 2*idle.Bound().Or(-1)), 1e-9)
	if got.Stats.IdleRun != "idle" || len(got.AllNotes()) != len(work.AllNotes()) {
		t.Errorf("%+v, notes %v", got.Stats, got.AllNotes())
	}
	other := idle
	other.GPUs = idle.GPUs[:1]
	broken := idle
	broken.Reasons = []window.Reason{window.SimulatedPower}
	for name, unusable := range map[string]window.Result{"fewer GPUs": other, "not valid": broken, "none": {}} {
		got := work.Above(unusable)
		if got.Stats.AboveIdle.OK() || len(got.AllNotes()) != len(work.AllNotes())+1 {
			t.Errorf("%s: %+v, notes %v", name, got.Stats, got.AllNotes())
		}
	}
}

// Stats survive JSON; a merged result has none.
func TestStatsOnTheWire(t *testing.T) {
	ramp := func(x float64) float64 { return 100 + 2*x }
	a, b := shaped(0, 120, ramp, nil), shaped(1, 120, ramp, nil)
	w := window.Window{Run: "r", Start: a.Readings[10].At, End: a.Readings[100].At}
	r := window.Measure(window.Recorded{a}, w, window.Limits{})
	text, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var back window.Result
	if err := back.UnmarshalJSON(text); err != nil || !reflect.DeepEqual(back.Stats, r.Stats) || !r.Stats.P50.OK() {
		t.Errorf("%+v, want %+v (%v)", back.Stats, r.Stats, err)
	}
	if m := window.Merge(r, window.Measure(window.Recorded{b}, w, window.Limits{})); m.Stats != (window.Stats{}) {
		t.Errorf("merged: %+v", m.Stats)
	}
}
