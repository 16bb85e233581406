package tokens

import (
	"sort"
	"time"

	"wattmark/sampler"
)

// Delta is what was counted in a span of time.
type Delta struct {
	Engine                  string
	Input, Output, Requests sampler.Value // missing where it is not counted or not known
	MaxGap                  time.Duration // longest time between two readings of the pages in or around the span
	Resets                  int           // servers that began anew: what they counted since the reading before is lost
}

// Complete reports that no page was silent for long and no server began anew: nothing is missing.
func (d Delta) Complete(interval time.Duration) bool {
	return d.Output.OK() && d.Resets == 0 && d.MaxGap <= Silence(interval)
}

// Silence is for how long the pages may be silent before counts are in doubt.
func Silence(interval time.Duration) time.Duration { return max(3*time.Second, 3*interval) }

// Between returns what was counted from one moment to another: a line between the readings around each. It is missing
// where the span is not between readings.
func (r *Reader) Between(from, to sampler.Moment) Delta {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := Delta{Engine: r.state.Engine}
	n := len(r.points)
	if n == 0 {
		return d
	}
	when := func(i int) sampler.Moment { return r.points[i].at }
	from, to = from.Among(n, when), to.Among(n, when)
	first, last := from.Sub(r.points[0].at), to.Sub(r.points[n-1].at)
	const near = 100 * time.Millisecond // a mark and the reading that it asked for
	if to.Sub(from) <= 0 || first < -near || last > Silence(r.config.Interval) {
		return d
	}
	a, i := r.at(from)
	b, j := r.at(to)
	for k := max(i, 1); k <= min(j, n-1); k++ {
		if r.points[k].at.Sub(from) <= 0 {
			continue // it ends where the span begins
		}
		d.MaxGap = max(d.MaxGap, r.points[k].at.Sub(r.points[k-1].at))
		d.Resets += r.points[k].resets - r.points[k-1].resets
	}
	d.MaxGap = max(d.MaxGap, last)
	d.Output = sampler.Some(b.output - a.output)
	if r.counts.Input != "" {
		d.Input = sampler.Some(b.input - a.input)
	}
	if r.counts.Requests != "" {
		d.Requests = sampler.Some(b.requests - a.requests)
	}
	return d
}

// at returns the counts at a moment, and the first reading at or after it.
func (r *Reader) at(m sampler.Moment) (counts, int) {
	n := len(r.points)
	i := sort.Search(n, func(i int) bool { return r.points[i].at.Sub(m) >= 0 })
	switch i {
	case 0:
		return r.points[0].counts, 0
	case n:
		return r.points[n-1].counts, n
	}
	a, b := r.points[i-1], r.points[i]
	share := m.Sub(a.at).Seconds() / b.at.Sub(a.at).Seconds()
	between := func(x, y float64) float64 { return x + (y-x)*share }
	return counts{
		between(a.counts.input, b.counts.input), between(a.counts.output, b.counts.output), between(a.counts.requests, b.counts.requests),
	}, i
}
