package sampler_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
)

// rig is a sampler of simulated GPUs in a synctest bubble.
type rig struct {
	*sampler.Sampler
	began sampler.Moment
}

// start samples n GPUs once a second until the test ends. Its first readings are in. The faults concern GPU 0.
func start(t *testing.T, log slog.Handler, n int, faults ...sim.Fault) rig {
	t.Helper()
	clock := sampler.NewClock()
	devices := make([]sampler.Device, n)
	for i := range devices {
		config := sim.Config{Index: i, Load: sim.Constant(500), Clock: clock}
		if i == 0 {
			config.Faults = faults
		}
		devices[i] = sim.New(config)
	}
	s := run(t, clock, log, devices...)
	return rig{s, clock.Now()}
}

// run samples devices as start does.
func run(t *testing.T, clock sampler.Clock, log slog.Handler, devices ...sampler.Device) *sampler.Sampler {
	t.Helper()
	s, err := sampler.New(devices, sampler.Config{
		Interval: time.Second, Retention: 2 * time.Hour, Clock: clock, Logger: slog.New(log),
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Run(t.Context()) }()
	t.Cleanup(func() { time.Sleep(time.Hour) }) // for driver calls under way
	synctest.Wait()
	return s
}

// offsets returns when a GPU was read, since the rig began: the begin of each driver call.
func (r rig) offsets(gpu int) []time.Duration {
	var offsets []time.Duration
	for series := range r.Series(r.began, r.Now()) {
		for _, reading := range series.Readings {
			if series.Info.Index == gpu {
				offsets = append(offsets, reading.At.Sub(r.began)-reading.Call/2)
			}
		}
	}
	return offsets
}

func every(interval time.Duration, n int) []time.Duration {
	offsets := make([]time.Duration, n)
	for i := range offsets {
		offsets[i] = time.Duration(i) * interval
	}
	return offsets
}

func TestScheduleIsAbsolute(t *testing.T) {
	for _, test := range []struct {
		name string
		call time.Duration
	}{{"instant reads", 0}, {"reads of 37 ms", 37 * time.Millisecond}, {"reads of 99 ms", 99 * time.Millisecond}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, slog.DiscardHandler, 2, sim.CallTime(test.call))
				time.Sleep(time.Hour + test.call)
				synctest.Wait()
				if got, want := s.offsets(0), every(time.Second, 3601); !slices.Equal(got, want) {
					t.Errorf("%d readings in an hour, the last at %v; want %d, reading k at k seconds exactly", len(got), got[len(got)-1], len(want))
				}
				if got := s.Latest()[0]; got.Missed != 0 || got.MaxCall != test.call || got.Reads < 3601 {
					t.Errorf("missed %d ticks of %d, longest call %v; want none, %v", got.Missed, got.Reads, got.MaxCall, test.call)
				}
			})
		})
	}
}

func TestScheduleBeginsAtItsStart(t *testing.T) {
	for _, ahead := range []time.Duration{300 * time.Millisecond, -2300 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			clock := sampler.NewClock()
			s, err := sampler.New([]sampler.Device{sim.New(sim.Config{Clock: clock})}, sampler.Config{
				Interval: time.Second, Retention: time.Hour, Start: time.Now().Add(ahead), Clock: clock,
				Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			began := clock.Now()
			go func() { _ = s.Run(t.Context()) }()
			time.Sleep(3500 * time.Millisecond)
			want := []time.Duration{300 * time.Millisecond, 1300 * time.Millisecond, 2300 * time.Millisecond, 3300 * time.Millisecond}
			if ahead < 0 { // one at once, and then the schedule that began before
				want = []time.Duration{0, 700 * time.Millisecond, 1700 * time.Millisecond, 2700 * time.Millisecond}
			}
			if got := (rig{s, began}).offsets(0); !slices.Equal(got, want) {
				t.Errorf("a schedule that begins in %v reads at %v, want %v", ahead, got, want)
			}
		})
	}
}

func TestSlowReadsMissTicksAndNeverBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, slog.DiscardHandler, 2, sim.CallTime(1300*time.Millisecond))
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if got, want := s.offsets(0), every(2*time.Second, 30); !slices.Equal(got, want) {
			t.Errorf("reads that take 1.3 s begin at %v; want every other second", got)
		}
		status := s.Latest()
		// The fifth read shows that they are slow: from then on every other second is the schedule.
		if status[0].Missed != 4 || status[0].Stretch != 2 || status[1].Missed != 0 || status[1].Stretch != 1 {
			t.Errorf("missed ticks = %d and %d, stretched %d and %d times; want 4 and 0, 2 and 1",
				status[0].Missed, status[1].Missed, status[0].Stretch, status[1].Stretch)
		}
		if got, want := s.offsets(1), every(time.Second, 62); !slices.Equal(got, want) {
			t.Errorf("the other GPU was read at %v; want every second", got)
		}
	})
}

func TestHangSilencesOneGPUOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, slog.DiscardHandler, 8, sim.Hang(9500*time.Millisecond, 25200*time.Millisecond))
		time.Sleep(12 * time.Second)
		for range 20 { // an unfair choice between a reading and the deadline would show
			asked := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			err := s.Poll(ctx)
			cancel()
			if took := time.Since(asked); took != 500*time.Millisecond {
				t.Fatalf("Poll took %v, want its deadline of 500ms", took)
			}
			if !errors.Is(err, sampler.ErrNoReading) || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("Poll = %v, want ErrNoReading", err)
			}
			if lines := strings.Split(err.Error(), "\n"); len(lines) != 1 || !strings.Contains(lines[0], "GPU 0") {
				t.Fatalf("Poll = %v; want GPU 0 only: the others gave their readings", err)
			}
		}
		busy := s.Latest()
		if want := s.began.Wall().Add(10 * time.Second); !busy[0].Busy.Equal(want) || !busy[1].Busy.IsZero() {
			t.Errorf("busy since %v and %v, want %v and not", busy[0].Busy, busy[1].Busy, want)
		}
		asked := s.Now()
		if err := s.Poll(t.Context()); err != nil { // waits for the end of the hang
			t.Errorf("Poll after the hang: %v", err)
		}
		if took := s.Now().Sub(asked); asked.Sub(s.began)+took < 25*time.Second {
			t.Errorf("Poll returned %v after the start, want after the hang", asked.Sub(s.began)+took)
		}
		time.Sleep(40*time.Second - s.Now().Sub(s.began))
		synctest.Wait()

		whole := func(all []time.Duration) []time.Duration {
			return slices.DeleteFunc(all, func(d time.Duration) bool { return d%time.Second != 0 })
		}
		want := append(every(time.Second, 11), every(time.Second, 41)[26:]...)
		if got := slices.Compact(whole(s.offsets(0))); !slices.Equal(got, want) {
			t.Errorf("schedule of the GPU that hung = %v, want each second but those of the hang", got)
		}
		if got := slices.Compact(whole(s.offsets(1))); !slices.Equal(got, every(time.Second, 41)) {
			t.Errorf("schedule of another GPU = %v, want each second", got)
		}
		if got := s.Latest()[0].Missed; got != 15 {
			t.Errorf("missed ticks = %d, want those of seconds 11 to 25", got)
		}
	})
}

func TestRunEndsDuringAHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu := sim.New(sim.Config{Clock: sampler.NewClock(), Faults: []sim.Fault{sim.Hang(0, time.Minute)}})
		s, err := sampler.New([]sampler.Device{gpu}, sampler.Config{
			Interval: time.Second, Retention: time.Hour, Clock: sampler.NewClock(), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		if err := s.Run(ctx); err != nil || time.Since(began) != 10*time.Second {
			t.Errorf("Run = %v after %v, want nil when its context ends", err, time.Since(began))
		}
		if got := s.Latest()[0]; got.Reads != 0 || got.Latest.At != (sampler.Moment{}) {
			t.Errorf("status of a GPU that never answered = %+v", got)
		}
		if _, ok := s.Oldest(); ok {
			t.Error("Oldest = true, want false: there are no readings")
		}
		time.Sleep(time.Minute) // for the end of the hang
	})
}

// logged keeps what one goroutine logs.
type logged struct {
	slog.Handler
	lines []string
}

func (l *logged) Handle(_ context.Context, record slog.Record) error {
	line := record.Level.String() + " " + record.Message
	record.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	l.lines = append(l.lines, line)
	return nil
}

func (l *logged) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logged) Enabled(context.Context, slog.Level) bool { return true }

func TestFailingReadsAreLoggedOncePerChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logged{}
		s := start(t, log, 1, sim.Drop(9500*time.Millisecond, 40500*time.Millisecond), sim.Lost(60500*time.Millisecond))
		time.Sleep(20300 * time.Millisecond)
		if err := s.Poll(t.Context()); !errors.Is(err, sampler.ErrNoReading) || !errors.Is(err, sim.ErrDropped) {
			t.Errorf("Poll = %v, want ErrNoReading because of ErrDropped", err)
		}
		if got := s.Latest()[0]; !errors.Is(got.Err, sim.ErrDropped) {
			t.Errorf("status error = %v, want ErrDropped", got.Err)
		}
		time.Sleep(30 * time.Second)
		if got := s.Latest()[0]; got.Err != nil || got.Failed != 32 { // 31 of the schedule and that of Poll
			t.Errorf("after the recovery: error %v, %d failed reads; want none, 32", got.Err, got.Failed)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []string{
			"WARN read failing err=" + sim.ErrDropped.Error(),
			"INFO read recovered failed_reads=32",
			"WARN read failing err=" + sim.ErrLost.Error(),
		}
		if !slices.Equal(log.lines, want) {
			t.Errorf("log:\n%s\nwant:\n%s", strings.Join(log.lines, "\n"), strings.Join(want, "\n"))
		}
	})
}
