package metrics

import (
	"time"

	"wattmark/sampler"
)

// noon is when the fixed readings were made.
func noon() sampler.Moment {
	return sampler.Moment{UnixNano: 1_785_585_600_250_000_000, MonoNano: 5e12}
}

func options(statuses ...sampler.Status) Options {
	return Options{
		Version:     "1.2.3",
		Interval:    time.Second,
		Retention:   func() time.Duration { return 24 * time.Hour },
		Dropped:     func() uint64 { return 17 },
		Now:         func() sampler.Moment { return noon().Add(400 * time.Millisecond) },
		Latest:      func(to []sampler.Status) []sampler.Status { return append(to, statuses...) },
		OpenWindows: func() int { return 2 },
		Backend:     func() (string, bool) { return "nvidia", true },
	}
}

// h200 is a GPU that has everything.
func h200(index int) sampler.Status {
	return sampler.Status{
		Info: sampler.Info{
			Host: "node", UUID: "GPU-0" + string(rune('0'+index)), BusID: "0000:1" + string(rune('0'+index)) + ":00.0", Index: index, Vendor: "nvidia",
			Model: "NVIDIA H200", Driver: "590.48.01", PowerSource: "average", PowerPeriod: time.Second,
			PowerLimitWatts: sampler.Some(700), HasCounter: true,
		},
		Latest: sampler.Reading{
			At: noon(), PowerWatts: sampler.Some(627.32), InstantWatts: sampler.Some(625.24), EnergyJoules: sampler.Some(1e9),
			TemperatureC: sampler.SomeGauge(61), ClockMHz: sampler.SomeGauge(1980), MemoryClockMHz: sampler.SomeGauge(3201),
			Utilization: sampler.SomeGauge(0.97),
		},
		Reads: 3601, Failed: 1, Missed: 4, MaxCall: 12 * time.Millisecond, Used: 3600, Size: 90497,
		CounterJoules: sampler.Some(2_250_000.125), PowerJoules: sampler.Some(2_249_000.5), Stretch: 1,
		Throttled: [sampler.ThrottleReasons]time.Duration{90 * time.Second, 1500 * time.Millisecond}, ThrottleKnown: true,
		Calls:       sampler.Histogram{Counts: [12]uint64{3000, 500, 99, 0, 0, 1}, Sum: 2500 * time.Millisecond},
		Late:        sampler.Histogram{Counts: [12]uint64{3599, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, Sum: 1750 * time.Millisecond},
		Calibration: sampler.Calibration{Done: true, Period: 100 * time.Millisecond, Steady: true},
	}
}

// fixed are GPUs of which each lacks something else.
func fixed() []sampler.Status {
	a100 := h200(1) // instantaneous power, no counter
	a100.Info.Model, a100.Info.PowerSource, a100.Info.PowerPeriod = "NVIDIA A100-SXM4-80GB", "instant", 0
	a100.CounterJoules, a100.Calibration = sampler.Value{}, sampler.Calibration{}
	a100.Latest.PowerWatts = sampler.Some(0) // a reading like any other
	a100.ThrottleKnown = false               // its driver does not say
	a100.Failed, a100.Timeout, a100.Empty, a100.Gaps = 20, 5, 3, 2

	silent := h200(2) // was read once, an hour ago
	silent.Latest.At = noon().Add(-time.Hour)
	silent.Stretch = 2 // its calls were slow

	bare := h200(3) // shows power only
	bare.Info.PowerLimitWatts = sampler.Value{}
	bare.Latest = sampler.Reading{At: noon(), PowerWatts: sampler.Some(70.5)}

	bare.Info.Vendor, bare.Latest.TemperatureC = "amd", sampler.SomeGauge(77)

	never := h200(4) // every read failed
	never.Latest, never.Reads, never.Failed = sampler.Reading{}, 7, 7
	never.CounterJoules, never.PowerJoules, never.Used = sampler.Value{}, sampler.Value{}, 0
	never.Calls, never.Late, never.Calibration = sampler.Histogram{}, sampler.Histogram{}, sampler.Calibration{Done: true}

	broken := h200(5) // a driver's string
	broken.Info.Model = "H200\xff\"\n"
	broken.Latest.At = sampler.Moment{}
	return []sampler.Status{h200(0), a100, silent, bare, never, broken}
}
