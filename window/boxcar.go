package window

import (
	"math"
	"sort"
)

// boxcar makes E(t) of power that the sensor averages over the last Info.PowerPeriod L. Each value is a difference of E:
// F(t) = (E(t) − E(t−L))/L.
//
// Readings up to L apart chain: E(t) = E(t−L) + L·F(t), and no step of power between them is smeared out. The value read
// is on average half a refresh old, and knots are dated back by that; what is left is an error δ of up to half a refresh
// in the time of each link, which costs the difference of power over it: (P(t) − P(t−L))·δ. So steady power costs nothing,
// and a long chain under a load that moves walks at random.
//
// Where readings are close and tell the instantaneous power too, there is a better way. The integral of F is that of E
// averaged over L, and what E itself is ahead of that average follows from the last L alone: E(t) = ∫F + G(t), with G the
// power of the last L weighted from 0 to 1. In ∫F the dates of neighbours hardly matter.
type boxcar struct {
	curve
	period, refresh float64   // s
	watts           []float64 // F at the knots
	sum             []float64 // ∫F up to the knots
	sparse          float64   // the end of the last stretch in which readings were not close
	integral        bool      // the last knot followed from the integral
	lead            float64   // by how much E was ahead of its mean there
}

// closeReadings are so many seconds apart at most: a fast load, and F bends by less than a joule between two.
const closeReadings = 0.25

func (tr *trace) byBoxcar() estimate {
	n := len(tr.powers)
	b := boxcar{
		curve:  curve{knots: make([]knot, 0, n), most: tr.most(), averaged: !tr.instant()},
		period: tr.info.PowerPeriod.Seconds(), refresh: tr.info.PowerRefresh.Seconds(),
		watts: make([]float64, 0, n), sum: make([]float64, 0, n),
	}
	calls := 0.0 // s²
	for _, s := range tr.powers {
		b.add(s)
		calls += square(s.half) / 3 / float64(n)
	}
	b.rising()
	e := tr.estimate(Boxcar, tr.powers, b.curve)
	e.gapVariance = tr.gapVariance(tr.powers, b.period)
	e.dates = func() float64 { return b.moved(tr.span) * (square(b.refresh)/12 + calls) }
	return e
}

// instant reports that readings of power have an instantaneous value beside the mean; a tenth of them may lack it.
func (tr *trace) instant() bool {
	without := 0
	for _, s := range tr.powers {
		if !s.instant {
			without++
		}
	}
	return 10*without <= len(tr.powers)
}

// add makes the knot of a reading.
func (b *boxcar) add(s sample) {
	k := knot{x: s.x - b.refresh/2, power: s.power}
	n := len(b.knots)
	switch {
	case n == 0:
		b.sparse = k.x
		b.push(k, s.y, 0)
		return
	case k.x <= b.knots[n-1].x:
		return
	}
	last := b.knots[n-1]
	apart := k.x - last.x
	if apart > closeReadings {
		b.sparse = k.x
	}
	sum, from := b.sum[n-1]+apart*(b.watts[n-1]+s.y)/2, k.x-b.period
	if from < b.sparse || b.period == 0 || b.averaged { // before the first reading power is taken to have been steady
		k.joules, k.shared, k.path = b.chained(from, s.y)
		b.push(k, s.y, sum)
		k.own = math.Abs(b.change(n, from)) * (b.refresh/math.Sqrt(12) + s.half)
		b.knots[n], b.integral = k, false
		return
	}
	k.path = last.path
	if !b.integral { // it begins here, on a link of the chain
		before, doubt := b.ahead(n-1, last.x)
		k.path += square(last.own) + square(doubt)
		b.lead = before
	}
	b.push(k, s.y, sum)
	here, own := b.ahead(n, k.x)
	k.joules = last.joules + sum - b.sum[n-1] + here - b.lead
	k.own = own
	b.knots[n], b.integral, b.lead = k, true, here
}

func (b *boxcar) push(k knot, watts, sum float64) {
	b.knots, b.watts, b.sum = append(b.knots, k), append(b.watts, watts), append(b.sum, sum)
}

// chained returns E(t) where the mean power since from was watts, how far off it is for E(from) was read between two
// knots, and the variance of what it hangs on.
func (b *boxcar) chained(from, watts float64) (joules, shared, path float64) {
	last := b.knots[len(b.knots)-1]
	switch {
	case from > last.x: // nothing was seen from last.x to from
		return last.joules + (from-last.x)*(last.power+watts)/2 + watts*b.period, last.shared, last.path
	case from < b.knots[0].x:
		return b.knots[0].joules + (from-b.knots[0].x)*b.knots[0].power + watts*b.period, 0, 0
	default:
		e := b.at(from)
		return e.joules + watts*b.period, e.shared, e.path
	}
}

