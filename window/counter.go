package window

import "math"

// byCounter measures by the energy counter.
//
// The counter moves in ticks of Info.CounterPeriod τ: what it says is E at its last tick, some age a ≤ τ ago. So at a
// reading E = C + P·a with the instantaneous power P. Over a window with marks at its edges the raw difference is
// biased by (P0 − P1)·τ/2; corrected, it is not.
func (tr *trace) byCounter() estimate {
	c := curve{knots: make([]knot, len(tr.counts)), most: tr.most()}
	for i, s := range tr.counts {
		c.knots[i] = tr.counterKnot(i, s)
		if i > 0 && s.y >= tr.counts[i-1].y { // power that sinks within a tick must not make E fall
			c.knots[i].joules = max(c.knots[i].joules, c.knots[i-1].joules)
		}
	}
	return tr.estimate(Counter, tr.counts, c)
}

func (tr *trace) counterKnot(i int, s sample) knot {
	const (
		jitter = 0.01  // of a tick
		stamp  = 0.001 // s: how well a driver that stamps its counts knows when (AMD's table is cached for 1 ms)
	)
	k := knot{x: s.x, joules: s.y - tr.counts[0].y, power: s.power}
	period := tr.info.CounterPeriod.Seconds()
	least, most := tr.age(i, period)
	age, width := (least+most)/2, math.Abs(most-least)
	k.joules += s.power * age
	// E must not depend on where the window's edges are, so readings that others follow closely are always seen to. Of
	// the rest only the bounds beside an edge are ever used, and spread looks back: not worth it elsewhere.
	followed := i+1 < len(tr.counts) && tr.counts[i+1].x-s.x <= nearReading
	if followed || beside(tr.counts, i, 0) || beside(tr.counts, i, tr.span) {
		tick := s.power * math.Sqrt(square(width)/12+square(jitter*period))
		if period == 0 {
			tick = s.power * stamp / math.Sqrt(3)
		}
		usual := spread(tr.counts, i)
		power := age * usual
		if next, ok := tr.untilTick(i, period, usual); ok {
			// Two estimates of the same joules, weighted by how well each is known. That the tick is not known to
			// the millisecond shifts both the same way.
			here, there := square(tick)+square(power), square(next.tick)+square(next.power)
			own := here / (here + there)
			// Where power stepped meanwhile, and the two differ by more than their errors, one of them counts the
			// other side's power: see acrossStep.
			if apart := next.joules - tr.counts[0].y - k.joules; stepped(s.power, next.watts, (s.power+next.watts)/2) && square(apart) > 4*(here+there) {
				own = 0
				if (next.watts > s.power) == (apart > 0) {
					own = 1
				}
			}
			k.joules += own * (next.joules - tr.counts[0].y - k.joules)
			tick = (1-own)*tick + own*next.tick
			power = math.Hypot((1-own)*power, own*next.power)
		}
		k.own = math.Sqrt(square(tick) + square(power) + square(s.power*s.half)/3)
	}
	return k
}

// nearReading is how close readings are that were made to see the counter's step, in seconds.
const nearReading = 0.025

// backwards is an estimate of E at a reading from the counter's next tick, with its standard deviations for when the tick
// was and for what the power was until then.
type backwards struct{ joules, tick, power, watts float64 }

// untilTick goes back from the counter's next tick to reading i: E = C' − P'·(t' − t) with the power P' after i. Readings
// close by must have seen the tick, and the instantaneous power refreshed on data from after i alone. Where a load ends
// at i this is the better of the two, for the power after it is steady, whatever the load did in its last milliseconds.
func (tr *trace) untilTick(i int, period, usual float64) (backwards, bool) {
	const window = 0.025 // s that instantaneous power looks back
	counts, s := tr.counts, tr.counts[i]
	tick, power := -1, -1
	for j := i + 1; j < len(counts) && counts[j].x-s.x < period+nearReading && counts[j].x-counts[j-1].x <= nearReading; j++ {
		if tick < 0 && counts[j].y != s.y {
			tick = j
		}
		if power < 0 && counts[j].instant && counts[j].power != counts[j-1].power && counts[j-1].x-s.x >= window {
			power = j
		}
	}
	if tick < 0 || power < 0 {
		return backwards{}, false
	}
	watts := counts[power].power
	between := counts[tick].x - counts[tick-1].x
	span := counts[tick].x - between/2 - s.x
	between += counts[tick].half + counts[tick-1].half
	// After a step nothing is known of how the new power varies: a tenth. Without one it goes on as before.
	sigma := 0.1 * watts
	if math.Abs(watts-s.power) <= 2*usual {
		sigma = max(sigma, usual)
	}
	return backwards{
		joules: counts[tick].y - watts*span,
		tick:   watts * between / math.Sqrt(12),
		power:  span * sigma,
		watts:  watts,
	}, true
}

// beside reports that no other sample lies between sample i and t.
func beside(samples []sample, i int, t float64) bool {
	x := samples[i].x
	return x <= t && (i+1 == len(samples) || samples[i+1].x >= t) || x >= t && (i == 0 || samples[i-1].x <= t)
}

// age returns the bounds of the age of the counter's last tick at reading i. One reading alone says only that it is
// between 0 and one period. Readings close by say more: while the count stays the same no tick has passed, and where
// it changes one has. When in its driver call a count was taken is not known, so each of these may be off by half of
// both calls.
func (tr *trace) age(i int, period float64) (least, most float64) {
	counts := tr.counts
	at, count := counts[i].x, counts[i].y
	slack := func(j int) float64 { return counts[i].half + counts[j].half }
	least, most = 0, period
	j := i
	for j > 0 && counts[j-1].y == count && at-counts[j-1].x < period {
		j--
	}
	least = max(least, at-counts[j].x-slack(j))
	if j > 0 {
		most = min(most, at-counts[j-1].x+slack(j-1))
	}
	j = i
	for j+1 < len(counts) && counts[j+1].y == count && counts[j+1].x-at < period {
		j++
	}
	most = min(most, period-(counts[j].x-at)+slack(j))
	if j+1 < len(counts) {
		least = max(least, period-(counts[j+1].x-at)-slack(j+1))
	}
	return least, most
}
