package window

import (
	"math"

	"wattmark/sampler"
)

// Stats are figures that people quote beside the energy: of the synchronised power of all GPUs, a line between
// readings, weighted by time. They are of the power sensors, so they are as smooth as those: a sensor that averages
// over a second does not show shorter peaks. Missing in a merged result: distributions do not add up.
type Stats struct {
	P50  sampler.Value `json:"p50_total_gpu_power_w"`
	P75  sampler.Value `json:"p75_total_gpu_power_w"`
	P90  sampler.Value `json:"p90_total_gpu_power_w"`
	P99  sampler.Value `json:"p99_total_gpu_power_w"`
	Peak sampler.Value `json:"peak_total_gpu_power_w"`
	// Steady is the share of the time in which power is within 10 % of its median.
	Steady sampler.Value `json:"steady_ratio"`
	// Coverage is the share of the window for which the power of all GPUs is known; below half of it the figures
	// above are missing.
	Coverage sampler.Value `json:"coverage_ratio"`

	Throttled ThrottledTime `json:"throttled_gpu_s"`

	IdleRun   string        `json:"idle_run"`     // the window that was named as idle
	IdlePower sampler.Value `json:"idle_power_w"` // of these GPUs in it
	AboveIdle sampler.Value `json:"energy_above_idle_j"`
	// AboveIdleBound is 2 standard deviations of the random error, of both windows.
	AboveIdleBound sampler.Value `json:"energy_above_idle_bound_j"`
}

// ThrottledTime is for how long GPUs ran below their clocks, by cause, added up over the GPUs. A GPU may have several causes
// at once. Missing where no driver says.
type ThrottledTime struct {
	PowerCap   sampler.Value `json:"power_cap"`
	Thermal    sampler.Value `json:"thermal"`
	Hardware   sampler.Value `json:"hardware"`
	PowerBrake sampler.Value `json:"power_brake"`
	Other      sampler.Value `json:"other"`
}

func (t *ThrottledTime) of(cause sampler.Throttle) *sampler.Value {
	switch cause {
	case sampler.ThrottlePowerCap:
		return &t.PowerCap
	case sampler.ThrottleThermal:
		return &t.Thermal
	case sampler.ThrottleHardware:
		return &t.Hardware
	case sampler.ThrottlePowerBrake:
		return &t.PowerBrake
	default:
		return &t.Other
	}
}

// add counts the time of the readings of one GPU. A reading says what was since the one before, as in throttled_s.
func (t *ThrottledTime) add(readings []sampler.Reading, start, end sampler.Moment) {
	for i, r := range readings {
		x := r.At.Sub(start).Seconds()
		if x < 0 || r.At.Sub(end) > 0 || !r.ThrottleKnown && r.Throttle == 0 {
			continue
		}
		for _, cause := range sampler.ThrottleCauses() {
			s := t.of(cause.Bit)
			*s = sampler.Some(s.Or(0))
			if r.Throttle&cause.Bit != 0 && i > 0 {
				*s = sampler.Some(s.Or(0) + x - max(0, readings[i-1].At.Sub(start).Seconds()))
			}
		}
	}
}

// tally adds up the power of one GPU after the other, at the moments at which the first was read: GPUs are read at one
// time, within milliseconds. It is one number for each reading of one GPU, however many GPUs there are.
type tally struct {
	moments []sampler.Moment
	watts   []float64 // NaN: not known
	gpus    int
}

func (t *tally) add(series sampler.Series, start, end sampler.Moment, lim Limits) {
	if t.gpus++; t.gpus == 1 {
		t.moments = make([]sampler.Moment, 0, len(series.Readings)+2)
		t.moments = append(t.moments, start)
		for _, r := range series.Readings {
			if r.Power().OK() && r.At.Sub(start) > 0 && r.At.Sub(end) < 0 {
				t.moments = append(t.moments, r.At)
			}
		}
		t.moments = append(t.moments, end)
		t.watts = make([]float64, len(t.moments))
	}
	l := line{limits: lim, more: believed(series)}
	for i, at := range t.moments {
		watts, ok := l.at(at)
		if !ok {
			watts = math.NaN()
		}
		t.watts[i] += watts
	}
}