// change returns by how much power at knot i differs from that at from, a period before it. Means tell it by how they
// change from reading to reading.
func (b *boxcar) change(i int, from float64) float64 {
	if !b.averaged {
		return b.knots[i].power - b.knots[b.nearest(from)].power
	}
	before := i - 1
	for before > 0 && b.knots[i].x-b.knots[before].x < b.refresh { // means that are the same one
		before--
	}
	return (b.watts[i] - b.watts[before]) * max(1, b.period/(b.knots[i].x-b.knots[before].x))
}

// moved returns how much power moved between the edges of a window, in W²: the variance of the energy per s² of variance
// of the dates. Dates that are independent from one link to the next see each change of power on its own. But readings
// and refreshes are both regular, so dates may err alike for seconds, or for all of the window: then a slow change counts
// as a whole. That is not known, and the worst of it is taken.
func (b *boxcar) moved(span float64) float64 {
	if b.period == 0 || len(b.knots) == 0 {
		return 0
	}
	first, last := b.nearest(0), b.nearest(span)
	worst := square(b.knots[last].power - b.knots[first].power)
	// A chain's links are off by what power differs over them; the integral by what the mean does.
	value := func(i int) float64 { return b.knots[i].power }
	if last > first && (b.knots[last].x-b.knots[first].x)/float64(last-first) <= closeReadings && !b.averaged {
		value = func(i int) float64 { return b.watts[i] }
	}
	if b.averaged {
		total := 0.0
		for i := first + 1; i <= last; i++ {
			total += square(b.change(i, 0)) * min(1, (b.knots[i].x-b.knots[i-1].x)/b.period)
		}
		worst = max(worst, total)
	}
	for stride := b.period; stride <= min(8*b.period, span); stride *= 2 {
		total, back := 0.0, 0
		for i := first + 1; i <= last; i++ {
			for b.knots[back].x < b.knots[i].x-stride-1e-3 {
				back++
			}
			apart := b.knots[i].x - b.knots[i-1].x
			total += square(value(i)-value(back)) * min(1, apart/stride)
		}
		worst = max(worst, total)
	}
	return worst
}

// ahead returns how far E is ahead of its mean over the period before knot i, which is at t, and its standard deviation.
func (b *boxcar) ahead(i int, t float64) (joules, sigma float64) {
	from := t - b.period
	first := i
	for first > 0 && b.knots[first].x > from {
		first--
	}
	// Each reading of the instantaneous power stands for the time to halfway to its neighbours.
	var moment, variance float64
	left := from
	for j := first; j <= i; j++ {
		right := t
		if j < i {
			right = (b.knots[j].x + b.knots[j+1].x) / 2
		}
		if right <= left {
			continue
		}
		weight := (right - left) * (((left+right)/2-from)/b.period - 0.5)
		left = right
		moment += weight * b.knots[j].power
		if j > first { // what a value that stands for more than it saw is off by: its difference to the one before, over √2
			variance += square(weight*(b.knots[j].power-b.knots[j-1].power)) / 2
		}
	}
	return b.watts[i]*b.period/2 + moment, math.Sqrt(variance)
}

// nearest returns the knot closest to t.
func (b *boxcar) nearest(t float64) int {
	i := sort.Search(len(b.knots), func(i int) bool { return b.knots[i].x >= t })
	if i == len(b.knots) || i > 0 && t-b.knots[i-1].x < b.knots[i].x-t {
		i--
	}
	return i
}

// rising makes E a curve that never falls: halfway between the highest that came before and the lowest that comes after,
// so that noise pushes it neither up nor down. No knot is known better than refreshes are regular.
func (b *boxcar) rising() {
	n := len(b.knots)
	lowest := make([]float64, n)
	for i := n - 1; i >= 0; i-- {
		lowest[i] = b.knots[i].joules
		if i+1 < n {
			lowest[i] = min(lowest[i], lowest[i+1])
		}
	}
	highest := math.Inf(-1)
	for i := range b.knots {
		highest = max(highest, b.knots[i].joules)
		b.knots[i].joules = (highest + lowest[i]) / 2
		b.knots[i].own = math.Hypot(b.knots[i].own, refreshJitter*b.refresh*b.knots[i].power)
	}
}
