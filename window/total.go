package window

import (
	"slices"
	"time"

	"wattmark/sampler"
)

// Point is the power of all GPUs together at one moment; Watts is missing where any of them has no reading near.
type Point struct {
	At    sampler.Moment
	Watts sampler.Value
}

// heldFor is how long after its last reading a GPU's power is taken to be the same: GPUs are not read at one instant.
const heldFor = 500 * time.Millisecond

// Total is the synchronised power of some GPUs: at the moment of each reading of any of them the sum of what all draw,
// each on a straight line between its own readings. It is missing where a GPU was silent for longer than lim.MaxGap.
// Of moments less than apart after the last one none is made.
func Total(all []sampler.Series, apart time.Duration, lim Limits) []Point {
	if lim.MaxGap == 0 {
		lim.MaxGap = DefaultMaxGap
	}
	var moments []sampler.Moment
	lines := make([]line, len(all))
	for i, series := range all {
		lines[i] = line{limits: lim, more: believed(series)}
		for _, r := range series.Readings {
			if r.Power().OK() {
				moments = append(moments, r.At)
			}
		}
	}
	slices.SortFunc(moments, func(a, b sampler.Moment) int { return int(a.Sub(b)) })
	var total []Point
	for _, at := range moments {
		if n := len(total); n > 0 && at.Sub(total[n-1].At) < max(apart, 1) {
			continue
		}
		sum, whole := 0.0, true
		for i := range lines {
			watts, ok := lines[i].at(at)
			sum, whole = sum+watts, whole && ok
		}
		point := Point{At: at}
		if whole {
			point.Watts = sampler.Some(sum)
		}
		total = append(total, point)
	}
	return total
}

// lineKnot is the power of a GPU at a reading.
type lineKnot struct {
	at    sampler.Moment
	watts float64
}

// believed returns what gives the power readings of a GPU one after the other, without those that cannot be.
func believed(series sampler.Series) func() (lineKnot, bool) {
	i := 0
	return func() (lineKnot, bool) {
		for i < len(series.Readings) {
			r, _ := series.Info.Believe(series.Readings[i])
			i++
			if watts, ok := r.Power().Known(); ok {
				return lineKnot{r.At, watts}, true
			}
		}
		return lineKnot{}, false
	}
}

// line is one GPU's power as straight lines between its readings.
type line struct {
	limits        Limits
	more          func() (lineKnot, bool)
	last, next    lineKnot // before and after the moment last asked for; moments only grow
	begun         bool     // there is a reading before
	looked, ended bool     // for the next one; there is none
}

// at returns the power at a moment that is not before the one last asked for.
func (l *line) at(m sampler.Moment) (watts float64, ok bool) {
	for !l.ended && (!l.looked || l.next.at.Sub(m) <= 0) {
		if l.looked {
			l.last, l.begun = l.next, true
		}
		next, more := l.more()
		l.next, l.looked, l.ended = next, true, !more
	}
	switch {
	case !l.begun && l.ended:
		return 0, false
	case !l.begun: // before the first reading
		return l.next.watts, l.next.at.Sub(m) <= heldFor
	case l.ended:
		return l.last.watts, m.Sub(l.last.at) <= heldFor
	}
	span := l.next.at.Sub(l.last.at)
	if l.limits.gap(span.Seconds()) {
		return l.last.watts, m.Sub(l.last.at) <= heldFor
	}
	share := m.Sub(l.last.at).Seconds() / span.Seconds()
	return l.last.watts + (l.next.watts-l.last.watts)*share, true
}
