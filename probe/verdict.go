package probe

import (
	"fmt"
	"math"
	"time"

	"wattmark/sampler"
)

// Verdict is what wattmark will measure this GPU's energy by, and why. It follows what packages sampler and window do.
type Verdict struct {
	// Method is what results will say: "counter", "boxcar" or "trapezoid"; "" if there is nothing to measure by.
	Method string `json:"method"`
	// Edges is how the counter's age at a mark is known: "step_seen" after it, "half_step", "stamped" by the driver;
	// "" without a counter.
	Edges string `json:"edges"`
	// FastReads: up to 12 reads at 10 ms are made after a mark, to see the counter step.
	FastReads bool `json:"fast_reads"`
	// Interval is the time between readings while a window is open, with the daemon's default of a second.
	Interval float64  `json:"interval_s"`
	Text     string   `json:"text"`
	Because  []string `json:"because"`
}

// What the gate of package window rejects a counter for.
const (
	overLimit = 1.2 // times the power limit
	disagrees = 0.1 // of power, over 10 s or more
)

func verdict(info sampler.Info, r Report) Verdict {
	v := Verdict{Interval: time.Second.Seconds(), Because: []string{}}
	rejected := rejection(info, r)
	switch {
	case r.Reads.Good == 0:
		v.Text = "nothing: the GPU was not read"
		return v
	case info.HasCounter && rejected == "":
		v.byCounter(info, r)
	default:
		if rejected != "" {
			v.because("the counter is rejected: %s", rejected)
		} else {
			v.because("the GPU has no energy counter")
		}
		v.byPower(info, r)
	}
	if r.Buffer.Supported {
		v.because("%s; it is shown as a bonus: wattmark does not measure energy by it", r.Buffer.words())
	}
	return v
}

func (v *Verdict) because(format string, args ...any) {
	v.Because = append(v.Because, fmt.Sprintf(format, args...))
}

// rejection says why the gate of package window will not believe the counter; "" if it will.
func rejection(info sampler.Info, r Report) string {
	if !info.HasCounter {
		return ""
	}
	power := r.Power.Mean.Or(0)
	limit, limited := info.PowerLimitWatts.Known()
	var slowest Rate
	if len(r.Rates) > 0 {
		slowest = r.Rates[0] // the daemon's pace
	}
	ratio, compared := slowest.Ratio.Known()
	switch off := math.Abs(ratio - 1); {
	case r.Counter.missing():
		return "it did not answer"
	case r.Counter.frozen() && power >= 10:
		return fmt.Sprintf("it stood still while the GPU drew %.0f W", power)
	case limited && limit > 0 && slowest.Counter.Or(0) > overLimit*limit:
		return fmt.Sprintf("it implies %.0f W, the limit is %.0f W", slowest.Counter.Or(0), limit)
	case compared && off > disagrees && off > 1.5*slowest.Bound.Or(0):
		return fmt.Sprintf("it counts %.2f times what power says; in windows under 10 s it is used all the same", ratio)
	}
	return ""
}

// The notes of Counter that stand for themselves.
const (
	noteNone   = "there is none"
	noteFell   = "it fell"
	noteFrozen = "it stood still"
)

func (c Counter) frozen() bool  { return c.Note == noteFrozen }
func (c Counter) missing() bool { return c.Note == noteNone }

func (v *Verdict) byCounter(info sampler.Info, r Report) {
	v.Method = "counter"
	cal := r.Counter.Calibration
	period := info.CounterPeriod
	if cal.Period > 0 {
		period = cal.Period
	}
	half := (period / 2).Round(100 * time.Microsecond)
	switch {
	case info.CounterPeriod == 0:
		v.Edges = "stamped"
		v.Text = "the energy counter, as it is: the driver stamps each count itself, so it has no age to correct"
	case cal.Steady:
		v.Edges, v.FastReads = "step_seen", true
		v.Text = fmt.Sprintf("the energy counter, corrected for its age at each mark: up to 12 reads at 10 ms after the mark "+
			"see its next step, and steps are %v apart", period.Round(100*time.Microsecond))
		v.because("it steps evenly, and counts %.2f times as fast when it is read fast", cal.RateRatio.Or(1))
	default:
		v.Edges = "half_step"
		v.Text = fmt.Sprintf("the energy counter, corrected by half a step (%v) at each mark; no fast reads are made", half)
		v.because("%s", unsteady(cal))
	}
	if r.Counter.Note == noteFell {
		v.because("the counter fell during the probe: a window in which it does is measured by power")
	}
	if p := r.Counter.Polling; p.Depends != nil && *p.Depends && cal.Steady {
		v.because("its rate does depend on the pace of reading (%.2f times at 200 Hz), by less than the daemon's test minds",
			p.FastRatio.Or(1))
	}
	if ratio, ok := r.Counter.Power.Ratio.Known(); ok {
		v.because("it counts %.3f ± %.3f times what power says: up to 10 %% apart it is believed", ratio, r.Counter.Power.Bound.Or(0))
	}
}

// unsteady says why the daemon makes no fast reads.
func unsteady(cal sampler.Calibration) string {
	ratio, compared := cal.RateRatio.Known()
	switch {
	case !cal.Done:
		return "the probe ended before it was known whether the counter bears fast reads"
	case compared && cal.Period == 0 && math.Abs(ratio-1) > 0.4:
		return fmt.Sprintf("the counter counts %.2f times as fast when it is read fast", ratio)
	case cal.Period == 0:
		return "no steps of the counter were seen"
	case !compared:
		return "whether the counter bears fast reads is not known"
	default:
		return fmt.Sprintf("its steps are %v apart: too short to see one", cal.Period)
	}
}

func (v *Verdict) byPower(info sampler.Info, r Report) {
	pace := "1 Hz"
	if !info.HasCounter {
		v.Interval, pace = 0.1, "10 Hz while a window is open"
	}
	switch {
	case !r.Power.Mean.OK():
		v.Text = "nothing: the GPU tells neither energy nor power"
		v.Interval = 1
	case info.PowerPeriod > 0:
		v.Method = "boxcar"
		v.Text = fmt.Sprintf("power, whose every value is taken as the energy of the %v before it, read at %s", info.PowerPeriod, pace)
	default:
		v.Method = "trapezoid"
		v.Text = fmt.Sprintf("power, integrated by straight lines between readings at %s", pace)
	}
}
