package main

import (
	"math"
	"testing"
)

// The limits of docs/accuracy.md, on fewer windows than the program measures: for each method, load and length of window.
// Windows of 60 and 300 s by the same method differ by little but their length, so fewer of these do.
func TestLimits(t *testing.T) {
	if raceEnabled {
		t.Skip("arithmetic, without goroutines: make test runs it without the race detector")
	}
	unlimited := math.Inf(1)
	most := map[float64][]struct{ mean, deviation float64 }{ // by practice, in percent
		10: {{0.05, 0.1}, {0.06, unlimited}, {unlimited, unlimited}, {0.3, unlimited}, {0.3, unlimited}, {0.4, unlimited}},
		60: {{0.05, 0.05}, {0.05, 0.1}, {0.2, unlimited}, {0.3, unlimited}, {0.3, unlimited}, {0.3, unlimited}},
		// No error grows with the window.
		300: {{0.01, 0.01}, {0.01, 0.02}, {0.05, unlimited}, {0.06, unlimited}, {0.06, unlimited}, {0.06, unlimited}},
	}
	for seconds, limits := range most {
		for i, limit := range limits {
			for _, l := range loads() {
				p, windows := practices()[i], 300
				switch {
				case i == 0 && seconds == 10:
					windows = 600 // a worst case of one in a hundred decides
				case seconds == 300:
					windows = 100
				}
				s := run(p, l, seconds, windows)
				n := float64(windows)
				// Of a finite number of windows: two standard errors of each figure.
				if luck := 2 * s.Deviation / math.Sqrt(n); math.Abs(s.Mean) > limit.mean+luck || s.Deviation > limit.deviation {
					t.Errorf("%s, %s, %.0f s: %+.3f %% ± %.3f %%, want at most %.2f ± %.2f", p.name, l.name, seconds,
						s.Mean, s.Deviation, limit.mean, limit.deviation)
				}
				if s.Covered < 0.95-2*math.Sqrt(0.95*0.05/n) {
					t.Errorf("%s, %s, %.0f s: the bound holds in %.1f %% of the windows, want 95 %%", p.name, l.name, seconds, 100*s.Covered)
				}
				if ratio := s.Bound / (2 * s.Deviation); ratio > 4*(1+2/math.Sqrt(2*n)) {
					t.Errorf("%s, %s, %.0f s: the bound is %.1f times what is observed, want at most 4", p.name, l.name, seconds, ratio)
				}
			}
		}
	}
}

// Where only half a step is known of the count's age, a load that begins and ends at the marks leaves ± τP/√12 an edge:
// 0.29 % of 10 s at constant power. The square's power at the end is 1.75 times its mean, so it is not held to that.
func TestTickNotSeen(t *testing.T) {
	for _, l := range loads()[:3] {
		if s := run(practices()[1], l, 10, 200); math.Abs(s.Mean) > 0.06 || s.Deviation > 0.31 {
			t.Errorf("%s: %+.3f %% ± %.3f %%, want 0 ± 0.3", l.name, s.Mean, s.Deviation)
		}
	}
}

// Today's practice errs as it is known to; else the comparison compares with something else.
func TestTodayIsWhatIsPublished(t *testing.T) {
	p := practices()[len(practices())-1]
	for seconds, want := range map[float64]float64{10: -5.3, 60: -0.9, 300: -0.18} {
		if s := run(p, loads()[1], seconds, 100); math.Abs(s.Mean/want-1) > 0.15 {
			t.Errorf("%.0f s: %+.2f %%, published %+.2f %%", seconds, s.Mean, want)
		}
	}
}
