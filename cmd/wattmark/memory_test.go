package main

import (
	"log/slog"
	"testing"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
)

// An interval that the retention is no multiple of shortens nothing; only a limit does.
func TestOnlyALimitShortens(t *testing.T) {
	for _, test := range []struct {
		interval, retention time.Duration
		readings            int64
		short               bool
	}{
		{7 * time.Second, 24 * time.Hour, 0, false},
		{7 * time.Second, 24 * time.Hour, 1e9, false},
		{100 * time.Millisecond, 1450 * time.Millisecond, 1e9, false},
		{time.Second, 24 * time.Hour, 2e6, true},
		{7 * time.Second, 24 * 7 * time.Hour, 2e6, true},
	} {
		m := &memory{readings: test.readings, log: slog.New(slog.DiscardHandler)}
		samples, err := sampler.New([]sampler.Device{sim.New(sim.Config{})}, sampler.Config{
			Interval: test.interval, Retention: test.retention, Memory: m.forReadings(), Clock: sampler.NewClock(), Logger: m.log,
		})
		if err != nil {
			t.Fatal(err)
		}
		if kept, asked, short := m.short(samples); short != test.short || short != (m.problem(samples) != "") {
			t.Errorf("every %v for %v in %d bytes: kept for %v of %v, short %v", test.interval, test.retention, test.readings, kept, asked, short)
		}
	}
}
