package state

import (
	"testing"
	"time"

	"wattmark/sampler"
)

func TestSparse(t *testing.T) {
	from := sampler.Moment{UnixNano: 1e18, MonoNano: 1e15}
	for _, test := range []struct{ most, add, least, max int }{
		{0, 100_000, 100_000, 100_000},
		{1000, 15 + 5 + 1000, 1020, 1020},
		{1000, 1022, 500, 600},
		{1000, 100_000, 500, 1025},
		{1000, 2, 2, 2},
		{1000, 0, 0, 0},
	} {
		s := sparse{from: from, most: test.most}
		var last sampler.Reading
		for i := range test.add {
			last = sampler.Reading{At: from.Add(time.Duration(i-15) * time.Second), PowerWatts: sampler.Some(float64(i))}
			s.add(last)
		}
		got := s.all().Readings
		if len(got) < test.least || len(got) > test.max {
			t.Errorf("%+v: %d kept", test, len(got))
			continue
		}
		if len(got) > 0 && got[len(got)-1] != last {
			t.Errorf("%+v: the last is %+v", test, got[len(got)-1])
		}
		widest := time.Duration(0)
		for i := range got {
			if i < 15+5 && got[i].PowerWatts != sampler.Some(float64(i)) {
				t.Errorf("%+v: number %d around the start is %+v", test, i, got[i])
			}
			if i > 0 {
				widest = max(widest, got[i].At.Sub(got[i-1].At))
				if got[i].At.Sub(got[i-1].At) <= 0 {
					t.Fatalf("%+v: number %d is not newer", test, i)
				}
			}
		}
		if limit := time.Duration(4*max(1, test.add/max(1, test.most))) * time.Second; len(got) > 1 && widest > limit {
			t.Errorf("%+v: %v between two", test, widest)
		}
	}
}
