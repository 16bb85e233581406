package state

import (
	"testing"
	"time"

	"wattmark/sampler"
)

func TestSparse(t *testing.T) {
	origin := sampler.Moment{UnixNano: 1e18, MonoNano: 1e15}
	seconds := func(x float64) sampler.Moment { return origin.Add(time.Duration(x * 1e9)) }
	for _, test := range []struct {
		name   string
		most   int
		every  time.Duration
		add    int
		starts []float64 // s after the first reading
		least  int       // readings that are kept
		whole  []int     // of starts, of whose windows every reading is kept
		widest time.Duration
	}{
		{"no bound", 0, time.Second, 100_000, []float64{15}, 100_000, []int{0}, time.Second},
		{"no more than fit", 1000, time.Second, 1000, []float64{15}, 1000, []int{0}, time.Second},
		{"one more", 1000, time.Second, 1001, []float64{15, 600}, 870, []int{1}, 2 * time.Second},
		{"ten times as many", 1000, time.Second, 10_000, []float64{15, 5000, 9600}, 500, []int{2}, 64 * time.Second},
		{"a hundred times", 1000, time.Second, 100_000, []float64{15, 5000, 99_600}, 500, []int{2}, 1024 * time.Second},
		{"before all windows", 1000, time.Second, 2000, []float64{1500}, 516, []int{0}, time.Second},
		{"seldom", 1000, time.Minute, 100, []float64{3000}, 50, []int{0}, time.Minute},
		{"two", 1000, time.Second, 2, []float64{0.5}, 2, []int{0}, time.Second},
		{"none", 1000, time.Second, 0, []float64{0}, 0, nil, 0},
		{"hardly any room", 1, time.Second, 1000, []float64{15, 500}, 8, nil, time.Hour},
		{"starts everywhere", 100, time.Second, 1000, everySecond(1000), 50, nil, time.Hour},
		{"quick ones go first", 3000, 100 * time.Millisecond, 10_000, []float64{15, 900}, 1500, []int{1}, 1280 * time.Millisecond},
	} {
		var began []sampler.Moment
		for _, start := range test.starts {
			began = append(began, seconds(start))
		}
		s := sparse{starts: newStarts(began), most: test.most}
		readings := make([]sampler.Reading, test.add)
		for i := range readings {
			readings[i] = sampler.Reading{At: origin.Add(time.Duration(i) * test.every), PowerWatts: sampler.Some(float64(i))}
			s.add(readings[i])
		}
		got := s.series.Readings
		most := max(test.most, leastOf)
		if test.most == 0 {
			most = test.add
		}
		if len(got) < test.least || len(got) > most || test.most > 0 && cap(got) > most {
			t.Errorf("%s: %d kept in room for %d", test.name, len(got), cap(got))
		}
		if test.add == 0 {
			continue
		}
		if got[len(got)-1] != readings[test.add-1] {
			t.Errorf("%s: the last is %+v", test.name, got[len(got)-1])
		}
		kept := map[sampler.Reading]bool{}
		widest := time.Duration(0)
		for i, r := range got {
			kept[r] = true
			if i > 0 {
				if r.At.Sub(got[i-1].At) <= 0 {
					t.Fatalf("%s: number %d is not newer", test.name, i)
				}
				widest = max(widest, r.At.Sub(got[i-1].At))
			}
		}
		if widest > test.widest {
			t.Errorf("%s: %v between two, want %v at most", test.name, widest, test.widest)
		}
		need := func(name string, from, to float64) { // and the one before
			for i, r := range readings {
				before := i+1 < len(readings) && readings[i+1].At.Sub(seconds(from)) > 0
				if (r.At.Sub(seconds(from)) >= 0 || before) && r.At.Sub(seconds(to)) <= 0 && !kept[r] {
					t.Errorf("%s: %s lacks the reading at %v", test.name, name, r.At.Sub(origin))
					return
				}
			}
		}
		for _, i := range test.whole {
			need("a window that fits", test.starts[i]-15, float64(test.add)*test.every.Seconds())
		}
		if len(test.starts) <= 3 && test.most != 1 {
			for _, start := range test.starts {
				need("what is around a start", start-15, start+5)
			}
		}
	}
}

func everySecond(n int) (starts []float64) {
	for i := range n {
		starts = append(starts, float64(i))
	}
	return starts
}
