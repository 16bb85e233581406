package window

import "math"

// byPower measures by integrating power.
func (tr *trace) byPower(method Method) estimate {
	if method == Boxcar {
		return tr.byBoxcar()
	}
	return tr.byTrapezoid()
}

// moves is by how much power within a second of reading i differs: so much depends on when exactly the driver refreshed
// its value. Only the bounds at the window's edges use it.
func (tr *trace) moves(i int) float64 {
	at := tr.powers[i].x
	if math.Abs(at) > 2 && math.Abs(at-tr.span) > 2 {
		return 0
	}
	lo, hi := tr.powers[i].y, tr.powers[i].y
	see := func(s sample) { lo, hi = min(lo, s.y, s.power), max(hi, s.y, s.power) }
	for j := i; j >= 0 && at-tr.powers[j].x <= 1; j-- {
		see(tr.powers[j])
	}
	for j := i; j < len(tr.powers) && tr.powers[j].x-at <= 1; j++ {
		see(tr.powers[j])
	}
	return hi - lo
}

// refreshJitter is how regular refreshes are taken to be, as a share of their period.
const refreshJitter = 0.02

// byTrapezoid integrates instantaneous power by straight lines between readings, as the benchmark's own script does.
// Where the driver is known to refresh the value at intervals, it is on average half of one old.
func (tr *trace) byTrapezoid() estimate {
	lag := tr.info.PowerRefresh.Seconds() / 2
	c := curve{knots: make([]knot, 0, len(tr.powers)), linear: true}
	var noise glimpses
	for i, s := range tr.powers {
		k := knot{x: s.x - lag, power: s.y}
		k.own = math.Hypot(tr.moves(i)*(2*lag/math.Sqrt(12)+s.half), s.y*2*lag*refreshJitter)
		if i > 0 {
			last := c.knots[len(c.knots)-1]
			if k.x <= last.x {
				continue
			}
			k.joules = last.joules + (last.power+s.y)/2*(k.x-last.x)
			noise.add(last, k, max(0, min(k.x, tr.span)-max(last.x, 0)))
		}
		c.knots = append(c.knots, k)
	}
	e := tr.estimate(Trapezoid, tr.powers, c)
	e.gapVariance = noise.variance()
	if first, last := tr.around(tr.powers); first < last {
		// A mean over a period is that of its middle; and where power drifts, all values may have been as old.
		drift := tr.powers[last].y - tr.powers[first].y
		e.gapVariance += square(drift) * (square(tr.info.PowerPeriod.Seconds())/4 + square(2*lag)/12)
	}
	return e
}

// glimpses are values that each stand for an interval and see a part of it.
type glimpses struct {
	n        float64 // intervals inside the window
	differ   float64 // J²: variance by the difference of two neighbours, over √2 that of one
	expected float64 // J²: variance by what is usual
	steps    float64 // J²: of single steps, that are somewhere between two close readings

	before, now change // the last two intervals; what now is depends on the one after it
}

// change is how power changed from one reading to the next.
type change struct{ watts, mean, seconds, inside float64 }

// usualSpread is how much power over some 25 ms is off that over a second under an LLM's decode steps, as a share: they
// alternate between 470 and 690 W of a H200 within 23 ms.
const usualSpread = 0.15

// add takes the interval between two knots, of which so many seconds are inside the window.
func (g *glimpses) add(a, b knot, inside float64) {
	next := change{b.power - a.power, (a.power + b.power) / 2, b.x - a.x, inside}
	g.count(next)
	g.before, g.now = g.now, next
}

func (g *glimpses) count(next change) {
	c := g.now
	if c.inside == 0 {
		return
	}
	g.n++
	g.expected += square(usualSpread * c.mean * c.inside)
	// A straight line between two readings is wrong by up to half a step's height times the interval. A load that begins
	// and ends at the marks has its steps at the same side of two readings: twice the variance of steps anywhere.
	around := max(math.Abs(g.before.watts), math.Abs(next.watts))
	if single := c.seconds <= closeReadings && math.Abs(c.watts) > max(4*around, c.mean/4); single {
		g.steps += square(c.watts*c.inside) / 6
		return
	}
	g.differ += square(c.watts*c.inside) / 2
}

// variance is that of the energy. A few values that agree may do so by chance (a load of short steps is seen high or low
// each time), so what is usual counts as much as three of them; so few differences are not a normal distribution's.
func (g *glimpses) variance() float64 {
	const usual = 3
	g.count(change{})
	known := g.n + usual
	return g.steps + (g.n*g.differ+usual*g.expected)/known*(1+4/known)
}

// gapVariance is that of the energy in stretches that no reading covers: power there may be anything up to the limit.
func (tr *trace) gapVariance(samples []sample, covered float64) float64 {
	sum := 0.0
	for i := 1; i < len(samples); i++ {
		hidden := samples[i].x - samples[i-1].x - covered
		if hidden > 0.01 && samples[i].x > 0 && samples[i-1].x < tr.span {
			sum += square(tr.most()*hidden) / 12
		}
	}
	return sum
}
