package probe

import (
	"fmt"

	"wattmark/sampler"
)

// Sampled is a device whose driver gathers power samples on its own, which can be fetched later.
// The NVIDIA devices are (nvmlDeviceGetSamples), whether or not the driver supports it.
type Sampled interface {
	// PowerSamples returns the samples since the last call, at most what the driver keeps; none is not an error.
	PowerSamples() (sampler.PowerSamples, error)
}

// words describes a buffer that is there.
func (b Buffer) words() string {
	text := fmt.Sprintf("the driver's sample buffer holds %d samples, %s apart", b.Depth, milliseconds(b.Period.Or(0)))
	if delay, ok := b.Delay.Known(); ok {
		text += fmt.Sprintf(", the newest %s old, stamped in %s time", milliseconds(delay), b.Clock)
	}
	return text
}

// bufferOf describes the driver's sample buffer by what it gave each time.
func bufferOf(drains []drain) Buffer {
	if len(drains) == 0 {
		return Buffer{Note: "this backend knows of none"}
	}
	var b Buffer
	var apart, delays, watts []float64
	var last sampler.PowerSample
	for i, d := range drains {
		if d.err != nil {
			b.Note = d.err.Error()
			continue
		}
		got := d.samples
		b.Empty, b.Mixed = b.Empty+got.Empty, b.Mixed+got.Mixed
		n := len(got.Samples)
		if n == 0 {
			continue
		}
		b.Supported, b.Clock = true, got.Clock
		newest := got.Samples[n-1]
		if i == 0 {
			b.Depth = n
			b.Span = sampler.Some(newest.At.Sub(got.Samples[0].At).Seconds())
		}
		if got.Clock != sampler.StampUnknown && d.at != (sampler.Moment{}) {
			delays = append(delays, d.at.Sub(newest.At).Seconds())
		}
		for _, s := range got.Samples {
			if last.At != (sampler.Moment{}) {
				apart = append(apart, s.At.Sub(last.At).Seconds())
			}
			last = s
			watts = append(watts, s.Watts)
		}
	}
	if !b.Supported {
		if b.Note == "" {
			b.Note = "the driver has the call, and no samples"
		}
		return b
	}
	b.Period, b.Longest = sampler.Some(quantile(apart, 0.5)), sampler.Some(quantile(apart, 1))
	b.Delay = sampler.Some(quantile(delays, 0.5))
	mean, _ := meanOf(watts)
	b.Mean = sampler.Some(mean)
	return b
}
