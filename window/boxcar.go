package window

import (
	"math"
	"sort"
)

// boxcar makes E(t) of power that the sensor averages over the last Info.PowerPeriod L. Each value is a difference of E:
// F(t) = (E(t) − E(t−L))/L.
//
// Readings up to L apart chain: E(t) = E(t−L) + L·F(t), and no step of power between them is smeared out. The value read
// is on average half a refresh old, and knots are dated back by that; what is left is an error of ± half a refresh in the
// time of each link, which costs the difference of power over it: (P(t) − P(t−L))·δ. So steady power costs nothing, and a
// long chain under a load that moves walks at random.
//
// Where readings are close there is a better way. The integral of F is that of E averaged over L, and what E itself is
// ahead of that average follows from the last L alone: E(t) = ∫F + G(t), with G the power of the last L weighted from 0 to
// 1. In ∫F the dates of neighbours hardly matter.
type boxcar struct {
	curve
	period, refresh float64   // s
	watts           []float64 // F at the knots
	sum             []float64 // ∫F up to the knots
	sparse          float64   // the end of the last stretch in which readings were not close
	close           bool      // the last knot followed from the integral
	instant         bool      // power at the knots is instantaneous
}

// closeReadings are so many seconds apart at most: a fast load, and F bends by less than a joule between two.
const closeReadings = 0.25

func (tr *trace) byBoxcar() estimate {
	b := boxcar{
		curve:  curve{knots: make([]knot, 0, len(tr.powers)), most: tr.most()},
		period: tr.info.PowerPeriod.Seconds(), refresh: tr.info.PowerRefresh.Seconds(),
		watts: make([]float64, 0, len(tr.powers)), sum: make([]float64, 0, len(tr.powers)),
	}
	for _, s := range tr.powers {
		b.add(s)
	}
	b.rising()
	e := tr.estimate(Boxcar, tr.powers, b.curve)
	// Where power has drifted from one edge to the other in small steps, all dates may have erred alike.
	if e.start.ok && e.end.ok {
		drift := (b.knots[b.nearest(tr.span)].power - b.knots[b.nearest(0)].power) * b.refresh
		e.start.path, e.end.path = 0, max(math.Abs(e.end.path-e.start.path), square(drift)/12)
	}
	e.gapVariance = tr.gapVariance(tr.powers, b.period)
	return e
}

// add makes the knot of a reading.
func (b *boxcar) add(s sample) {
	k := knot{x: s.x - b.refresh/2, power: s.power}
	n := len(b.knots)
	switch {
	case n == 0:
		b.sparse, b.instant = k.x, true
		b.push(k, s.y, 0)
		return
	case k.x <= b.knots[n-1].x:
		return
	}
	b.instant = b.instant && s.instant
	last := b.knots[n-1]
	apart := k.x - last.x
	if apart > closeReadings {
		b.sparse = k.x
	}
	sum := b.sum[n-1] + apart*(b.watts[n-1]+s.y)/2
	from := k.x - b.period
	earlier := b.nearest(from)
	dates := square(b.refresh)/12 + square(s.half)/3 // s²
	if from < b.sparse || b.period == 0 {            // before the first reading power is taken to have been steady
		k.joules, k.shared, k.path = b.chained(from, s.y)
		k.own = math.Abs(k.power-b.knots[earlier].power) * math.Sqrt(dates)
		b.push(k, s.y, sum)
		b.close = false
		return
	}
	before, doubt := b.ahead(n-1, last.x)
	b.push(k, s.y, sum)
	here, own := b.ahead(n, k.x)
	k.joules = last.joules + sum - b.sum[n-1] + here - before
	// Within a period the dates err alike.
	k.path = last.path + square(s.y-b.watts[earlier])*dates*apart/b.period
	if !b.close { // the integral begins here, on a link of the chain
		k.path += square(last.own) + square(doubt)
	}
	k.own, k.shared = own, 0
	b.knots[n] = k
	b.close = true
}

func (b *boxcar) push(k knot, watts, sum float64) {
	b.knots, b.watts, b.sum = append(b.knots, k), append(b.watts, watts), append(b.sum, sum)
}

// chained returns E(t) where the mean power since from was watts, how far off it is for E(from) was read between two
// knots, and the variance of the chain that it hangs on.
func (b *boxcar) chained(from, watts float64) (joules, shared, path float64) {
	last := b.knots[len(b.knots)-1]
	switch {
	case from > last.x: // nothing was seen from last.x to from
		return last.joules + (from-last.x)*(last.power+watts)/2 + watts*b.period, last.shared, last.path + square(last.own)
	case from < b.knots[0].x:
		return b.knots[0].joules + (from-b.knots[0].x)*b.knots[0].power + watts*b.period, 0, 0
	default:
		e := b.at(from)
		return e.joules + watts*b.period, e.shared, e.path + square(e.own)
	}
}

// ahead returns how far E is ahead of its mean over the period before knot i, which is at t, and its standard deviation.
func (b *boxcar) ahead(i int, t float64) (joules, sigma float64) {
	from := t - b.period
	half := b.watts[i] * b.period / 2
	if !b.instant {
		return half, 0
	}
	first := i
	for first > 0 && b.knots[first].x > from {
		first--
	}
	// Each reading of the instantaneous power stands for the time to halfway to its neighbours.
	var energy, moment, variance, seconds float64
	for j := first; j <= i; j++ {
		left, right := from, t
		if j > first {
			left = max(from, (b.knots[j-1].x+b.knots[j].x)/2)
		}
		if j < i {
			right = (b.knots[j].x + b.knots[j+1].x) / 2
		}
		if right <= left {
			continue
		}
		width, weight := right-left, ((left+right)/2-from)/b.period-0.5
		energy, seconds = energy+width*b.knots[j].power, seconds+width
		moment += width * weight * b.knots[j].power
		if j > first { // what a value that stands for more than it saw is off by: its difference to the one before, over √2
			variance += square(width*weight*(b.knots[j].power-b.knots[j-1].power)) / 2
		}
	}
	return half + moment, math.Sqrt(variance)
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
