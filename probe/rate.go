package probe

import (
	"math"
	"slices"

	"wattmark/sampler"
)

// rates compares the counter with power at each pace, the slowest first.
func (a analysis) rates(counts [phases][]point, counter, refresh grid) []Rate {
	var out []Rate
	for _, pace := range []int{slow, medium, fast} {
		list := counts[pace]
		if pace == slow && len(counts[fast]) > 0 {
			list = append(slices.Clone(list), counts[fast][0]) // a second later, too
		}
		p := plan(Default)[pace]
		c := comparison{
			// The time over which the power field is the mean: smoothed by the same, the counter tells it what happened
			// at the ends alike. A glimpse stands for the time since the one before it.
			window:  max(a.info.PowerPeriod.Seconds(), counter.period, p.every.Seconds()),
			refresh: refresh.period, step: counter.period, every: p.every.Seconds(),
		}
		// How far a value is off its time's mean shows best where there are many.
		many := newCurve(counts[medium], counter)
		c.scatter = c.pairs(a.of(medium, powerOf), many).scatter()
		rate := c.rate(a.of(pace, powerOf), newCurve(list, counter))
		rate.Reads = len(counts[pace])
		out = append(out, rate)
	}
	return out
}

// comparison is how counter and power are compared at one pace; times in seconds.
type comparison struct {
	window, refresh, step, every float64
	scatter                      float64 // W, standard deviation of a power value around the counter's mean over window
}

// pairs are what power showed and what the counter made of the same time.
type pairs struct{ shown, counted []float64 }

func (c comparison) pairs(powers []point, counter curve) (p pairs) {
	for _, v := range powers {
		if watts, ok := counter.meanNear(v.x-c.refresh/2, c.window, c.step+c.refresh); ok {
			p.shown, p.counted = append(p.shown, v.y), append(p.counted, watts)
		}
	}
	return p
}

func (p pairs) scatter() float64 {
	off := make([]float64, len(p.shown))
	for i := range off {
		off[i] = p.shown[i] - p.counted[i]
	}
	_, deviation := meanOf(off)
	return deviation
}

func (c comparison) rate(powers []point, counter curve) Rate {
	rate := Rate{Every: c.every}
	n := len(counter.x)
	if n < 2 {
		return rate
	}
	seconds := counter.x[n-1] - counter.x[0]
	rate.Counter = sampler.Some((counter.y[n-1] - counter.y[0]) / seconds)
	p := c.pairs(powers, counter)
	if len(p.shown) == 0 {
		return rate
	}
	shown, _ := meanOf(p.shown)
	counted, _ := meanOf(p.counted)
	rate.Power = sampler.Some(shown)
	if shown <= 0 {
		return rate
	}
	rate.Ratio = sampler.Some(counted / shown)
	scatter := c.scatter
	if len(p.shown) >= 8 {
		scatter = max(scatter, p.scatter())
	}
	independent := max(1, min(float64(len(p.shown)), seconds/max(c.window, c.refresh)))
	edge := 0.3 * c.step / seconds // where in its step the counter was at either end
	rate.Bound = sampler.Some(2 * math.Hypot(scatter/math.Sqrt(independent)/shown, edge))
	return rate
}

// dependence compares the rates at the fastest and the slowest pace.
func dependence(slowly, quickly Rate) Polling {
	a, okA := slowly.Ratio.Known()
	b, okB := quickly.Ratio.Known()
	if !okA || !okB || a <= 0 || b <= 0 {
		return Polling{Note: "not determinable: there is no power at both paces to compare with"}
	}
	ratio := b / a
	bound := ratio * math.Hypot(slowly.Bound.Or(0)/a, quickly.Bound.Or(0)/b)
	p := Polling{FastRatio: sampler.Some(ratio), Bound: sampler.Some(bound)}
	const plain, serious = 0.1, 0.4 // those on record differ by a factor of 3 and more
	switch off := math.Abs(ratio - 1); {
	case off > max(plain, 1.5*bound):
		p.Depends = new(true)
	case off+bound <= serious:
		p.Depends = new(false)
	default:
		p.Note = "not determinable: power moved too much for so few readings"
	}
	return p
}

// agreement joins the ratios of the slower paces.
func agreement(rates []Rate) Agreement {
	sum, weight := 0.0, 0.0
	for _, r := range rates {
		if ratio, ok := r.Ratio.Known(); ok && r.Bound.Or(0) > 0 {
			w := 1 / (r.Bound.Or(1) * r.Bound.Or(1))
			sum, weight = sum+w*ratio, weight+w
		}
	}
	if weight == 0 {
		return Agreement{Note: "not determinable: counter or power is missing"}
	}
	return Agreement{Ratio: sampler.Some(sum / weight), Bound: sampler.Some(1 / math.Sqrt(weight))}
}
