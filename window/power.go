package window

import "math"

// byPower measures by integrating power.
func (tr *trace) byPower(method Method) estimate {
	if method == Boxcar {
		return tr.byBoxcar()
	}
	return tr.byTrapezoid()
}

// byBoxcar integrates power that the sensor averages over the last Info.PowerPeriod L: each value is a difference of
// E, F(t) = (E(t) − E(t−L))/L, so E(t) = E(t−L) + L·F(t). No step between two readings is smeared out as long as
// readings are at most L apart. The value read is on average half a refresh old; knots are dated back by that.
func (tr *trace) byBoxcar() estimate {
	period, refresh := tr.info.PowerPeriod.Seconds(), tr.info.PowerRefresh.Seconds()
	c := curve{knots: make([]knot, 0, len(tr.powers)), most: tr.most()}
	for i, s := range tr.powers {
		k := knot{x: s.x - refresh/2, power: s.power, own: tr.loudest(i) * (refresh/math.Sqrt(12) + s.half)}
		switch n := len(c.knots); {
		case n == 0:
		case k.x <= c.knots[n-1].x:
			continue
		default:
			k.joules, k.shared = c.boxcarStep(k.x, s.y, period)
		}
		c.knots = append(c.knots, k)
	}
	e := tr.estimate(Boxcar, tr.powers, c)
	e.gapVariance = tr.gapVariance(tr.powers, period)
	return e
}

// boxcarStep returns E(t) where the mean power over the last period was watts, and how far E(t) is off for E(t−L) was
// read between two knots.
func (c curve) boxcarStep(t, watts, period float64) (joules, shared float64) {
	last := c.knots[len(c.knots)-1]
	switch from := t - period; {
	case from > last.x: // nothing was seen from last.x to from
		return last.joules + (from-last.x)*(last.power+watts)/2 + watts*period, last.shared
	case from < c.knots[0].x: // before the first reading, where power is taken to have been steady
		return max(last.joules, c.knots[0].joules+(from-c.knots[0].x)*c.knots[0].power+watts*period), 0
	default:
		e := c.at(from)
		return max(last.joules, e.joules+watts*period), e.shared
	}
}

// loudest is the most power within a second of reading i: when exactly the driver refreshed its value matters the more,
// the more the power moves. Only the bounds at the window's edges use it.
func (tr *trace) loudest(i int) float64 {
	at, most := tr.powers[i].x, tr.powers[i].y
	if math.Abs(at) > 2 && math.Abs(at-tr.span) > 2 {
		return most
	}
	for j := i; j >= 0 && at-tr.powers[j].x <= 1; j-- {
		most = max(most, tr.powers[j].y, tr.powers[j].power)
	}
	for j := i; j < len(tr.powers) && tr.powers[j].x-at <= 1; j++ {
		most = max(most, tr.powers[j].y, tr.powers[j].power)
	}
	return most
}

// byTrapezoid integrates instantaneous power by straight lines between readings, as the benchmark's own script does.
// Where the driver is known to refresh the value at intervals, it is on average half of one old.
func (tr *trace) byTrapezoid() estimate {
	lag := tr.info.PowerRefresh.Seconds() / 2
	c := curve{knots: make([]knot, 0, len(tr.powers)), linear: true}
	noise, intervals := 0.0, 0.0
	for i, s := range tr.powers {
		k := knot{x: s.x - lag, power: s.y, own: tr.loudest(i) * (2*lag/math.Sqrt(12) + s.half)}
		if i > 0 {
			last := c.knots[len(c.knots)-1]
			if k.x <= last.x {
				continue
			}
			k.joules = last.joules + (last.power+s.y)/2*(k.x-last.x)
			if inside := min(k.x, tr.span) - max(last.x, 0); inside > 0 {
				// Each value stands for its interval and sees a part of it: the difference of two neighbours,
				// over √2, is how far off such a value is.
				noise += square((s.y-last.power)*inside) / 2
				intervals++
			}
		}
		c.knots = append(c.knots, k)
	}
	e := tr.estimate(Trapezoid, tr.powers, c)
	e.gapVariance = noise * (1 + 6/max(1, intervals))      // few differences may happen to be small
	if first, last := tr.around(tr.powers); first < last { // a mean over a period is that of its middle
		e.gapVariance += square(tr.info.PowerPeriod.Seconds() / 2 * (tr.powers[last].y - tr.powers[first].y))
	}
	return e
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
