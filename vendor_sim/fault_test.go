package sim

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/sampler"
)

func TestFaultsOfTheDriverCall(t *testing.T) {
	const s = time.Second
	for _, test := range []struct {
		name   string
		faults []Fault
		at     time.Duration // when the read begins
		call   time.Duration // how long it takes
		value  time.Duration // the model time of its values
		err    error
	}{
		{"none", nil, 3 * s, 0, 3 * s, nil},
		{"before a drop", []Fault{Drop(5*s, 10*s)}, 5*s - 1, 0, 5*s - 1, nil},
		{"dropped", []Fault{Drop(5*s, 10*s)}, 5 * s, 0, 0, ErrDropped},
		{"after a drop", []Fault{Drop(5*s, 10*s)}, 10 * s, 0, 10 * s, nil},
		{"hanging", []Fault{Hang(5*s, 9*s)}, 6 * s, 3 * s, 9 * s, nil},
		{"after a hang", []Fault{Hang(5*s, 9*s)}, 9 * s, 0, 9 * s, nil},
		{"slow", []Fault{CallTime(s / 2)}, 6 * s, s / 2, 6*s + s/4, nil},
		{"slow after a hang", []Fault{CallTime(s / 2), Hang(5*s, 9*s)}, 6 * s, 3*s + s/2, 9*s + s/4, nil},
		{"lost", []Fault{Lost(5 * s)}, 5 * s, 0, 0, ErrLost},
		{"lost for ever", []Fault{Lost(5 * s)}, 1e6 * s, 0, 0, ErrLost},
		{"lost while hanging", []Fault{Hang(5*s, 9*s), Lost(7 * s)}, 6 * s, 3 * s, 0, ErrLost},
	} {
		synctest.Test(t, func(t *testing.T) {
			clock := sampler.NewClock()
			gpu := New(Config{Load: Ramp{Start: 0, After: 1e6, End: 1e6}, Faults: test.faults, Clock: clock})
			time.Sleep(test.at)
			before := time.Now()
			got, err := gpu.Read()
			if call := time.Since(before); call != test.call {
				t.Errorf("%s: the read took %v, want %v", test.name, call, test.call)
			}
			if !errors.Is(err, test.err) {
				t.Fatalf("%s: err = %v, want %v", test.name, err, test.err)
			}
			if err != nil {
				return
			}
			want := gpu.At(test.value.Seconds())
			want.At, want.Call = clock.Moment(before.Add(test.call/2)), test.call
			if got != want {
				t.Errorf("%s: got %+v, want %+v", test.name, got, want)
			}
		})
	}
}

func TestFaultsOfTheSensors(t *testing.T) {
	const s = time.Second
	const missing = math.MaxFloat64
	// Continuous sensors at 500 W: the counter is 500 t from 1e6 J on.
	sensors := Sensors{CounterQuantum: 0.001, InstantWindow: 25 * time.Millisecond, PowerQuantum: 0.001}
	for _, test := range []struct {
		name         string
		faults       []Fault
		at           float64
		watts, count float64
	}{
		{"none", nil, 10, 500, 1005000},
		{"power missing", []Fault{PowerMissing(5*s, 15*s)}, 10, missing, 1005000},
		{"power back", []Fault{PowerMissing(5*s, 15*s)}, 15, 500, 1007500},
		{"spike", []Fault{PowerSpike(5*s, 15*s, 65535)}, 10, 65535, 1005000},
		{"counter missing", []Fault{CounterMissing(5*s, 15*s)}, 10, 500, missing},
		{"before a reset", []Fault{CounterReset(12 * s)}, 10, 500, 1005000},
		{"at a reset", []Fault{CounterReset(12 * s)}, 12, 500, 0},
		{"after a reset", []Fault{CounterReset(12 * s)}, 20, 500, 4000},
		{"after two resets", []Fault{CounterReset(14 * s), CounterReset(12 * s)}, 20, 500, 3000},
		{"scaled", []Fault{CounterScale(0.5)}, 20, 500, 1005000},
		{"scaled and reset", []Fault{CounterScale(1.3), CounterReset(12 * s)}, 20, 500, 5200},
		{"before a freeze", []Fault{CounterFrozen(5*s, 15*s)}, 4, 500, 1002000},
		{"frozen", []Fault{CounterFrozen(5*s, 15*s)}, 10, 500, 1002500},
		{"after a freeze", []Fault{CounterFrozen(5*s, 15*s)}, 20, 500, 1005000},
	} {
		gpu := New(Config{Load: Constant(500), Sensors: sensors, Faults: test.faults})
		reading := gpu.At(test.at)
		if got := reading.PowerWatts.Or(missing); math.Abs(got-test.watts) > 1e-3 {
			t.Errorf("%s: power = %g W, want %g", test.name, got, test.watts)
		}
		if got := reading.EnergyJoules.Or(missing); math.Abs(got-test.count) > 2e-3 {
			t.Errorf("%s: counter = %g J, want %g", test.name, got, test.count)
		}
	}
}

func TestSeriesLeavesOutSpoiledReads(t *testing.T) {
	const s = time.Second
	gpu := New(Config{Faults: []Fault{Drop(2*s, 4*s), Hang(6*s, 7*s), Lost(9 * s)}})
	var got []time.Duration
	for _, reading := range gpu.Series(0, 20*s, s).Readings {
		got = append(got, reading.At.Sub(gpu.Moment(0))/s)
	}
	want := []time.Duration{0, 1, 4, 5, 7, 8}
	if len(got) != len(want) {
		t.Fatalf("readings at %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("readings at %v, want %v", got, want)
		}
	}
}

// A sampler in a bubble reads what the model says, and a GPU that hangs does not silence the other.
func TestSamplerReadsSimulatedGPUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := sampler.NewClock()
		gpus, err := Parse("2xH200,load=constant,watts=500,fault=hang:3500ms-20s@1", "h", clock)
		if err != nil {
			t.Fatal(err)
		}
		s, err := sampler.New([]sampler.Device{gpus[0], gpus[1]}, sampler.Config{
			Interval: time.Second, Retention: time.Hour, Clock: clock, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = s.Run(ctx) }()
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		latest := s.Latest()
		if got, want := latest[0].Latest.EnergyJoules.Or(0)-1e6, 500*10.0; got > want || got < want-50 {
			t.Errorf("counter of GPU 0 = %g J, want %g less at most one tick", got, want)
		}
		if latest[0].Reads != 11 || latest[1].Reads != 4 || latest[1].Busy.IsZero() {
			t.Errorf("reads = %d and %d, want 11 and 4, and GPU 1 busy", latest[0].Reads, latest[1].Reads)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		// The four before, the one that hung from 4 s to 20 s, and one each from 21 s to 30 s.
		if got := s.Latest()[1]; got.Reads != 15 || got.MaxCall != 16*time.Second {
			t.Errorf("GPU 1: %d reads, longest %v; want 15 and 16s", got.Reads, got.MaxCall)
		}
		cancel()
	})
}
