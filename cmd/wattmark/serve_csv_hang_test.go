package main

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/recording"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
)

// A disk that hangs for an hour: no reading is missed or late, a mark waits for 150 ms at most, and nothing is lost.
func TestCSVDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		start := time.Now().Add(-time.Nanosecond)
		gpu := sim.New(sim.Config{Clock: clock})
		samples, err := sampler.New([]sampler.Device{gpu}, sampler.Config{
			Interval: time.Second, Retention: 3 * time.Hour, Start: start, Clock: clock, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = samples.Run(ctx) }()
		c := csvFlags{CSV: "gpu_metrics.csv", CSVTime: "utc"}.openCSV(samples, clock, start, slog.New(slog.DiscardHandler))
		var written []recording.Row
		hangUntil := start.Add(10 * time.Second)
		c.append = func(rows []recording.Row) error {
			if time.Since(start) > 5*time.Second && time.Now().Before(hangUntil.Add(time.Hour)) {
				time.Sleep(time.Until(hangUntil.Add(time.Hour)))
			}
			written = append(written, rows...)
			return nil
		}
		go c.run(ctx)
		time.Sleep(20 * time.Minute)
		before := time.Now()
		c.flush()
		if took := time.Since(before); took > 160*time.Millisecond {
			t.Errorf("a mark waits %v for a disk that hangs", took)
		}
		time.Sleep(time.Hour)
		cancel()
		synctest.Wait()
		status := samples.Latest()[0]
		if status.Missed > 0 || status.Late.Counts[0] != 4801 {
			t.Errorf("%d ticks missed, reads in time %d of 4801", status.Missed, status.Late.Counts[0])
		}
		if len(written) < 4801 || len(written) > 4803 { // one or two of the mark
			t.Errorf("%d rows written, want 4801 and those of the mark", len(written))
		}
		for i := 1; i < len(written); i++ {
			if gap := written[i].Reading.At.Sub(written[i-1].Reading.At); gap <= 0 || gap > time.Second+time.Millisecond {
				t.Fatalf("row %d is %v after the one before", i, gap)
			}
		}
	})
}
