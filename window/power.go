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
	var c curve
	for _, s := range tr.powers {
		k := knot{x: s.x - refresh/2, power: s.power, own: s.power * (refresh/math.Sqrt(12) + s.half)}
		if math.IsNaN(k.power) {
			k.power = s.y
		}
		switch n := len(c.knots); {
		case n == 0:
		case k.x <= c.knots[n-1].x:
			continue
		default:
			k.joules = c.boxcarStep(k.x, s.y, period)
		}
		c.knots = append(c.knots, k)
	}
	e := tr.estimate(Boxcar, tr.powers, c)
	e.gapVariance = tr.gapVariance(tr.powers, period)
	return e
}

// boxcarStep returns E(t) where the mean power over the last period was watts.
func (c curve) boxcarStep(t, watts, period float64) float64 {
	last := c.knots[len(c.knots)-1]
	switch from := t - period; {
	case from > last.x: // nothing was seen from last.x to from
		return last.joules + (from-last.x)*(last.power+watts)/2 + watts*period
	case from < c.knots[0].x: // before the first reading, where power is taken to have been steady
		return max(last.joules, c.knots[0].joules+(from-c.knots[0].x)*c.knots[0].power+watts*period)
	default:
		return max(last.joules, c.at(from).joules+watts*period)
	}
}

// byTrapezoid integrates instantaneous power by straight lines between readings, as the benchmark's own script does.
func (tr *trace) byTrapezoid() estimate {
	c := curve{linear: true}
	noise := 0.0
	for i, s := range tr.powers {
		k := knot{x: s.x, power: s.y, own: s.y * s.half}
		if i > 0 {
			last := c.knots[len(c.knots)-1]
			if s.x <= last.x {
				continue
			}
			k.joules = last.joules + (last.power+s.y)/2*(s.x-last.x)
			if last.x < tr.span && s.x > 0 {
				// Each value stands for its interval and sees a part of it: the difference of two neighbours,
				// over √2, is how far off such a value is.
				noise += square((s.y-last.power)*(s.x-last.x)) / 2
			}
		}
		c.knots = append(c.knots, k)
	}
	e := tr.estimate(Trapezoid, tr.powers, c)
	e.gapVariance = noise
	return e
}

// gapVariance is that of the energy in stretches that no reading covers: power there may be anything up to the limit.
func (tr *trace) gapVariance(samples []sample, covered float64) float64 {
	sum := 0.0
	for i := 1; i < len(samples); i++ {
		hidden := samples[i].x - samples[i-1].x - covered
		if hidden > 0.01 && samples[i].x > 0 && samples[i-1].x < tr.span {
			most := tr.info.PowerLimitWatts.Or(max(samples[i-1].y, samples[i].y))
			sum += square(most*hidden) / 12
		}
	}
	return sum
}
