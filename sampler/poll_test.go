package sampler_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
)

// counted counts the reads of a device. They must not overlap.
type counted struct {
	*sim.GPU
	reads, running atomic.Int32
	overlapped     atomic.Bool
}

func (c *counted) Read() (sampler.Reading, error) {
	if c.running.Add(1) > 1 {
		c.overlapped.Store(true)
	}
	defer c.running.Add(-1)
	c.reads.Add(1)
	return c.GPU.Read()
}

func TestConcurrentPollsShareReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		device := &counted{GPU: sim.New(sim.Config{Clock: clock, Faults: []sim.Fault{sim.CallTime(100 * time.Millisecond)}})}
		s := run(t, clock, slog.DiscardHandler, device)
		time.Sleep(10500 * time.Millisecond)
		before := device.reads.Load()
		var polls sync.WaitGroup
		for range 16 {
			polls.Go(func() {
				asked := s.Now()
				if err := s.Poll(t.Context()); err != nil {
					t.Error(err)
				}
				if took := s.Now().Sub(asked); took > 200*time.Millisecond {
					t.Errorf("Poll took %v, want at most the read under way and one more", took)
				}
			})
		}
		polls.Wait()
		if got := device.reads.Load() - before; got > 2 {
			t.Errorf("device reads for 16 polls at once = %d, want at most 2", got)
		}
		if device.overlapped.Load() {
			t.Error("two reads of one device at once")
		}
	})
}

func TestPollsReadingBeginsAfterTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, slog.DiscardHandler, 2, sim.CallTime(300*time.Millisecond))
		for _, at := range []time.Duration{10 * time.Second, 20*time.Second + time.Millisecond, 30500 * time.Millisecond} {
			time.Sleep(at - s.Now().Sub(s.began)) // as a read of the schedule begins, during one, between two
			asked := s.Now()
			if err := s.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, status := range s.Latest() {
				if begin := status.Latest.At.Add(-status.Latest.Call / 2); begin.Sub(asked) < 0 {
					t.Errorf("the reading for a Poll at %v began %v before it", at, asked.Sub(begin))
				}
			}
		}
	})
}

func TestPollReadsTheNamedGPUsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, slog.DiscardHandler, 4, sim.Drop(0, time.Hour))
		time.Sleep(500 * time.Millisecond)
		infos := s.Infos()
		if err := s.Poll(t.Context(), infos[1].ID(), infos[3].ID()); err != nil {
			t.Errorf("Poll of GPUs 1 and 3 = %v; GPU 0 fails, but was not named", err)
		}
		var reads []uint64
		for _, status := range s.Latest() {
			reads = append(reads, status.Reads)
		}
		if want := []uint64{1, 2, 1, 2}; !slices.Equal(reads, want) {
			t.Errorf("reads = %v, want %v", reads, want)
		}
		if err := s.Poll(t.Context()); !errors.Is(err, sim.ErrDropped) || strings.Count(err.Error(), "GPU ") != 1 {
			t.Errorf("Poll of all = %v, want ErrDropped of GPU 0", err)
		}
	})
}

func TestPollEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := sampler.New([]sampler.Device{sim.New(sim.Config{})}, sampler.Config{
			Interval: time.Second, Retention: time.Hour, Clock: sampler.NewClock(), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Poll(ctx); !errors.Is(err, sampler.ErrNoReading) { // nothing runs
			t.Errorf("Poll = %v, want ErrNoReading", err)
		}
	})
}

// Who polls while others do waits at most 30 ms, and the driver is asked no more than 33 times a second for all of them.
func TestAFloodOfPollsSharesReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, slog.DiscardHandler, 1)
		time.Sleep(500 * time.Millisecond)
		before := s.Latest()[0].Reads
		var polls sync.WaitGroup
		for i := range 16 {
			polls.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				for range 1000 {
					asked := s.Now()
					if err := s.Poll(t.Context()); err != nil {
						t.Error(err)
					}
					if took := s.Now().Sub(asked); took > 30*time.Millisecond {
						t.Errorf("Poll took %v", took)
					}
					if at := s.Latest()[0].Latest.At; at.Sub(asked) < 0 {
						t.Error("the reading is from before the poll")
					}
					time.Sleep(time.Duration(i) * time.Millisecond)
				}
			})
		}
		polls.Wait()
		seconds := s.Now().Sub(s.began).Seconds() - 0.5
		if got := float64(s.Latest()[0].Reads - before); got > 34.4*seconds+6 || got < 25*seconds { // with the schedule's
			t.Errorf("%v reads in %.1f s, want 34 a second", got, seconds)
		}
	})
}

// A few polls in a row do not wait for each other: windows that end together each end on a reading.
func TestAFewPollsAreServedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, slog.DiscardHandler, 1)
		for _, at := range []time.Duration{500 * time.Millisecond, 900 * time.Millisecond} {
			time.Sleep(at - s.Now().Sub(s.began))
			for i := range 6 {
				asked := s.Now()
				if err := s.Poll(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := s.Now().Sub(asked); took > 0 && i < 4 || took > 30*time.Millisecond {
					t.Errorf("poll %d took %v", i, took)
				}
			}
		}
	})
}

func TestAFloodOfPollsKeepsTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, slog.DiscardHandler, 1)
		for s.Now().Sub(s.began) < 5*time.Minute { // more than the extra readings that are kept, and than the schedule's
			time.Sleep(2 * time.Millisecond)
			if err := s.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		all := s.offsets(0)
		if !slices.IsSorted(all) {
			t.Error("readings of the schedule and of polls are not in the order of time")
		}
		for _, at := range every(time.Second, 301) {
			if _, found := slices.BinarySearch(all, at); !found {
				t.Errorf("the reading of the schedule at %v is gone", at)
			}
		}
		if newest := all[len(all)-1]; newest != 301*time.Second {
			t.Errorf("newest reading at %v, want 301s", newest)
		}
		if status := s.Latest()[0]; status.Used > status.Size || status.Used < 4096+301 {
			t.Errorf("readings in memory = %d of %d, want 4096 and the schedule", status.Used, status.Size)
		}
	})
}
