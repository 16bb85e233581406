//go:build linux && cgo

package nvidia

import (
	"fmt"
	"math"
	"syscall"
	"time"
	"unsafe"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wattmark/sampler"
)

// buffer is where the driver's own power samples of a GPU have been read up to.
type buffer struct {
	lacking Code               // why there is none and it is not asked; 0: it may be there
	last    uint64             // stamp of the newest sample read, as the driver gave it
	clock   sampler.StampClock // of the stamps; found once, then kept
}

const (
	// stampNear is how far from a clock the newest stamp may be to be one of it.
	stampNear = 5 * time.Second
	// stampAge is how old the newest sample is taken to be where its clock is not known: the period of the samples.
	stampAge = 20 * time.Millisecond
)

// PowerSamples returns the samples of board power that the driver has gathered on its own since the last call, at most
// what its buffer holds (nvmlDeviceGetSamples, NVML_TOTAL_POWER_SAMPLES, mW; about 120 samples 20 ms apart where it is
// known). No new ones is not an error. Which clock stamps them differs between drivers: the newest stamp is compared
// with the host's clocks (see sampler.StampClock).
// It fails with NotSupported on GPUs and drivers without the buffer, and with FunctionNotFound if the library lacks the
// call. It shares the GPU's turn with Read.
//
// Only wattmark gpus --probe uses it. The daemon measures no energy by it: what a sample covers is not documented, and
// whether the buffer is there at all differs between drivers.
func (d *device) PowerSamples() (sampler.PowerSamples, error) {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	if d.closed.Load() {
		return sampler.PowerSamples{}, ErrClosed
	}
	code := d.samples.lacking
	var kind nvml.ValueType
	var samples []nvml.Sample
	if code == 0 {
		var ret nvml.Return
		kind, samples, ret = d.handle.GetSamples(nvml.TOTAL_POWER_SAMPLES, d.samples.last)
		code = Code(ret)
	}
	switch {
	case code == 0:
		now, clocks := hostClocks(d.clock)
		return d.samples.take(kind, samples, now, clocks)
	case code == notFound: // nothing is newer
		return sampler.PowerSamples{Clock: d.samples.clock}, nil
	case code.refusal() && d.samples.last == 0:
		d.samples.lacking = code
	}
	return sampler.PowerSamples{}, fmt.Errorf("read power samples: %w", code)
}

// take turns the driver's samples into ours. now is the moment, and clocks are the host's clocks in µs, after the call.
func (b *buffer) take(kind nvml.ValueType, samples []nvml.Sample, now sampler.Moment, clocks map[sampler.StampClock]int64) (sampler.PowerSamples, error) {
	var got sampler.PowerSamples
	newest := b.last
	var stamps []uint64
	for _, s := range samples {
		switch {
		case s.TimeStamp == 0:
			got.Empty++
			continue
		case s.TimeStamp <= newest || s.TimeStamp > math.MaxInt64:
			got.Mixed++
			continue
		}
		milliwatts, code := number(kind, s.SampleValue)
		if code != 0 {
			return sampler.PowerSamples{}, fmt.Errorf("read power samples: value of type %d: %w", kind, code)
		}
		newest = s.TimeStamp
		stamps = append(stamps, s.TimeStamp)
		got.Samples = append(got.Samples, sampler.PowerSample{Watts: milliwatts / 1000})
	}
	if len(stamps) == 0 {
		got.Clock = b.clock
		return got, nil
	}
	b.last = newest
	var age time.Duration // of the newest
	age, b.clock = stamped(int64(newest), clocks, b.clock)
	got.Clock = b.clock
	for i, stamp := range stamps {
		older := time.Duration(newest-stamp) * time.Microsecond
		got.Samples[i].At = now.Add(-age - older)
	}
	return got, nil
}

// stamped returns how old a stamp in µs is and which clock it is of: the one found before while the stamp is still near
// it (its samples may be old: a GPU that idles gathers none), else the nearest within stampNear, else none.
func stamped(stamp int64, clocks map[sampler.StampClock]int64, before sampler.StampClock) (time.Duration, sampler.StampClock) {
	age := func(clock sampler.StampClock) time.Duration {
		return time.Duration(clocks[clock]-stamp) * time.Microsecond
	}
	const stale = time.Minute
	if _, known := clocks[before]; known && age(before) > -stampNear && age(before) < stale {
		return age(before), before
	}
	best := sampler.StampUnknown
	for _, clock := range []sampler.StampClock{sampler.StampUnix, sampler.StampBoot, sampler.StampMonotonic} {
		if at, known := clocks[clock]; known && at != 0 && age(clock).Abs() <= stampNear &&
			(best == sampler.StampUnknown || age(clock).Abs() < age(best).Abs()) {
			best = clock
		}
	}
	if best == sampler.StampUnknown {
		return stampAge, best
	}
	return age(best), best
}

// hostClocks reads the clocks that drivers are known to stamp with, in µs, and says when it did: of a few tries the
// quickest, for this thread may be put aside in between.
func hostClocks(clock sampler.Clock) (at sampler.Moment, clocks map[sampler.StampClock]int64) {
	const monotonic, boot = 1, 7 // clock_gettime(2)
	quickest := time.Hour
	for range 5 {
		before := time.Now()
		read := map[sampler.StampClock]int64{
			sampler.StampUnix: before.UnixMicro(), sampler.StampBoot: clockMicro(boot), sampler.StampMonotonic: clockMicro(monotonic),
		}
		after := time.Now()
		if took := after.Sub(before); took < quickest {
			quickest, at, clocks = took, clock.Middle(before, after), read
		}
	}
	return at, clocks
}

// clockMicro returns a clock's time in µs; 0 if the kernel does not have it.
func clockMicro(clock uintptr) int64 {
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0
	}
	return ts.Nano() / 1000
}