// slope is a stretch of time in which power goes in a straight line from one value to another.
type slope struct{ seconds, from, to float64 }

// below is for how long power is at most watts.
func (s slope) below(watts float64) float64 {
	lo, hi := min(s.from, s.to), max(s.from, s.to)
	switch {
	case watts >= hi:
		return s.seconds
	case watts < lo:
		return 0
	default:
		return s.seconds * (watts - lo) / (hi - lo)
	}
}

// describe sets the figures of the power distribution.
func (t *tally) describe(s *Stats, lim Limits) {
	if len(t.moments) < 2 {
		return
	}
	slopes := make([]slope, 0, len(t.moments))
	known, least, most := 0.0, math.Inf(1), math.Inf(-1)
	for i := 1; i < len(t.moments); i++ {
		d := slope{t.moments[i].Sub(t.moments[i-1]).Seconds(), t.watts[i-1], t.watts[i]}
		if lim.gap(d.seconds) || math.IsNaN(d.from+d.to) {
			continue
		}
		slopes = append(slopes, d)
		known += d.seconds
		least, most = min(least, d.from, d.to), max(most, d.from, d.to)
	}
	total := t.moments[len(t.moments)-1].Sub(t.moments[0]).Seconds()
	s.Coverage = sampler.Some(min(1, known/total))
	if known < total/2 {
		return
	}
	below := func(watts float64) float64 {
		sum := 0.0
		for _, d := range slopes {
			sum += d.below(watts)
		}
		return sum / known
	}
	quantile := func(share float64) sampler.Value {
		lo, hi := least, most
		const halvings = 60                             // numbers too large for the difference to become small
		for i := 0; i < halvings && hi-lo > 1e-3; i++ { // W: no sensor is that fine
			if mid := lo + (hi-lo)/2; below(mid) < share {
				lo = mid
			} else {
				hi = mid
			}
		}
		return sampler.Some(hi)
	}
	s.P50, s.P75, s.P90, s.P99 = quantile(0.5), quantile(0.75), quantile(0.9), quantile(0.99)
	s.Peak = sampler.Some(most)
	median := s.P50.Or(0)
	s.Steady = sampler.Some(below(1.1*median) - below(math.Nextafter(0.9*median, 0)))
}

// Above returns the result with its energy above that of the same GPUs at idle, whose window is given: the power that
// they draw for being on is not the work's. The notes say so where that window cannot serve.
func (r Result) Above(idle Result) Result {
	r.Stats.IdleRun = idle.Run
	joules, joulesBound, ok := idle.energyOf(r.GPUs)
	energy, known := r.Energy().Known()
	bound, bounded := r.Bound().Known()
	if seconds := idle.Duration().Seconds(); !ok || !known || !bounded || seconds <= 0 || len(idle.Reasons) > 0 {
		r.Notes = add(r.Notes, IdleUnusable)
	} else {
		share := r.Duration().Seconds() / seconds
		r.Stats.IdlePower = sampler.Some(joules / seconds)
		r.Stats.AboveIdle = sampler.Some(energy - joules*share)
		r.Stats.AboveIdleBound = sampler.Some(math.Hypot(bound, joulesBound*share))
	}
	return r
}

// energyOf is the energy of these GPUs, all of which must be in the result and beyond doubt.
func (r Result) energyOf(gpus []GPU) (joules, bound float64, ok bool) {
	part := r
	part.GPUs = nil
	for _, want := range gpus {
		for _, gpu := range r.GPUs {
			if gpu.ID() == want.ID() && len(gpu.Reasons) == 0 {
				part.GPUs = append(part.GPUs, gpu)
			}
		}
	}
	if len(part.GPUs) != len(gpus) || len(gpus) == 0 {
		return 0, 0, false
	}
	joules, okJoules := part.Energy().Known()
	bound, okBound := part.Bound().Known()
	return joules, bound, okJoules && okBound
}
