//go:build linux && cgo

package nvidia

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wattmark/internal/nvmldouble"
	"wattmark/sampler"
)

// buffered is what probe asks for.
type buffered interface {
	PowerSamples() (sampler.PowerSamples, error)
}

// sampling is a script of one GPU whose power moves and whose driver gathers samples.
func sampling(mode string) nvmldouble.Script {
	g := nvmldouble.H200(nvmldouble.Trace{Sine: nvmldouble.Sine{Mean: 400, Amplitude: 250, Period: 1300 * time.Millisecond}})
	g.Samples, g.SampleDepth = mode, 600
	return running(g)
}

// Whatever clock the driver stamps with, each sample comes out at the moment at which it was taken.
func TestPowerSamples(t *testing.T) {
	for _, mode := range []string{"unix", "boot", "zeros"} {
		t.Run(mode, func(t *testing.T) {
			script := sampling(mode)
			gpu := mustOpen(t, script)[0].(buffered)
			first, err := gpu.PowerSamples()
			if err != nil {
				t.Fatal(err)
			}
			want := sampler.StampUnix
			if mode == "boot" {
				want = sampler.StampBoot
			}
			if len(first.Samples) != 600 || first.Clock != want || first.Mixed != 0 {
				t.Fatalf("%d samples of clock %q, %d mixed, want 600 of %q", len(first.Samples), first.Clock, first.Mixed, want)
			}
			checkSamples(t, script, first.Samples)

			time.Sleep(300 * time.Millisecond)
			next, err := gpu.PowerSamples()
			if err != nil {
				t.Fatal(err)
			}
			all := append(first.Samples, next.Samples...)
			n := len(next.Samples)
			if n < 15 || n >= 600 {
				t.Errorf("after 0.3 s there are %d new samples, want 15 or a few more", n)
			}
			if mode == "zeros" && next.Empty != 600-n {
				t.Errorf("%d new samples and %d empty ones left out, want the padding of a buffer of 600", n, next.Empty)
			}
			checkSamples(t, script, next.Samples)
			for i := 1; i < len(all); i++ {
				if apart := all[i].At.Sub(all[i-1].At); (apart - 20*time.Millisecond).Abs() > 5*time.Millisecond {
					t.Fatalf("samples %d and %d are %v apart, want 20 ms", i-1, i, apart)
				}
			}
		})
	}
}

// checkSamples compares each sample with the true mean power over the 25 ms before it.
func checkSamples(t *testing.T, script nvmldouble.Script, samples []sampler.PowerSample) {
	t.Helper()
	const window, slack = 25 * time.Millisecond, 4 * time.Millisecond
	for _, s := range samples {
		truth := script.TrueJoules(0, s.At.Wall().Add(-window), s.At.Wall()) / window.Seconds()
		// The sine moves by at most 250·2π/1.3 W per second.
		if math.Abs(s.Watts-truth) > 250*2*math.Pi/1.3*slack.Seconds() {
			t.Fatalf("%.3f W at %v, truth %.3f W", s.Watts, s.At.Wall(), truth)
		}
	}
}

