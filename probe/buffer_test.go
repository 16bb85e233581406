package probe

import (
	"errors"
	"testing"
	"time"

	"wattmark/sampler"
)

// filled is what a driver gives at second s: samples of 500 W, 20 ms apart, the newest 15 ms old.
func filled(s, n int) drain {
	now := sampler.Moment{UnixNano: 1e18, MonoNano: 1e12}.Add(time.Duration(s) * time.Second)
	d := drain{at: now, samples: sampler.PowerSamples{Clock: sampler.StampBoot}}
	for i := range n {
		age := 15*time.Millisecond + time.Duration(n-1-i)*20*time.Millisecond
		d.samples.Samples = append(d.samples.Samples, sampler.PowerSample{At: now.Add(-age), Watts: 500})
	}
	return d
}

func TestBuffer(t *testing.T) {
	b := bufferOf([]drain{filled(0, 120), filled(1, 50), {samples: sampler.PowerSamples{Empty: 3}}, filled(2, 50)})
	if !b.Supported || b.Depth != 120 || b.Clock != sampler.StampBoot || b.Empty != 3 || b.Note != "" ||
		!within(b.Span, 2.38, 1e-9) || !within(b.Period, 0.02, 1e-9) || !within(b.Longest, 0.02, 1e-9) ||
		!within(b.Delay, 0.015, 1e-9) || !within(b.Mean, 500, 1e-9) {
		t.Errorf("%v", show(b))
	}
	if b := bufferOf([]drain{filled(0, 120), filled(3, 120)}); !within(b.Longest, 0.62, 1e-9) {
		t.Errorf("after 3 s: %v, want a gap of 0.62 s", show(b))
	}
	unknown := filled(0, 10)
	unknown.samples.Clock = sampler.StampUnknown
	if b := bufferOf([]drain{unknown}); b.Delay.OK() || !b.Period.OK() {
		t.Errorf("by an unknown clock: %v, want no delay", show(b))
	}
	for _, test := range []struct {
		drains []drain
		note   string
	}{
		{nil, "this backend knows of none"},
		{[]drain{{err: errors.New("not supported")}}, "not supported"},
		{[]drain{{}, {}}, "the driver has the call, and no samples"},
	} {
		if b := bufferOf(test.drains); b.Supported || b.Note != test.note {
			t.Errorf("%v, want %q", show(b), test.note)
		}
	}
}
