package window

import (
	"math"
	"sort"
)

// curve is E(t) at some knots, with what is needed to read it in between.
type curve struct {
	knots    []knot
	linear   bool    // power between two knots is a straight line (trapezoid); else see between
	averaged bool    // power at the knots is a mean over the time before: it does not show when power stepped
	most     float64 // watts that the GPU may draw
}

// knot is one point of E(t).
type knot struct {
	x      float64 // seconds
	joules float64
	own    float64 // standard deviation of joules, independent of other GPUs
	shared float64 // likewise, the part that moves together on all GPUs
	path   float64 // J²: what has added up since the first knot; two knots have that of the earlier one in common
	power  float64 // watts at x
	hidden float64 // standard deviation of joules for a step of power that may lie just before x; for edges at x alone
}

// edge is E(t) at an edge of the window.
type edge struct {
	joules       float64
	own, shared  float64 // standard deviations; shared: the part that moves together on all GPUs
	path         float64 // as of a knot
	interpolated bool    // the edge lies clearly between two readings
	blind        bool    // nothing says how the energy between them is spread
	distance     float64 // seconds to the nearest knot
	interval     float64 // seconds between the knots around it
	ok           bool
}

// onReading is how close to a reading an edge counts as lying on it: the answer of a driver under load, and half a
// refresh, by which power is dated back.
const onReading = 0.06 // s

// at reads the curve.
func (c curve) at(t float64) edge {
	if len(c.knots) == 0 {
		return edge{}
	}
	j := sort.Search(len(c.knots), func(i int) bool { return c.knots[i].x >= t })
	switch {
	case j < len(c.knots) && c.knots[j].x == t, j == 0:
		return c.near(j, t)
	case j == len(c.knots):
		return c.near(j-1, t)
	default:
		return c.between(j-1, t)
	}
}

// near extends the curve from knot i at the power read there: for edges that the driver's lag puts just outside.
func (c curve) near(i int, t float64) edge {
	k := c.knots[i]
	return edge{joules: k.joules + k.power*(t-k.x), own: math.Hypot(k.own, k.hidden), shared: k.shared, path: k.path, distance: math.Abs(t - k.x), ok: true}
}

// between reads the curve between knots i and i+1. The knots say how much energy went through; power says when.
//
// Power that differs by more than a quarter between two readings has stepped in between (a load starts or ends within
// milliseconds), and the amount of energy tells when: E follows the old power up to the step and the new one after it.
// Else E is a straight line. Whatever the shape, power between the least and the most seen around confines E to a
// parallelogram; its height at t is how far off the shape can be.
func (c curve) between(i int, t float64) edge {
	a, b := c.knots[i], c.knots[i+1]
	span, s := b.x-a.x, t-a.x
	mean := (b.joules - a.joules) / span
	e := edge{interval: span, distance: min(s, span-s), ok: true}
	e.interpolated = e.distance > onReading
	weight := s / span
	e.own = (1-weight)*a.own + weight*b.own // neighbours meet the sensor's ticks at about the same age
	e.path = (1-weight)*a.path + weight*b.path

	step := !c.linear && !c.averaged && stepped(a.power, b.power, mean)
	switch {
	case c.linear:
		e.joules = a.joules + a.power*s + (b.power-a.power)*s*s/(2*span)
	case step:
		e.joules = acrossStep(a, b, t)
	default:
		e.joules = a.joules + mean*s
	}

	lo, hi := c.powers(i, mean)
	least := max(a.joules+lo*s, b.joules-hi*(span-s))
	most := min(a.joules+hi*s, b.joules-lo*(span-s))
	shape := square(most-least)/12 + square(e.joules-(most+least)/2)
	e.blind = true
	if step {
		if one := c.oneStep(i, t, e.joules); one < shape {
			shape, e.own = one, 0         // it holds what the knots are off by
			e.blind = span >= farReadings // the higher of two values of which one is a glimpse: to the same side at both edges
		}
	}
	switch {
	case e.interpolated:
	case s < span-s:
		e.own = math.Hypot(e.own, a.hidden)
	default:
		e.own = math.Hypot(e.own, b.hidden)
	}
	e.shared = math.Sqrt(shape + square((1-weight)*a.shared) + square(weight*b.shared))
	return e
}

// acrossStep is E(t) where power went from a's to b's in one step between them: E follows the old power up to the step
// and then the new one, whichever has it higher (lower, for a step down). Where both say the same within their errors
// the step is here, at t, and the better known one counts for more; the higher of two noisy values would be biased.
func acrossStep(a, b knot, t float64) (joules float64) {
	old := func(t float64) float64 { return a.joules + a.power*(t-a.x) }
	after := func(t float64) float64 { return b.joules - b.power*(b.x-t) }
	variance := square(a.own) + square(b.own)
	both := func(t float64) float64 {
		if variance == 0 {
			return old(t)
		}
		return (old(t)*square(b.own) + after(t)*square(a.own)) / variance
	}
	step := a.x + (b.power*(b.x-a.x)-(b.joules-a.joules))/(b.power-a.power)
	near := 2 * math.Sqrt(variance) / math.Abs(b.power-a.power)
	switch { // at the seams E must not fall
	case math.Abs(t-step) <= near:
		joules = both(t)
	case t < step:
		joules = min(old(t), both(step-near))
	default:
		joules = max(after(t), both(step+near))
	}
	return min(max(joules, a.joules), b.joules)
}

