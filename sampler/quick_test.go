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

// between are the readings of GPU 0 in memory from one moment to another.
func between(s *sampler.Sampler, from, to sampler.Moment) []sampler.Reading {
	for series := range s.Series(from, to) {
		return slices.DeleteFunc(series.Readings, func(r sampler.Reading) bool { return r.At.Sub(from) < 0 || r.At.Sub(to) > 0 })
	}
	return nil
}

func TestFollowReadsUntilTheCounterSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startCalibrating(t, nil)
		time.Sleep(20250 * time.Millisecond)
		for range 30 {
			time.Sleep(3017 * time.Millisecond) // each at another phase of the counter
			mark := s.Now()
			if err := s.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Follow(t.Context())
			took := s.Now().Sub(mark)
			readings := between(s, mark, s.Now())
			if took > 121*time.Millisecond || len(readings) > 13+1 { // and one of the schedule
				t.Errorf("Follow took %v and made %d readings, want at most 120ms and 12", took, len(readings)-1)
			}
			first, last := readings[0].EnergyJoules, readings[len(readings)-1].EnergyJoules
			if first == last {
				t.Errorf("the counter did not step in %d readings", len(readings))
			}
			// Before the last reading something was still wanted: the step, or power of after the mark alone.
			renewed := false
			n := len(readings) - 1
			for i := 1; i < n; i++ {
				apart := readings[i-1].At.Sub(readings[0].At) >= 25*time.Millisecond
				renewed = renewed || apart && readings[i].InstantWatts != readings[i-1].InstantWatts
			}
			if n > 1 && readings[n-1].EnergyJoules != first && renewed {
				t.Error("reads went on after the step")
			}
		}
	})
}

func TestFollowLeavesTheCounterAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startCalibrating(t, nil)
		follow := func() (time.Duration, uint64) {
			began, reads := s.Now(), s.Latest()[0].Reads
			s.Follow(t.Context())
			return s.Now().Sub(began), s.Latest()[0].Reads - reads
		}
		time.Sleep(500 * time.Millisecond)
		if took, _ := follow(); took != 0 {
			t.Errorf("Follow before the calibration took %v, want to return at once", took)
		}
		time.Sleep(10013 * time.Millisecond)
		if took, reads := follow(); took == 0 || reads == 0 {
			t.Fatalf("Follow took %v for %d reads, want some", took, reads)
		}
		time.Sleep(300 * time.Millisecond)
		if took, _ := follow(); took != 0 {
			t.Errorf("Follow soon after another took %v, want to return at once: the counter rests", took)
		}
		time.Sleep(2 * time.Second)
		var all sync.WaitGroup
		reads := s.Latest()[0].Reads
		for range 16 {
			all.Go(func() { s.Follow(t.Context()) })
		}
		all.Wait()
		if n := s.Latest()[0].Reads - reads; n > 13 {
			t.Errorf("16 at once made %d reads, want them to share 12", n)
		}
	})
}

// Marks that come during a burst prolong it, a flood of them not without end: the counter rests most of the time.
func TestAFloodOfFollowsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startCalibrating(t, nil)
		time.Sleep(20013 * time.Millisecond)
		before := s.Latest()[0].Reads
		const seconds = 20
		for began := time.Now(); time.Since(began) < seconds*time.Second; time.Sleep(6 * time.Millisecond) {
			go s.Follow(t.Context())
		}
		if reads := s.Latest()[0].Reads - before; reads > 26*seconds || reads < 12*seconds {
			t.Errorf("%d reads in %d s, want 24 and the schedule's in each", reads, seconds)
		}
		synctest.Wait()
	})
}

// A mark-end waits for the readings after it: what they take themselves does not add up.
func TestFollowOfSlowCallsIsNotLonger(t *testing.T) {
	for _, call := range []time.Duration{time.Millisecond, 7 * time.Millisecond, 12 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			clock := sampler.NewClock()
			load := sim.Constant(500) // power never changes, so all the readings are made
			s := startCalibrating(t, sim.New(sim.Config{Load: load, Clock: clock, Faults: []sim.Fault{sim.CallTime(call)}}))
			time.Sleep(20250 * time.Millisecond)
			before := s.Latest()[0].Reads
			began := time.Now()
			s.Follow(t.Context())
			took, reads := time.Since(began), s.Latest()[0].Reads-before
			if took > 120*time.Millisecond+call {
				t.Errorf("calls of %v: Follow took %v, want at most 120ms and a call", call, took)
			}
			if reads < 3 || reads > 12 {
				t.Errorf("calls of %v: %d reads, want some, at most 12", call, reads)
			}
		})
	}
}

func TestFollowEndsWithItsContextDuringAHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		hung := sim.New(sim.Config{Load: sim.Constant(500), Clock: clock, Faults: []sim.Fault{sim.Hang(10*time.Second, 40*time.Second)}})
		s := startCalibrating(t, hung)
		time.Sleep(15 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		s.Follow(ctx)
		if took := time.Since(began); took != 200*time.Millisecond {
			t.Errorf("Follow took %v, want until its context ended", took)
		}
	})
}

