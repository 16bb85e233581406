package sampler

import (
	"log/slog"
	"testing"
	"time"
)

func TestBelieve(t *testing.T) {
	h200 := Info{PowerLimitWatts: Some(700)}
	busy := SomeGauge(0.9)
	for _, c := range []struct {
		name             string
		info             Info
		power, instant   Value
		utilization      Gauge
		want, andInstant Value
		rejected         int
	}{
		{"ordinary", h200, Some(520), Some(640), busy, Some(520), Some(640), 0},
		{"above the limit for a moment", h200, Some(700), Some(1400), busy, Some(700), Some(1400), 0},
		{"32 bits of milliwatts below zero", h200, Some(4294967.291), Some(640), busy, Value{}, Some(640), 1},
		{"both", h200, Some(4294967.291), Some(-5), busy, Value{}, Value{}, 2},
		{"no limit known", Info{}, Some(19e3), Value{}, Gauge{}, Some(19e3), Value{}, 0},
		{"no limit known, beyond all", Info{}, Some(21e3), Value{}, Gauge{}, Value{}, Value{}, 1},
		{"a limit of 0 is none", Info{PowerLimitWatts: Some(0)}, Some(500), Value{}, Gauge{}, Some(500), Value{}, 0},
		{"0 W at work", h200, Some(0), Value{}, busy, Value{}, Value{}, 1},
		{"0 W by one sensor of two", h200, Some(0), Some(300), Gauge{}, Value{}, Some(300), 1},
		{"0 W, who knows", h200, Some(0), Some(0), Gauge{}, Some(0), Some(0), 0},
		{"0 W at rest", h200, Some(0), Value{}, SomeGauge(0), Some(0), Value{}, 0},
		{"0 W by one, too much by the other", h200, Some(0), Some(1e6), Gauge{}, Some(0), Value{}, 1},
		{"missing", h200, Value{}, Value{}, busy, Value{}, Value{}, 0},
	} {
		r, rejected := c.info.Believe(Reading{PowerWatts: c.power, InstantWatts: c.instant, Utilization: c.utilization})
		if r.PowerWatts != c.want || r.InstantWatts != c.andInstant || rejected != c.rejected {
			t.Errorf("%s: %v, %v, %d rejected; want %v, %v, %d", c.name, r.PowerWatts, r.InstantWatts, rejected, c.want, c.andInstant, c.rejected)
		}
	}
}

// What the exported totals add up: no lie, and what follows one as if it had not been.
func TestTotalsWithoutLies(t *testing.T) {
	f := newFeed(idle{}, Config{Interval: time.Second, Retention: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	f.info.PowerLimitWatts = Some(700)
	at := Moment{UnixNano: 1e18, MonoNano: 1e12}
	for _, r := range []struct{ count, watts float64 }{
		{1000, 500}, {1500, 500}, {2000, 4294967}, {902000, 500}, {902500, 500}, {902500, 500}, {100, 500}, {600, 500},
	} {
		f.record(nil, Reading{At: at, EnergyJoules: Some(r.count), PowerWatts: Some(r.watts)})
		at = at.Add(time.Second)
	}
	if got := f.status.CounterJoules.Or(0); got != 2000 { // of 7 steps: one jumps, one falls, one stands still
		t.Errorf("by the counter %v J, want 2000", got)
	}
	if got := f.status.PowerJoules.Or(0); got != 3000 { // of 7 seconds one lies
		t.Errorf("by power %v J, want 3000", got)
	}
	if f.status.RejectedPower != 1 || f.status.RejectedCounts != 1 {
		t.Errorf("%d values of power and %d steps rejected, want 1 and 1", f.status.RejectedPower, f.status.RejectedCounts)
	}
}

// idle is a device that nobody reads.
type idle struct{}

func (idle) Info() Info             { return Info{} }
func (idle) Read() (Reading, error) { return Reading{}, nil }
