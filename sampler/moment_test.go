package sampler_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/sampler"
)

func TestUnixRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 10000 {
		m := sampler.Moment{UnixNano: random.Int64N(4e18)}
		if random.IntN(10) == 0 {
			m.UnixNano = -m.UnixNano
		}
		back := sampler.UnixMoment(m.Unix())
		if off := back.Sub(m).Abs(); off >= time.Microsecond {
			t.Fatalf("UnixMoment(%v.Unix()) is off by %v, want less than 1µs", m, off)
		}
		if back.MonoNano != 0 {
			t.Fatalf("UnixMoment = %v, want no monotonic time", back)
		}
	}
	for seconds, want := range map[float64]int64{
		0: 0, 1.5: 1_500_000_000, -1.5: -1_500_000_000, 1_785_585_600: 1_785_585_600e9, 1_785_585_600.25: 1_785_585_600_250_000_000,
	} {
		if got := sampler.UnixMoment(seconds).UnixNano; got != want {
			t.Errorf("UnixMoment(%v) = %d ns, want %d", seconds, got, want)
		}
		if got := sampler.UnixMoment(seconds).Unix(); got != seconds {
			t.Errorf("UnixMoment(%v).Unix() = %v", seconds, got)
		}
	}
}

func TestWallMoment(t *testing.T) {
	at := time.Date(2026, 8, 1, 12, 0, 0, 123456789, time.FixedZone("", 7200))
	m := sampler.WallMoment(at)
	if !m.Wall().Equal(at) || m.MonoNano != 0 {
		t.Errorf("WallMoment(%v) = %v of %v, want wall time only", at, m.Wall(), m)
	}
}

func TestSub(t *testing.T) {
	const hour = int64(time.Hour)
	for _, test := range []struct {
		name string
		m, n sampler.Moment
		want time.Duration
	}{
		{"both clocks", sampler.Moment{UnixNano: 100, MonoNano: 70}, sampler.Moment{UnixNano: 40, MonoNano: 10}, 60},
		{"wall clock set back", sampler.Moment{UnixNano: 100 - hour, MonoNano: 70}, sampler.Moment{UnixNano: 40, MonoNano: 10}, 60},
		{"wall clock set forward", sampler.Moment{UnixNano: 100 + hour, MonoNano: 70}, sampler.Moment{UnixNano: 40, MonoNano: 10}, 60},
		{"first has wall time only", sampler.Moment{UnixNano: 100}, sampler.Moment{UnixNano: 40, MonoNano: 10}, 60},
		{"second has wall time only", sampler.Moment{UnixNano: 100, MonoNano: 7}, sampler.Moment{UnixNano: 40}, 60},
		{"earlier", sampler.Moment{UnixNano: 40, MonoNano: 10}, sampler.Moment{UnixNano: 100, MonoNano: 70}, -60},
	} {
		if got := test.m.Sub(test.n); got != test.want {
			t.Errorf("%s: %v.Sub(%v) = %v, want %v", test.name, test.m, test.n, got, test.want)
		}
	}
}

func TestAdd(t *testing.T) {
	if got, want := (sampler.Moment{UnixNano: 100, MonoNano: 10}).Add(5), (sampler.Moment{UnixNano: 105, MonoNano: 15}); got != want {
		t.Errorf("Add = %v, want %v", got, want)
	}
	if got, want := (sampler.Moment{UnixNano: 100}).Add(5), (sampler.Moment{UnixNano: 105}); got != want {
		t.Errorf("Add = %v, want %v: wall time only stays so", got, want)
	}
}

// setClock is a host's readings one second apart whose wall clock was set by step between the 10th and the 11th.
func setClock(step time.Duration) []sampler.Moment {
	moments := make([]sampler.Moment, 20)
	for i := range moments {
		moments[i] = sampler.Moment{UnixNano: 1e18 + int64(i)*1e9, MonoNano: 5e12 + int64(i)*1e9}
		if i >= 10 {
			moments[i].UnixNano += int64(step)
		}
	}
	return moments
}

