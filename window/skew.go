package window

import (
	"math"
	"slices"
	"time"

	"wattmark/sampler"
)

// Skew is how far the clock of a node is ahead of the clock that its window was told in: that of a client which marks
// several nodes, and of a benchmark beside it. The client estimates it from the round trips of GET /v1/time. The zero
// Skew is that of a clock of which nothing is known; it is taken as right.
type Skew struct {
	Offset sampler.Value `json:"offset_s"` // that the node is ahead
	Bound  sampler.Value `json:"bound_s"`  // that Offset may be off, at any time of the window
}

// Here returns a moment that was told in the other clock as the node's clock shows it.
func (s Skew) Here(m sampler.Moment) sampler.Moment {
	m.UnixNano += s.nanos()
	return m
}

// There returns a moment of the node's as the other clock shows it.
func (s Skew) There(m sampler.Moment) sampler.Moment {
	m.UnixNano -= s.nanos()
	return m
}

func (s Skew) nanos() int64 { return int64(math.Round(s.Offset.Or(0) * 1e9)) }

// Through returns the skew of a whole window, from what was estimated at its start and at its end. Its edges are placed
// by the first estimate; how far the clocks have drifted apart since then is part of the bound.
func (s Skew) Through(end Skew) Skew {
	first, known := s.Offset.Known()
	last, again := end.Offset.Known()
	switch {
	case !known:
		return end
	case again:
		s.Bound = sampler.Some(s.Bound.Or(0) + math.Abs(last-first))
	}
	return s
}

// Compared returns the result of a node whose clock was compared once more after its window.
func (r Result) Compared(end Skew) Result {
	before := r.Skew.Bound.Or(0)
	r.Skew = r.Skew.Through(end)
	r.GPUs = slices.Clone(r.GPUs)
	for i := range r.GPUs {
		r.GPUs[i].misplaced(r.Skew.Bound.Or(0) - before)
	}
	return r
}

// uncertain reports that the edges are off by so much of an interval between readings that energies of several nodes
// are not those of one span.
func (s Skew) uncertain(interval time.Duration) bool {
	if interval == 0 {
		interval = time.Second
	}
	bound, ok := s.Bound.Known()
	return ok && bound > interval.Seconds()/10
}

// misplaced widens the bound of a GPU whose window lies off by up to so many seconds: at the edges its power may
// differ by as much as it ever drew. All GPUs of a node lie off alike.
func (g *GPU) misplaced(seconds float64) {
	all, ok := g.Bound.Known()
	if !ok || seconds <= 0 {
		return
	}
	off := seconds * g.MaxPower.Or(0)
	g.Bound = sampler.Some(math.Hypot(all, off))
	g.SharedBound = sampler.Some(math.Hypot(g.SharedBound.Or(0), off))
}

// StartUnix and EndUnix are the window's edges in Unix seconds of the clock that they were told in.
func (r Result) StartUnix() float64 { return r.Skew.There(r.Start).Unix() }

// EndUnix is the end: see StartUnix.
func (r Result) EndUnix() float64 { return r.Skew.There(r.End).Unix() }

// StartUnix is the start in Unix seconds of the clock that it was told in.
func (m Mark) StartUnix() float64 { return m.Skew.There(m.Start).Unix() }
