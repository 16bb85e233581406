package sampler_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
)

// A window may be open on a GPU that is not here yet: it was resumed before the GPU woke up. The GPU is read at 10 Hz from
// when it comes until the last of its windows has ended, those that were opened before it came and those after.
func TestWindowsOnAGPUThatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		sensors := sim.HopperSensors()
		sensors.CounterQuantum = 0
		gpu := sim.New(sim.Config{Load: sim.Constant(500), Sensors: sensors, Clock: clock})
		id := gpu.Info().ID()
		s, err := sampler.New(nil, sampler.Config{Interval: time.Second, Retention: time.Hour, Clock: clock, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = s.Run(t.Context()) }()
		synctest.Wait()
		s.Opened(id, "host/another")
		s.Opened(id)
		time.Sleep(time.Second)
		s.Ended(id)
		s.Add(gpu)
		for _, test := range []struct {
			name   string
			change func()
			want   uint64 // reads in ten seconds
		}{
			{"resumed", func() {}, 110},
			{"and a new one", func() { s.Opened(id) }, 110},
			{"the new one alone", func() { s.Ended(id, "host/another") }, 110},
			{"none", func() { s.Ended(id) }, 10},
			{"one that nobody opened has ended", func() { s.Ended(id) }, 10},
			{"one", func() { s.Opened(id) }, 110},
			{"none at last", func() { s.Ended(id) }, 10},
		} {
			test.change()
			before := s.Latest()[0].Reads
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if got := s.Latest()[0].Reads - before; got+2 < test.want || got > test.want+2 {
				t.Errorf("%s: %d reads in 10 s, want %d", test.name, got, test.want)
			}
		}
	})
}