func TestAmong(t *testing.T) {
	const second = 1e9
	for _, test := range []struct {
		name string
		step time.Duration
		wall float64 // s
		want float64 // s, monotonic
	}{
		{"on a reading", 0, 3, 3},
		{"between readings", 0, 3.25, 3.25},
		{"before the oldest", 0, -7.5, -7.5},
		{"after the newest", 0, 25.5, 25.5},
		{"after the clock was set forward", time.Hour, 3612.5, 12.5},
		{"a time that the clock skipped", time.Hour, 1800, 10},
		{"after the clock was set back", -5 * time.Second, 13, 18},
		{"a time that the clock showed twice", -5 * time.Second, 6.5, 11.5},
		{"just now, and before the clock was set back", -10500 * time.Millisecond, 8.75, 19.25},
		{"a time that it showed before only", -time.Hour, 3, 3},
		{"a time that it showed after only", -time.Hour, -3587, 13},
	} {
		moments := setClock(test.step)
		at := func(i int) sampler.Moment { return moments[i] }
		m := sampler.Moment{UnixNano: 1e18 + int64(test.wall*second)}
		got := m.Among(len(moments), at)
		if want := int64(5e12 + test.want*second); got.UnixNano != m.UnixNano || got.MonoNano != want {
			t.Errorf("%s: wall time %g s is %g s on the monotonic clock, want %g", test.name, test.wall,
				float64(got.MonoNano-5e12)/second, test.want)
		}
		if known := moments[3]; known.Among(len(moments), at) != known {
			t.Errorf("%s: Among changed a moment that has monotonic time", test.name)
		}
	}
	wall := sampler.Moment{UnixNano: 5}
	if got := wall.Among(0, nil); got != wall {
		t.Errorf("Among none = %v, want it as it was", got)
	}
	if got := wall.Among(1, func(int) sampler.Moment { return sampler.Moment{UnixNano: 3} }); got != wall {
		t.Errorf("Among moments of the wall clock = %v, want it as it was", got)
	}
}

func TestSpan(t *testing.T) {
	at := func(seconds ...int64) func(int) sampler.Moment {
		return func(i int) sampler.Moment { return sampler.Moment{UnixNano: seconds[i] * 1e9} }
	}
	span := func(n int, at func(int) sampler.Moment, from, to int64) [2]int {
		first, end := sampler.Span(n, at, sampler.Moment{UnixNano: from * 1e9}, sampler.Moment{UnixNano: to * 1e9})
		return [2]int{first, end}
	}
	for _, test := range []struct {
		name     string
		seconds  []int64
		from, to int64
		want     [2]int
	}{
		{"none", nil, 1, 2, [2]int{0, 0}},
		{"equal times", []int64{1, 5, 5, 5, 9}, 5, 5, [2]int{1, 4}},
		{"neighbours", []int64{10, 20, 30, 40, 50}, 25, 35, [2]int{1, 4}},
		{"exact", []int64{10, 20, 30, 40, 50}, 20, 40, [2]int{1, 4}},
		{"all", []int64{10, 20}, 0, 99, [2]int{0, 2}},
	} {
		if got := span(len(test.seconds), at(test.seconds...), test.from, test.to); got != test.want {
			t.Errorf("%s: Span = %v, want %v", test.name, got, test.want)
		}
	}
}

func TestClockTiesMomentsToBothClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		before := time.Now()
		first := clock.Now()
		time.Sleep(90 * time.Minute)
		after := time.Now()
		second := clock.Now()
		if got := second.Sub(first); got != 90*time.Minute {
			t.Errorf("time between two moments = %v, want 90m", got)
		}
		if got := time.Duration(second.UnixNano - first.UnixNano); got != 90*time.Minute {
			t.Errorf("wall time between two moments = %v, want 90m", got)
		}
		if got := clock.Middle(before, after).Sub(first); got != 45*time.Minute {
			t.Errorf("middle of a call of 90m = %v after its begin, want 45m", got)
		}
		if first.MonoNano == 0 || math.Abs(float64(first.UnixNano-before.UnixNano())) > 1 {
			t.Errorf("moment of %v = %v, want its wall time and a monotonic time", before, first)
		}
	})
}