// oneStep returns the variance of joules as E(t) if power went from that of knot i to that of the next in one step, no
// matter when. E is then the higher (for a step down, the lower) of what the old power says from the knot before and the
// new one from the knot after; each is known to some error, and the moments of the higher of two normal values are known
// (Clark 1961). That the step is at t, as the mark of a load that begins there would have it, is not assumed.
func (c curve) oneStep(i int, t, joules float64) float64 {
	a, b := c.knots[i], c.knots[i+1]
	s, rest := t-a.x, b.x-t
	old, after := a.joules+a.power*s-joules, b.joules-b.power*rest-joules // against joules
	if b.power < a.power {
		old, after = -old, -after
	}
	before, later := c.unsteady(i, -1), c.unsteady(i+1, 1)
	va, vb := square(a.own)+square(before*s), square(b.own)+square(later*rest)
	both := math.Sqrt(va + vb)
	if both == 0 {
		return square(max(old, after))
	}
	alpha := (old - after) / both
	density, share := math.Exp(-alpha*alpha/2)/math.Sqrt(2*math.Pi), math.Erfc(-alpha/math.Sqrt2)/2
	return max(0, (square(old)+va)*share+(square(after)+vb)*(1-share)+(old+after)*both*density)
}

// farReadings is from how many seconds apart readings are glimpses of power, as scrapes are.
const farReadings = 2.1

// little is by which share power that looks steady may still vary.
const little = 0.05

// unsteady is by how much power at the knots up to two seconds from knot i, on that side, and the mean power between them
// differ: so much may the mean power between knot i and a step be off. A few equal values do not say that power is steady,
// and counter and power are two sensors.
func (c curve) unsteady(i, side int) float64 {
	const long = 0.5 // seconds, over which ticks of the counter hardly show
	at, least := c.knots[i], little
	lo, hi := at.power, at.power
	for j := i; j >= 0 && j < len(c.knots); j += side {
		k := c.knots[j]
		if math.Abs(k.x-at.x) >= farReadings {
			if j != i+side {
				break
			}
			least = usualSpread // two glimpses that agree may do so by chance
		}
		lo, hi = min(lo, k.power), max(hi, k.power)
		if seconds := k.x - at.x; math.Abs(seconds) > long {
			mean := (k.joules - at.joules) / seconds
			lo, hi = min(lo, mean), max(hi, mean)
		}
	}
	return max(hi-lo, least*at.power)
}

// stepped reports that power went from a to b in a step, the mean lying in between.
func stepped(a, b, mean float64) bool {
	return math.Abs(b-a) > 0.25*max(a, b) && min(a, b) < mean && mean < max(a, b)
}

// powers returns the least and the most power seen around the interval after knot i. A mean that is not between the
// powers at its ends says that there was other power in between, of which nothing is known.
func (c curve) powers(i int, mean float64) (lo, hi float64) {
	lo, hi = mean, mean
	a, b := c.knots[i].power, c.knots[i+1].power
	switch {
	case mean < min(a, b):
		lo = 0
	case mean > max(a, b):
		hi = max(mean, c.most)
	}
	for _, k := range c.knots[max(0, i-1):min(len(c.knots), i+3)] {
		lo, hi = min(lo, k.power), max(hi, k.power)
	}
	if c.averaged { // what is averaged moves more than its means, and as the energies do
		for j := max(0, i-1); j < min(len(c.knots)-1, i+2); j++ {
			between := (c.knots[j+1].joules - c.knots[j].joules) / (c.knots[j+1].x - c.knots[j].x)
			lo, hi = min(lo, between), max(hi, between)
		}
		lo, hi = lo-(hi-lo), hi+(hi-lo)
	}
	return max(0, lo), hi
}

// spread returns the standard deviation of power among the samples of the two seconds up to i. Samples closer than
// the driver's refresh repeat each other and count once. Too few to tell: a tenth.
func spread(samples []sample, i int) (watts float64, few bool) {
	const refresh, tie = 0.1, 1e-6 // s; readings are round numbers of milliseconds apart
	values := make([]float64, 0, 20)
	next, from := samples[i].x, samples[i].x-lookBack.Seconds()-tie
	for ; i >= 0 && samples[i].x >= from; i-- {
		if samples[i].x <= next {
			values = append(values, samples[i].power)
			next = samples[i].x - refresh + tie
		}
		if len(values) == cap(values) {
			break
		}
	}
	if len(values) < 2 {
		return 0.1 * values[0], true
	}
	return deviation(values), false
}

// deviation returns the standard deviation of the values that are numbers, 0 for fewer than two.
func deviation(values []float64) float64 {
	n, mean := 0.0, 0.0
	for _, v := range values {
		if !math.IsNaN(v) {
			n++
			mean += v
		}
	}
	if n < 2 {
		return 0
	}
	mean /= n
	sum := 0.0
	for _, v := range values {
		if !math.IsNaN(v) {
			sum += square(v - mean)
		}
	}
	return math.Sqrt(sum / (n - 1))
}
