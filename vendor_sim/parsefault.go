package sim

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// faultSpec is a fault and the GPU that has it.
type faultSpec struct {
	Fault
	index     int  // -1: all GPUs
	noCounter bool // the GPU has no counter at all; Fault does not matter
}

// parseFault reads KIND[:ARGUMENTS][@INDEX].
func parseFault(text string, count int) (faultSpec, error) {
	text, index, one := strings.Cut(text, "@")
	f := faultSpec{index: -1}
	if one {
		i, err := strconv.Atoi(index)
		if err != nil || i < 0 || i >= count {
			return f, fmt.Errorf("@%s: want an index from 0 to %d", index, count-1)
		}
		f.index = i
	}
	kind, arguments, given := strings.Cut(text, ":")
	if kind == "nocounter" && !given {
		f.noCounter = true
		return f, nil
	}
	if kind == "nopower" && !given {
		f.Fault = PowerMissing(math.MinInt64, math.MaxInt64)
		return f, nil
	}
	var err error
	switch kind {
	case "lost", "reset", "call":
		err = f.setTime(kind, arguments)
	case "drop", "hang", "nopower", "nocounter", "frozen", "spike":
		err = f.setSpan(kind, arguments)
	case "scale":
		var factor float64
		factor, err = parseNumber(arguments, 0, 100)
		f.Fault = CounterScale(factor)
	default:
		err = errors.New("want drop:FROM-TO, hang:FROM-TO, lost:AT, call:TIME, nopower[:FROM-TO], " +
			"spike:FROM-TO:WATTS, nocounter[:FROM-TO], reset:AT, scale:FACTOR or frozen:FROM-TO, and @INDEX for one GPU")
	}
	return f, err
}

func (f *faultSpec) setTime(kind, text string) error {
	d, err := parseTime(text, 0, year)
	switch kind {
	case "lost":
		f.Fault = Lost(d)
	case "reset":
		f.Fault = CounterReset(d)
	case "call":
		f.Fault = CallTime(d)
	}
	return err
}

func (f *faultSpec) setSpan(kind, text string) error {
	span, watts, _ := strings.Cut(text, ":")
	first, last, _ := strings.Cut(span, "-")
	from, err := parseTime(first, 0, year)
	if err != nil {
		return err
	}
	to, err := parseTime(last, from+time.Nanosecond, year)
	if err != nil {
		return err
	}
	if kind != "spike" && watts != "" {
		return fmt.Errorf("%q after the span: want nothing", watts)
	}
	switch kind {
	case "drop":
		f.Fault = Drop(from, to)
	case "hang":
		f.Fault = Hang(from, to)
	case "nopower":
		f.Fault = PowerMissing(from, to)
	case "nocounter":
		f.Fault = CounterMissing(from, to)
	case "frozen":
		f.Fault = CounterFrozen(from, to)
	case "spike":
		value, err := parseNumber(watts, 0, 1e6)
		if err != nil {
			return err
		}
		f.Fault = PowerSpike(from, to, value)
	}
	return nil
}
