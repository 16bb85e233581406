package probe

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// ticking are the points that a probe of 8 s reads of a value that steps every period, a little off each time.
type ticking struct {
	period, phase, jitter float64 // s
	stall                 float64 // s, a driver call that takes so long at 4 s
	call                  float64 // s, how long every call takes
	seed                  uint64
}

func (k ticking) points() (quickly, steadily []point) {
	random := rand.New(rand.NewPCG(k.seed, 1))
	var steps []float64
	for t := k.phase; t < 10; t += k.period {
		steps = append(steps, t+k.jitter*(2*random.Float64()-1))
	}
	value := func(t float64) float64 {
		n := 0
		for n < len(steps) && steps[n] <= t {
			n++
		}
		return float64(n)
	}
	for _, pace := range []int{fast, medium} {
		p := plan(Shortest)[pace]
		for i := 0; ; i++ {
			t := p.from.Seconds() + float64(i)*p.every.Seconds() + p.shift(i).Seconds()
			if t >= p.to.Seconds() {
				break
			}
			if t > 4 && t < 4+k.stall {
				continue
			}
			sampled := t + k.call*random.Float64() // somewhere in the call
			list := &quickly
			if pace == medium {
				list = &steadily
			}
			*list = append(*list, point{x: t + k.call/2, y: value(sampled), half: k.call / 2})
		}
	}
	return quickly, steadily
}

// The period that is found is the true one within its bound, and the bound is small; the jitter is the true one as far
// as the reads can tell.
func TestGrid(t *testing.T) {
	for _, test := range []struct {
		name  string
		ticks ticking
		bound float64 // of the period, relative
	}{
		{"100 ms", ticking{period: 0.1}, 0.005},
		{"as measured on an A100", ticking{period: 0.1013}, 0.005},
		{"as measured on an RTX 3060 Ti", ticking{period: 0.09994}, 0.005},
		{"as measured on a 4090", ticking{period: 0.106}, 0.005},
		{"an old part", ticking{period: 0.01}, 0.005},
		{"20 ms", ticking{period: 0.02}, 0.005},
		{"half a second", ticking{period: 0.5}, 0.01},
		{"jitter 1 ms", ticking{period: 0.1, jitter: 0.001}, 0.005},
		{"jitter 8 ms", ticking{period: 0.1, jitter: 0.008}, 0.01},
		{"jitter 3 ms at 20 ms", ticking{period: 0.02, jitter: 0.003}, 0.01},
		{"a stall over steps", ticking{period: 0.1, stall: 0.37}, 0.005},
		{"calls of 3 ms", ticking{period: 0.1, call: 0.003}, 0.006},
	} {
		for i := range 40 {
			k := test.ticks
			k.phase, k.seed = float64(i)*0.0137, uint64(i)
			g, why := findGrid(k.points())
			if why != "" {
				t.Errorf("%s, phase %v: %s", test.name, k.phase, why)
				continue
			}
			slack := g.bound + k.jitter*2/5 // a jittered first and last step tilt the line by that over five seconds
			if off := math.Abs(g.period - k.period); off > slack*k.period/0.1+1e-9 && off > g.bound || g.bound > test.bound*k.period {
				t.Errorf("%s, phase %v: period %v ± %v, want %v ± %v", test.name, k.phase, g.period, g.bound, k.period, test.bound*k.period)
			}
			if g.jitter > k.jitter+1e-9 || g.jitter < k.jitter-2*g.seen-k.jitter/2 {
				t.Errorf("%s, phase %v: jitter %v, seen to %v, want about %v", test.name, k.phase, g.jitter, g.seen, k.jitter)
			}
			if at := math.Remainder(g.origin-k.phase, k.period); math.Abs(at) > 1.5*g.seen+k.jitter {
				t.Errorf("%s, phase %v: steps are %v s off", test.name, k.phase, at)
			}
		}
	}
}

// What keeps no pace is not given one.
func TestNoGrid(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	at := func(value func(t float64) float64) (lists [2][]point) {
		for i, pace := range []int{fast, medium} {
			p := plan(Shortest)[pace]
			for t := p.from; t < p.to; t += p.every {
				lists[i] = append(lists[i], point{x: t.Seconds(), y: value(t.Seconds())})
			}
		}
		return lists
	}
	last := 0.0
	sparse := make([]float64, 100)
	for i := range sparse[1:] {
		sparse[i+1] = sparse[i]
		if random.Float64() < 0.4 {
			sparse[i+1]++
		}
	}
	for _, test := range []struct {
		name  string
		value func(t float64) float64
		why   string
	}{
		{"constant", func(float64) float64 { return 7 }, "did not change often enough"},
		{"always new", func(t float64) float64 { return t }, "changes at every read, 5 ms apart"},
		{"at random", func(float64) float64 {
			if random.Float64() < 0.1 {
				last++
			}
			return last
		}, "not determinable"},
		{"at some of its refreshes", func(t float64) float64 { return sparse[int(t/0.1)] }, "did not change often enough"},
		{"a load that starts and stops", func(t float64) float64 { return math.Floor(t / 0.85) }, "not determinable"},
	} {
		lists := at(test.value)
		if g, why := findGrid(lists[0], lists[1]); !strings.Contains(why, test.why) {
			t.Errorf("%s: %+v %q, want %q", test.name, g, why, test.why)
		}
	}
	if _, why := findGrid(nil, nil); why == "" {
		t.Error("a grid of nothing")
	}
}

func TestQuantum(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64 // 0: missing
	}{
		{[]float64{500, 600, 700}, 0},
		{[]float64{500, 600, 700, 800, 900, 1000}, 100},
		{[]float64{1, 2, 3, 4, 5, 7}, 1},
		{[]float64{1.001, 2.002, 3.003, 4.004, 5.5, 7}, 0.001},
		{[]float64{1e9 + 0.001, 2.002, 3.003, 4.004, 5.5, 7}, 0.001},
		{[]float64{1.0 / 65536, 2, 3, 4, 5, 7.0 / 65536}, 1.0 / 65536},
		{[]float64{math.Pi, 2, 3, 4, 5, 7}, 0},
	} {
		if got := quantum(test.values); got.Or(0) != test.want {
			t.Errorf("quantum(%v) = %v, want %v", test.values, got.Or(0), test.want)
		}
	}
}