func TestPowerSamplesThatAreNotThere(t *testing.T) {
	t.Run("not supported", func(t *testing.T) {
		calls, _ := callsDuring(t, sampling("off"), func(devices []sampler.Device) {
			for range 3 {
				if got, err := devices[0].(buffered).PowerSamples(); !errors.Is(err, NotSupported) {
					t.Errorf("PowerSamples = %v, %v, want NotSupported", got, err)
				}
			}
			mustRead(t, devices[0])
		})
		if n := calls("nvmlDeviceGetSamples"); n != 1 {
			t.Errorf("it was asked for %d times, want once", n)
		}
	})
	t.Run("nothing new", func(t *testing.T) {
		gpu := mustOpen(t, sampling("unix"))[0].(buffered)
		for range 200 {
			got, err := gpu.PowerSamples()
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Samples) == 0 && got.Clock == sampler.StampUnix {
				return // within 20 ms of a sample
			}
		}
		t.Error("200 calls in a row each found new samples")
	})
	t.Run("lost", func(t *testing.T) {
		script := sampling("unix")
		gpu := mustOpen(t, script)[0].(buffered)
		script.GPUs[0].Faults = []nvmldouble.Fault{nvmldouble.Lost()}
		play(t, script)
		if _, err := gpu.PowerSamples(); !errors.Is(err, GPULost) {
			t.Errorf("PowerSamples = %v, want GPULost", err)
		}
		script.GPUs[0].Faults = nil
		play(t, script)
		if got, err := gpu.PowerSamples(); err != nil || len(got.Samples) == 0 {
			t.Errorf("afterwards: %v, %v", got, err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		library, err := tryOpen(t, sampling("unix"))
		if err != nil {
			t.Fatal(err)
		}
		gpu := library.Devices()[0].(buffered)
		if err := library.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := gpu.PowerSamples(); !errors.Is(err, ErrClosed) {
			t.Errorf("PowerSamples = %v, want ErrClosed", err)
		}
	})
}

// Which clock a stamp is of; the host's clocks read 1.7e15 (2023), 5e12 (booted 58 days ago) and 4e12 (18 of them asleep).
func TestStampClock(t *testing.T) {
	const unix, boot, mono = 1_700_000_000_000_000, 5_000_000_000_000, 4_000_000_000_000
	clocks := map[sampler.StampClock]int64{sampler.StampUnix: unix, sampler.StampBoot: boot, sampler.StampMonotonic: mono}
	for _, test := range []struct {
		name   string
		stamp  int64
		before sampler.StampClock
		want   sampler.StampClock
		age    time.Duration
	}{
		{"unix", unix - 15_000, "", sampler.StampUnix, 15 * time.Millisecond},
		{"boot", boot - 3_000, "", sampler.StampBoot, 3 * time.Millisecond},
		{"monotonic", mono - 4_900_000, "", sampler.StampMonotonic, 4900 * time.Millisecond},
		{"a little in the future", unix + 2_000, "", sampler.StampUnix, -2 * time.Millisecond},
		{"none of them", 123_456, "", sampler.StampUnknown, 20 * time.Millisecond},
		{"too far to tell", unix - 6_000_000, "", sampler.StampUnknown, 20 * time.Millisecond},
		{"known, and idle since", boot - 6_000_000, sampler.StampBoot, sampler.StampBoot, 6 * time.Second},
		{"known, and another now", boot - 1_000, sampler.StampUnix, sampler.StampBoot, time.Millisecond},
		{"unknown before", unix - 1_000, sampler.StampUnknown, sampler.StampUnix, time.Millisecond},
	} {
		age, clock := stamped(test.stamp, clocks, test.before)
		if clock != test.want || age != test.age {
			t.Errorf("%s: %v old by clock %q, want %v by %q", test.name, age, clock, test.age, test.want)
		}
	}
	if _, h := hostClocks(sampler.NewClock()); h[sampler.StampBoot] < h[sampler.StampMonotonic]-1000 || h[sampler.StampMonotonic] <= 0 {
		t.Errorf("host's clocks %v", h)
	}
}

// Empty stamps and samples that are not newer than the one before are left out; the rest keep their distances.
func TestTakeSamples(t *testing.T) {
	sample := func(stamp uint64, milliwatts uint32) nvml.Sample {
		s := nvml.Sample{TimeStamp: stamp}
		binary.NativeEndian.PutUint32(s.SampleValue[:], milliwatts)
		return s
	}
	now := sampler.Moment{UnixNano: 2e18, MonoNano: 7e12}
	b := buffer{last: 1000}
	got, err := b.take(nvml.VALUE_TYPE_UNSIGNED_INT, []nvml.Sample{
		sample(900, 1), sample(1000, 2), sample(21_000, 500_000), sample(20_500, 3), sample(21_000, 4), sample(math.MaxUint64, 5),
		sample(41_000, 600_000), sample(0, 0), sample(0, 0),
	}, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []sampler.PowerSample{
		{At: now.Add(-40 * time.Millisecond), Watts: 500},
		{At: now.Add(-20 * time.Millisecond), Watts: 600},
	}
	if show(got.Samples) != show(want) || got.Empty != 2 || got.Mixed != 5 || got.Clock != sampler.StampUnknown || b.last != 41_000 {
		t.Errorf("%+v, up to %d; want %+v", got, b.last, want)
	}
	if _, err := b.take(99, []nvml.Sample{sample(50_000, 1)}, now, nil); !errors.Is(err, NotSupported) {
		t.Errorf("a value of an unknown type: %v, want NotSupported", err)
	}
}
