package sampler_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
)

// recorder is what Config.Keep is told.
type recorder struct {
	mu   sync.Mutex
	kept []sampler.Kept
}

func (r *recorder) keep(k sampler.Kept) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, k)
}

func (r *recorder) all() []sampler.Kept {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.kept)
}

func recorded(ctx context.Context, t *testing.T, clock sampler.Clock, r *recorder, retention time.Duration, devices ...sampler.Device) *sampler.Sampler {
	t.Helper()
	s, err := sampler.New(devices, sampler.Config{
		Interval: time.Second, Retention: retention, Clock: clock, Logger: slog.New(slog.DiscardHandler), Keep: r.keep,
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Run(ctx) }()
	synctest.Wait()
	return s
}

func all(s *sampler.Sampler) (series []sampler.Series) {
	return slices.Collect(s.Series(sampler.Moment{UnixNano: 1, MonoNano: 1}, s.Now().Add(time.Hour)))
}

// What Keep was told fills the memory of another sampler as it was, with that one's own readings behind it.
func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		one := sim.New(sim.Config{Index: 0, Load: sim.Constant(500), Clock: clock})
		two := sim.New(sim.Config{Index: 1, Load: sim.Constant(300), Clock: clock})
		life, end := context.WithCancel(t.Context())
		var told recorder
		first := recorded(life, t, clock, &told, time.Hour, one, two)
		for range 20 {
			time.Sleep(1700 * time.Millisecond)
			_ = first.Poll(t.Context(), one.Info().ID())
		}
		synctest.Wait() // 34 s are over, and so is their tick
		want := all(first)
		end()
		synctest.Wait()
		time.Sleep(10 * time.Second)

		var again recorder
		next := recorded(t.Context(), t, clock, &again, time.Hour, two, one)
		time.Sleep(3 * time.Second)
		stranger := sampler.Kept{GPU: "elsewhere/GPU-9", Reading: want[0].Readings[0]}
		future := told.all()[0]
		future.Reading.At = next.Now().Add(time.Second)
		if n := next.Restore(slices.Values(slices.Concat([]sampler.Kept{stranger}, told.all(), []sampler.Kept{future}))); n != len(told.all()) {
			t.Errorf("%d readings taken, want %d", n, len(told.all()))
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		for i, series := range all(next) {
			old := want[1-i].Readings
			if len(series.Readings) < len(old) || !slices.Equal(series.Readings[:len(old)], old) {
				t.Errorf("GPU %d: the readings of the first life are not the first %d", i, len(old))
			}
			later := series.Readings[len(old):]
			if len(later) != 7 || later[0].At.Sub(old[len(old)-1].At) < 9*time.Second {
				t.Errorf("GPU %d: %d readings of the second life, want 7", i, len(later))
			}
		}
		if oldest, ok := next.Oldest(); !ok || oldest != want[1].Readings[0].At {
			t.Errorf("readings go back to %v, want the first life's first", oldest)
		}
	})
}

func TestRestoreKeepsToTheRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		gpu := sim.New(sim.Config{Load: sim.Constant(500), Clock: clock})
		life, end := context.WithCancel(t.Context())
		var told recorder
		recorded(life, t, clock, &told, time.Hour, gpu)
		time.Sleep(100 * time.Second)
		end()
		var again recorder
		next := recorded(t.Context(), t, clock, &again, 30*time.Second, gpu)
		if n := next.Restore(slices.Values(told.all())); n < 29 || n > 32 {
			t.Errorf("%d readings taken, want those of 30 s", n)
		}
		if used := next.Latest()[0].Used; used > 31 {
			t.Errorf("%d readings in memory, which holds 31", used)
		}
	})
}

// A GPU that comes later is read on the same schedule; the same one again is left alone.
func TestAddGPU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		began := clock.Now()
		gpus := []*sim.GPU{
			sim.New(sim.Config{Index: 0, Load: sim.Constant(500), Clock: clock}),
			sim.New(sim.Config{Index: 1, Load: sim.Constant(300), Clock: clock}),
		}
		var told recorder
		s := recorded(t.Context(), t, clock, &told, time.Hour, gpus[1])
		time.Sleep(2300 * time.Millisecond)
		s.Add(gpus[0], gpus[1])
		s.Add(gpus[0])
		time.Sleep(5 * time.Second)
		synctest.Wait()
		infos := s.Infos()
		if len(infos) != 2 || infos[0].Index != 0 || infos[1].Index != 1 {
			t.Fatalf("GPUs %+v", infos)
		}
		for series := range s.Series(began, s.Now()) {
			var got []time.Duration
			for _, r := range series.Readings {
				got = append(got, r.At.Sub(began))
			}
			want := every(time.Second, 8)
			if series.Info.Index == 0 {
				want = want[3:]
			}
			if !slices.Equal(got, want) {
				t.Errorf("GPU %d read at %v, want %v", series.Info.Index, got, want)
			}
		}
		if err := s.Poll(t.Context(), gpus[0].Info().ID()); err != nil {
			t.Error(err)
		}
	})
}

// Before Run there is no schedule to join.
func TestAddGPUBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		s, err := sampler.New(nil, sampler.Config{Interval: time.Second, Retention: time.Hour, Clock: clock, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		s.Add(sim.New(sim.Config{Load: sim.Constant(500), Clock: clock}))
		go func() { _ = s.Run(t.Context()) }()
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		if reads := s.Latest()[0].Reads; reads != 3 {
			t.Errorf("%d reads, want 3", reads)
		}
	})
}
