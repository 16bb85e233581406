package sampler_test

import (
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/sampler"
)

// scripted is a GPU whose readings are those of a list, one a second, and then the last one for ever.
type scripted struct {
	clock    sampler.Clock
	readings []sampler.Reading
	errs     []error
	next     *int
}

func (s scripted) Info() sampler.Info { return sampler.Info{UUID: "GPU-s", Vendor: "nvidia"} }

func (s scripted) Read() (sampler.Reading, error) {
	i := min(*s.next, len(s.readings)-1)
	*s.next++
	reading := s.readings[i]
	reading.At = s.clock.Now()
	return reading, s.errs[i]
}

// What the totals say of reads that fail, readings with nothing in them, gaps, and times of throttling.
func TestTotals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		power := func(throttle sampler.Throttle) sampler.Reading {
			return sampler.Reading{PowerWatts: sampler.Some(700), Throttle: throttle, ThrottleKnown: true}
		}
		both := sampler.ThrottlePowerCap | sampler.ThrottleOther
		device := scripted{clock: clock, next: new(int)}
		for _, step := range []struct {
			reading sampler.Reading
			err     error
		}{
			{power(sampler.ThrottlePowerCap), nil}, // since when is not known
			{power(sampler.ThrottlePowerCap), nil}, // 1 s
			{power(0), nil},
			{power(both), nil}, // 1 s of each
			{sampler.Reading{}, nil},
			{sampler.Reading{}, os.ErrNotExist},
			{sampler.Reading{}, os.ErrDeadlineExceeded},
			{sampler.Reading{}, os.ErrDeadlineExceeded},
			{power(both), nil}, // 4 s after the last good one: a gap, of which nothing is known
			{power(0), nil},
		} {
			device.readings, device.errs = append(device.readings, step.reading), append(device.errs, step.err)
		}
		s := run(t, clock, slog.DiscardHandler, device)
		time.Sleep(10500 * time.Millisecond)
		got := s.Latest()[0]
		if got.Reads != 11 || got.Failed != 3 || got.Timeout != 2 || got.Empty != 1 || got.Gaps != 1 {
			t.Errorf("%d reads, %d failed, %d timeouts, %d empty, %d gaps; want 11, 3, 2, 1, 1", got.Reads, got.Failed, got.Timeout, got.Empty, got.Gaps)
		}
		want := [sampler.ThrottleReasons]time.Duration{0: 2 * time.Second, 4: time.Second}
		if got.Throttled != want || !got.ThrottleKnown {
			t.Errorf("throttled %v, known %v; want %v", got.Throttled, got.ThrottleKnown, want)
		}
	})
}
