package api

import (
	"fmt"
	"math"

	"wattmark/sampler"
	"wattmark/window"
)

// checkSkew refuses what no comparison of two clocks gives.
func (f *fields) checkSkew() error {
	const most = 4e9 // s: a clock that was never set is 2 thousand million seconds behind
	switch {
	case (f.ClockOffset == nil) != (f.ClockOffsetBound == nil):
		return fmt.Errorf("%w: clock_offset_s and clock_offset_bound_s go together", errSyntax)
	case f.ClockOffset == nil:
		return nil
	case math.Abs(*f.ClockOffset) > most || *f.ClockOffsetBound < 0 || *f.ClockOffsetBound > most:
		return fmt.Errorf("%w: no clock is %g s ± %g s ahead of another", errSyntax, *f.ClockOffset, *f.ClockOffsetBound)
	}
	return nil
}

// skew is how far this host's clock is ahead of the caller's, as the caller found.
func (f *fields) skew() window.Skew {
	if f.ClockOffset == nil {
		return window.Skew{}
	}
	return window.Skew{Offset: sampler.Some(*f.ClockOffset), Bound: sampler.Some(*f.ClockOffsetBound)}
}