func TestOpenWindowsQuickenGPUsWithoutACounter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		sensors := sim.HopperSensors()
		sensors.CounterQuantum = 0
		without := sim.New(sim.Config{Load: sim.Constant(500), Sensors: sensors, Clock: clock})
		with := sim.New(sim.Config{Index: 1, Load: sim.Constant(500), Clock: clock})
		s := run(t, clock, slog.DiscardHandler, without, with)
		id := without.Info().ID()
		reads := func() (uint64, uint64) {
			before := s.Latest()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			after := s.Latest()
			return after[0].Reads - before[0].Reads, after[1].Reads - before[1].Reads
		}
		for _, test := range []struct {
			name   string
			change func()
			want   uint64 // reads in ten seconds
		}{
			{"no window", func() {}, 10},
			{"one", func() { s.Opened(id, with.Info().ID()) }, 110},
			{"two", func() { s.Opened(id) }, 110},
			{"one again", func() { s.Ended(id, with.Info().ID()) }, 110},
			{"none again", func() { s.Ended(id) }, 10},
			{"one of all GPUs", func() { s.Opened() }, 110},
			{"none at last", func() { s.Ended() }, 10},
		} {
			test.change()
			quick, other := reads()
			if quick+2 < test.want || quick > test.want+2 {
				t.Errorf("%s: %d reads in 10 s, want %d", test.name, quick, test.want)
			}
			if other != 10 {
				t.Errorf("%s: a GPU with a counter was read %d times in 10 s, want 10", test.name, other)
			}
		}
	})
}

// Readings while a window is open are whole tenths of a second after its mark, however long driver calls take.
func TestReadingsAreInStepWithTheMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		sensors := sim.HopperSensors()
		sensors.CounterQuantum = 0
		s := run(t, clock, slog.DiscardHandler, sim.New(sim.Config{
			Load: sim.Constant(500), Sensors: sensors, Clock: clock, Faults: []sim.Fault{sim.CallTime(3 * time.Millisecond)},
		}))
		time.Sleep(20437 * time.Millisecond)
		s.Opened()
		mark := s.Now()
		time.Sleep(30 * time.Second)
		inStep := 0
		for _, r := range between(s, mark, s.Now()) {
			if off := (r.At.Sub(mark) - r.Call/2) % (100 * time.Millisecond); off < time.Millisecond {
				inStep++
			}
		}
		if inStep < 295 || inStep > 301 {
			t.Errorf("%d readings of 30 s are in step with the mark, want 300", inStep)
		}
	})
}

func TestNothingIsReadBesideTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, slog.DiscardHandler, 1)
		time.Sleep(90*time.Minute + 500*time.Millisecond)
		if got := s.Latest()[0].Reads; got != 5401 {
			t.Errorf("reads in 90 min = %d, want 5401", got)
		}
	})
}

// slowing answers in call, which may change.
type slowing struct {
	*sim.GPU
	mu   sync.Mutex
	call time.Duration
}

func (d *slowing) set(call time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.call = call
}

func (d *slowing) Read() (sampler.Reading, error) {
	d.mu.Lock()
	call := d.call
	d.mu.Unlock()
	time.Sleep(call)
	reading, err := d.GPU.Read()
	reading.Call = call
	return reading, err
}

func TestSlowCallsStretchTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		device := &slowing{GPU: sim.New(sim.Config{Clock: clock})}
		log := &logged{}
		s := run(t, clock, log, device)
		for _, phase := range []struct {
			call    time.Duration
			stretch int
			least   int // readings in a minute, once it has settled
			most    int
		}{
			{5 * time.Millisecond, 1, 59, 61},
			{90 * time.Millisecond, 1, 59, 61},
			{150 * time.Millisecond, 2, 29, 31},
			{80 * time.Millisecond, 2, 29, 31}, // it does not flutter
			{20 * time.Millisecond, 1, 59, 61},
		} {
			device.set(phase.call)
			time.Sleep(time.Minute)
			from := s.Now()
			time.Sleep(time.Minute)
			synctest.Wait()
			readings := between(s, from, s.Now())
			if n := len(readings); n < phase.least || n > phase.most {
				t.Errorf("calls of %v: %d readings in a minute, want %d to %d", phase.call, n, phase.least, phase.most)
			}
			if got := s.Latest()[0].Stretch; got != phase.stretch {
				t.Errorf("calls of %v: interval stretched %d times, want %d", phase.call, got, phase.stretch)
			}
			if got := readings[0].Stretched; got != (phase.stretch > 1) {
				t.Errorf("calls of %v: readings say stretched %v", phase.call, got)
			}
		}
		if len(log.lines) != 2 {
			t.Errorf("log: %v, want one line per change", log.lines)
		}
	})
}

func TestHistogramsCountCallsAndLateness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, slog.DiscardHandler, 1, sim.CallTime(3*time.Millisecond))
		time.Sleep(10500 * time.Millisecond)
		bounds := sampler.HistogramBounds()
		status := s.Latest()[0]
		for name, h := range map[string]sampler.Histogram{"calls": status.Calls, "lateness": status.Late} {
			total := uint64(0)
			for _, n := range h.Counts {
				total += n
			}
			if total != 11 || len(h.Counts) != len(bounds)+1 || !slices.IsSorted(bounds) {
				t.Errorf("%s: %v of bounds %v, want 11 in all", name, h.Counts, bounds)
			}
		}
		if i := slices.Index(bounds, 5*time.Millisecond); status.Calls.Counts[i] != 11 || status.Calls.Sum != 33*time.Millisecond {
			t.Errorf("calls of 3 ms: %v, sum %v; want all in the bucket up to 5 ms", status.Calls.Counts, status.Calls.Sum)
		}
		if status.Late.Counts[0] != 11 || status.Late.Sum != 0 {
			t.Errorf("lateness: %v, sum %v; want none", status.Late.Counts, status.Late.Sum)
		}
	})
}
