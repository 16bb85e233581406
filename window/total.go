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
		lines[i].limits = lim
		for _, r := range series.Readings {
			r, _ = series.Info.Believe(r)
			if watts, ok := r.Power().Known(); ok {
				moments = append(moments, r.At)
				lines[i].points = append(lines[i].points, lineKnot{r.At, watts})
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

// line is one GPU's power as straight lines between its readings.
type line struct {
	points []lineKnot
	next   int // the first reading after the moment last asked for; moments only grow
	limits Limits
}

type lineKnot struct {
	at    sampler.Moment
	watts float64
}

// at returns the power at a moment that is not before the one last asked for.
func (l *line) at(m sampler.Moment) (watts float64, ok bool) {
	for l.next < len(l.points) && l.points[l.next].at.Sub(m) <= 0 {
		l.next++
	}
	switch {
	case len(l.points) == 0:
		return 0, false
	case l.next == 0: // before the first reading
		return l.points[0].watts, l.points[0].at.Sub(m) <= heldFor
	case l.next == len(l.points):
		last := l.points[l.next-1]
		return last.watts, m.Sub(last.at) <= heldFor
	}
	a, b := l.points[l.next-1], l.points[l.next]
	span := b.at.Sub(a.at)
	if l.limits.gap(span.Seconds()) {
		return a.watts, m.Sub(a.at) <= heldFor
	}
	share := m.Sub(a.at).Seconds() / span.Seconds()
	return a.watts + (b.watts-a.watts)*share, true
}
