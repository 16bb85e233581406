package sampler_test

import (
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
)

// readingsOf are the readings that a calibration makes, at these seconds.
func readingsOf(gpu *sim.GPU, fast []float64) []sampler.Reading {
	readings := []sampler.Reading{gpu.At(9), gpu.At(10)}
	for _, t := range fast {
		readings = append(readings, gpu.At(t))
	}
	return readings
}

func fastReads(seconds float64) []float64 {
	var times []float64
	for t := 10.005; t <= 10+seconds; t += 0.005 {
		times = append(times, t)
	}
	return times
}

func TestCalibrationFindsTheStep(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, period := range []time.Duration{100 * time.Millisecond, 101300 * time.Microsecond, 20 * time.Millisecond, 250 * time.Millisecond} {
		for _, load := range []sim.Load{sim.Constant(80), sim.Constant(650), sim.NewDecode(sim.ServingH200(1))} {
			sensors := sim.HopperSensors()
			sensors.CounterPeriod, sensors.CounterPhase = period, time.Duration(random.Int64N(1e9))
			sensors.RefreshPhase = time.Duration(random.Int64N(1e9))
			gpu := sim.New(sim.Config{Load: load, Sensors: sensors})
			got := sampler.CalibrationOf(readingsOf(gpu, fastReads(1.5)))
			if off := (got.Period - period).Abs(); !got.Done || !got.Steady || off > 2*time.Millisecond {
				t.Errorf("period = %v, steady %v; want %v, steady", got.Period, got.Steady, period)
			}
			if got.Jitter > 6*time.Millisecond {
				t.Errorf("jitter = %v of a regular counter read every 5 ms, want at most that", got.Jitter)
			}
			if ratio := got.RateRatio.Or(0); math.Abs(ratio-1) > 0.4 {
				t.Errorf("rate ratio = %v, want about 1: the count does not depend on how often it is read", ratio)
			}
		}
	}
}

func TestCalibrationWithReadsThatCameLate(t *testing.T) {
	gpu := sim.New(sim.Config{Load: sim.Constant(500)})
	var times []float64
	random := rand.New(rand.NewPCG(1, 1))
	for at := 10.005; at < 11.5; at += 0.005 {
		if random.IntN(20) == 0 {
			at += 0.12 * random.Float64() // a step or two go by unseen
		}
		times = append(times, at)
	}
	got := sampler.CalibrationOf(readingsOf(gpu, times))
	if off := (got.Period - 100*time.Millisecond).Abs(); off > 2*time.Millisecond || !got.Steady {
		t.Errorf("period = %v, steady %v; want 100ms, steady", got.Period, got.Steady)
	}
}

func TestCalibrationOfUnfitCounters(t *testing.T) {
	steady := sim.New(sim.Config{Load: sim.Constant(500)})
	frozen := sim.New(sim.Config{Load: sim.Constant(500), Faults: []sim.Fault{sim.CounterFrozen(0, time.Hour)}})
	none := sim.New(sim.Config{Load: sim.Constant(500), Faults: []sim.Fault{sim.CounterMissing(0, time.Hour)}})
	stamped := sim.New(sim.Config{Model: "MI300X", Load: sim.Constant(500)})
	perRead := readingsOf(steady, fastReads(1.5)) // each read counts: on record for a laptop GPU
	for i := range perRead {
		perRead[i].EnergyJoules = sampler.Some(1000 + 30*float64(i))
	}
	for name, readings := range map[string][]sampler.Reading{
		"none at all":          nil,
		"two readings":         readingsOf(steady, nil),
		"three readings":       readingsOf(steady, []float64{10.005}),
		"too short":            readingsOf(steady, fastReads(0.2)),
		"frozen":               readingsOf(frozen, fastReads(1.5)),
		"no counter":           readingsOf(none, fastReads(1.5)),
		"counts reads":         perRead,
		"stamped by driver":    readingsOf(stamped, fastReads(1.5)),
		"readings of one time": readingsOf(steady, []float64{10, 10, 10, 10}),
	} {
		if got := sampler.CalibrationOf(readings); got.Steady || !got.Done {
			t.Errorf("%s: %+v, want done and not steady", name, got)
		}
	}
	if got := sampler.CalibrationOf(perRead); got.Period != 0 || got.RateRatio.Or(0) < 3 {
		t.Errorf("a counter that counts reads: %+v, want no period and a high rate ratio", got)
	}
}

func TestCalibrateReadsADevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		got := sampler.Calibrate(sim.New(sim.Config{Model: "A100", Load: sim.Constant(300), Clock: sampler.NewClock()}))
		if off := (got.Period - 101300*time.Microsecond).Abs(); off > time.Millisecond || !got.Steady {
			t.Errorf("%+v, want a steady 101.3ms", got)
		}
		if took := time.Since(began); took < 2400*time.Millisecond || took > 2700*time.Millisecond {
			t.Errorf("calibration took %v, want 2.5s", took)
		}
	})
}

// deaf fails every read, at once.
type deaf struct {
	*sim.GPU
	reads atomic.Int32
}

func (d *deaf) Read() (sampler.Reading, error) {
	d.reads.Add(1)
	return sampler.Reading{}, errors.New("no answer")
}

func TestCalibrationOfADeviceThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device := &deaf{GPU: sim.New(sim.Config{Clock: sampler.NewClock()})}
		began := time.Now()
		if got := sampler.Calibrate(device); got.Steady || got.Period != 0 {
			t.Errorf("%+v, want nothing found", got)
		}
		if n, took := device.reads.Load(), time.Since(began); n > 20 || took > 15*time.Second {
			t.Errorf("%d reads in %v, want few, and soon an end", n, took)
		}
	})
}

// startCalibrating runs a sampler as the daemon does.
func startCalibrating(t *testing.T, devices ...sampler.Device) *sampler.Sampler {
	t.Helper()
	clock := sampler.NewClock()
	for i, device := range devices {
		if device == nil {
			devices[i] = sim.New(sim.Config{Index: i, Load: sim.Constant(500), Clock: clock})
		}
	}
	s, err := sampler.New(devices, sampler.Config{
		Interval: time.Second, Retention: time.Hour, Calibrate: true, Clock: clock, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Run(t.Context()) }()
	t.Cleanup(func() { time.Sleep(time.Hour) })
	return s
}

func TestCalibrationAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stamped := sim.New(sim.Config{Model: "MI300X", Index: 1, Clock: sampler.NewClock()})
		s := startCalibrating(t, nil, stamped)
		began := s.Now()
		time.Sleep(10500 * time.Millisecond)
		status := s.Latest()
		if got := status[0].Calibration; !got.Steady || !got.Done {
			t.Errorf("calibration = %+v, want done and steady", got)
		}
		if got := status[0].Info.CounterPeriod; got != status[0].Calibration.Period || got != s.Infos()[0].CounterPeriod {
			t.Errorf("counter period = %v, in Infos %v; want what was found, %v", got, s.Infos()[0].CounterPeriod, status[0].Calibration.Period)
		}
		if got := status[1]; got.Calibration.Done || got.Reads != 11 {
			t.Errorf("counter without steps: %+v after %d reads; want no calibration, those of the schedule", got.Calibration, got.Reads)
		}
		for series := range s.Series(began, s.Now()) {
			if len(series.Readings) != 11 {
				t.Errorf("GPU %d: %d readings in memory, want the schedule's 11: those of a calibration are not kept", series.Info.Index, len(series.Readings))
			}
			if series.Info.Index == 0 && series.Info.CounterPeriod != status[0].Calibration.Period {
				t.Errorf("series says the period is %v, want %v", series.Info.CounterPeriod, status[0].Calibration.Period)
			}
		}
		if reads := status[0].Reads; reads < 300 || reads > 330 {
			t.Errorf("reads = %d, want about 300 for the calibration", reads)
		}
	})
}
