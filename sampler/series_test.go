package sampler_test

import (
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
)

// series returns the readings of GPU 0 in a span, as offsets from the rig's begin.
func (r rig) series(from, to sampler.Moment) []time.Duration {
	for series := range r.Series(from, to) {
		offsets := []time.Duration{}
		for _, reading := range series.Readings {
			offsets = append(offsets, reading.At.Sub(r.began))
		}
		return offsets
	}
	return nil
}

func TestSeriesHoldsASpanAndItsNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, slog.DiscardHandler, 1)
		ms := time.Millisecond
		for _, at := range []time.Duration{3300 * ms, 20700 * ms} { // polls far from most spans
			time.Sleep(at - s.Now().Sub(s.began))
			if err := s.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(30*time.Second - s.Now().Sub(s.began))
		synctest.Wait()
		for _, test := range []struct {
			from, to time.Duration
			want     []time.Duration
		}{
			{10 * time.Second, 12 * time.Second, []time.Duration{10000 * ms, 11000 * ms, 12000 * ms}},
			{10500 * ms, 11500 * ms, []time.Duration{10000 * ms, 11000 * ms, 12000 * ms}},
			{3100 * ms, 3200 * ms, []time.Duration{3000 * ms, 3300 * ms}},
			{3300 * ms, 3400 * ms, []time.Duration{3300 * ms, 4000 * ms}},
			{20700 * ms, 20700 * ms, []time.Duration{20700 * ms}},
			{-time.Hour, -time.Minute, []time.Duration{0}},
			{time.Hour, 2 * time.Hour, []time.Duration{30000 * ms}},
		} {
			from, to := s.began.Add(test.from), s.began.Add(test.to)
			if got := s.series(from, to); !slices.Equal(got, test.want) {
				t.Errorf("Series(%v, %v) = %v, want %v", test.from, test.to, got, test.want)
			}
			from.MonoNano, to.MonoNano = 0, 0
			if got := s.series(from, to); !slices.Equal(got, test.want) {
				t.Errorf("Series(%v, %v) by the wall clock = %v, want %v", test.from, test.to, got, test.want)
			}
		}
	})
}

// steppedClock is a GPU of a host whose wall clock is set by step at a moment.
type steppedClock struct {
	*sim.GPU
	at   sampler.Moment
	step time.Duration
}

func (s steppedClock) Read() (sampler.Reading, error) {
	reading, err := s.GPU.Read()
	if reading.At.Sub(s.at) > 0 {
		reading.At.UnixNano += int64(s.step)
	}
	return reading, err
}

func TestSeriesByTheWallClockAfterItWasSet(t *testing.T) {
	for _, test := range []struct {
		name     string
		step     time.Duration
		from, to time.Duration // on the wall clock
		want     []time.Duration
	}{
		{"forward, after", time.Hour, time.Hour + 40*time.Second, time.Hour + 41*time.Second, []time.Duration{40e9, 41e9}},
		{"forward, before", time.Hour, 20 * time.Second, 21 * time.Second, []time.Duration{20e9, 21e9}},
		{"forward, across", time.Hour, 29 * time.Second, time.Hour + 32*time.Second, []time.Duration{29e9, 30e9, 31e9, 32e9}},
		{"back, times shown twice", -20 * time.Second, 15 * time.Second, 16 * time.Second, []time.Duration{35e9, 35.2e9, 36e9}},
		{"back, times shown after only", -time.Hour, -time.Hour + 40*time.Second, -time.Hour + 41*time.Second, []time.Duration{40e9, 41e9}},
		{"back, times shown before only", -time.Hour, 5 * time.Second, 6 * time.Second, []time.Duration{5e9, 5.2e9, 6e9}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock := sampler.NewClock()
				began := clock.Now()
				gpu := sim.New(sim.Config{Clock: clock})
				s := rig{run(t, clock, slog.DiscardHandler, steppedClock{gpu, began.Add(30500 * time.Millisecond), test.step}), began}
				for range 2 { // polls at 5.2 s and at 35.2 s
					time.Sleep(5200 * time.Millisecond)
					if err := s.Poll(t.Context()); err != nil {
						t.Fatal(err)
					}
					time.Sleep(24800 * time.Millisecond)
				}
				from, to := began.Add(test.from), began.Add(test.to)
				from.MonoNano, to.MonoNano = 0, 0
				if got := s.series(from, to); !slices.Equal(got, test.want) {
					t.Errorf("Series = %v, want %v", got, test.want)
				}
			})
		})
	}
}

func TestSeriesIsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, slog.DiscardHandler, 2)
		random := rand.New(rand.NewPCG(1, 1))
		want := map[time.Duration]bool{0: true}
		for range 500 {
			time.Sleep(time.Duration(random.Int64N(int64(500 * time.Millisecond))))
			if err := s.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			want[s.Now().Sub(s.began)] = true
		}
		last := s.Now().Sub(s.began)
		for k := time.Second; k <= last; k += time.Second {
			want[k] = true
		}
		synctest.Wait()
		for gpu := range 2 {
			got := s.offsets(gpu)
			if !slices.IsSorted(got) || len(slices.Compact(got)) != len(want) {
				t.Errorf("GPU %d: %d readings, sorted %v; want %d in the order of time", gpu, len(got), slices.IsSorted(got), len(want))
			}
			for _, at := range got {
				if !want[at] {
					t.Errorf("GPU %d: a reading at %v that nobody asked for", gpu, at)
				}
			}
		}
	})
}

func TestOldestIsWhatEveryGPUStillHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		late := sim.New(sim.Config{Index: 1, Clock: clock, Faults: []sim.Fault{sim.Drop(0, 3500*time.Millisecond)}})
		never := sim.New(sim.Config{Index: 2, Clock: clock, Faults: []sim.Fault{sim.Lost(0)}})
		s, err := sampler.New([]sampler.Device{sim.New(sim.Config{Clock: clock}), late, never}, sampler.Config{
			Interval: time.Second, Retention: 10 * time.Second, Clock: clock, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		began := s.Now()
		go func() { _ = s.Run(t.Context()) }()
		for _, test := range []struct{ now, want time.Duration }{{5, 4}, {10, 4}, {14, 4}, {15, 5}, {100, 90}} {
			time.Sleep(test.now*time.Second - s.Now().Sub(began))
			synctest.Wait()
			if oldest, ok := s.Oldest(); !ok || oldest.Sub(began) != test.want*time.Second {
				t.Errorf("oldest after %d s = %v, %v; want %d s", test.now, oldest.Sub(began), ok, test.want)
			}
		}
		for series := range s.Series(began, s.Now()) {
			if n := len(series.Readings); series.Info.Index < 2 && n != 11 || series.Info.Index == 2 && n != 0 {
				t.Errorf("GPU %d has %d readings, want 11 of the last 10 s, none of a GPU that was never read", series.Info.Index, n)
			}
		}
	})
}

func TestTotalsOnlyGrow(t *testing.T) {
	s := func(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
	for _, test := range []struct {
		name    string
		faults  []sim.Fault
		counter float64 // s of 500 W
		power   float64
	}{
		{"healthy", nil, 60, 60},
		{"counter missing for some reads", []sim.Fault{sim.CounterMissing(s(9.5), s(30.5))}, 60, 60},
		{"counter reset", []sim.Fault{sim.CounterReset(s(20.5))}, 59, 60}, // what the reset hid is not known
		{"reads fail for a while", []sim.Fault{sim.Drop(s(9.5), s(30.5))}, 60, 60},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rig := start(t, slog.DiscardHandler, 1, test.faults...)
				var last sampler.Status
				for range 60 {
					time.Sleep(time.Second)
					synctest.Wait()
					status := rig.Latest()[0]
					if status.CounterJoules.Or(-1) < last.CounterJoules.Or(0) || status.PowerJoules.Or(-1) < last.PowerJoules.Or(0) {
						t.Fatalf("totals fell from %v and %v to %v and %v", last.CounterJoules.Or(0), last.PowerJoules.Or(0),
							status.CounterJoules.Or(-1), status.PowerJoules.Or(-1))
					}
					last = status
				}
				// A second of the reset one hides up to a second.
				if got, want := last.CounterJoules.Or(-1), 500*test.counter; math.Abs(got-want) > 500*(60-test.counter)+51 {
					t.Errorf("counter total = %v J, want %v within a tick", got, want)
				}
				if got, want := last.PowerJoules.Or(-1), 500*test.power; math.Abs(got-want) > 1 {
					t.Errorf("power total = %v J, want %v", got, want)
				}
			})
		})
	}
}

func TestTotalsOfWhatIsNotMeasuredAreMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := start(t, slog.DiscardHandler, 1, sim.CounterMissing(0, time.Hour), sim.PowerMissing(0, time.Hour))
		time.Sleep(10 * time.Second)
		if got := rig.Latest()[0]; got.CounterJoules.OK() || got.PowerJoules.OK() {
			t.Errorf("totals = %v and %v, want missing", got.CounterJoules, got.PowerJoules)
		}
	})
}

func TestNewRefusesImpossibleSchedules(t *testing.T) {
	for _, test := range []struct {
		interval, retention time.Duration
		ok                  bool
	}{
		{time.Second, 24 * time.Hour, true},
		{10 * time.Millisecond, 10 * time.Millisecond, true},
		{9 * time.Millisecond, time.Hour, false},
		{0, time.Hour, false},
		{-time.Second, time.Hour, false},
		{time.Minute, time.Second, false},
	} {
		_, err := sampler.New(nil, sampler.Config{Interval: test.interval, Retention: test.retention})
		if (err == nil) != test.ok {
			t.Errorf("New with interval %v, retention %v: %v, want ok %v", test.interval, test.retention, err, test.ok)
		}
	}
}
