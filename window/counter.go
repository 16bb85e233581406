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
			raise := max(0, c.knots[i-1].joules-c.knots[i].joules)
			c.knots[i].joules += raise
			c.knots[i].hidden = math.Hypot(c.knots[i].hidden, raise/2)
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
		usual, few := spread(tr.counts, i)
		power := age * usual
		next, ok := tr.untilTick(i, period, usual)
		if !ok {
			k.hidden = tr.hidden(i, k, most, math.Hypot(tick, power), few)
		} else {
			// Two estimates of the same joules, weighted by how well each is known. That the tick is not known to
			// the millisecond shifts both the same way.
			here, there := square(tick)+square(power), square(next.tick)+square(next.power)
			own := here / (here + there)
			apart := next.joules - tr.counts[0].y - k.joules
			step := stepped(s.power, next.watts, (s.power+next.watts)/2)
			either := false // the step may be on either side of i
			switch {
			case square(apart) <= 4*(here+there):
				either = step
			// Where power stepped meanwhile, and the two differ by more than their errors, one of them counts the
			// other side's power: see acrossStep.
			case step && (next.watts > s.power) != (apart > 0):
				own = 0
				if few { // or the power read is a mean over the step, before i: nothing earlier tells
					k.hidden = math.Abs(apart) / 2
				}
			case step:
				own = 1
			default: // without a step after i there may have been one before it, since the last tick
				k.hidden = math.Abs(apart) / 2
			}
			k.joules += own * apart
			if either {
				k.hidden = tr.eitherSide(s, next, k.joules, period)
			}
			tick = (1-own)*tick + own*next.tick
			power = math.Hypot((1-own)*power, own*next.power)
		}
		k.own = math.Sqrt(square(tick) + square(power) + square(s.power*s.half)/3)
	}
	if most, ok := tr.nextCount(i); ok && k.joules > most { // E never falls
		k.hidden = math.Hypot(k.hidden, (k.joules-most)/2)
		k.joules = most
	}
	return k
}

// nextCount returns what the counter says after its next tick, which E at reading i cannot exceed. Later it says little.
func (tr *trace) nextCount(i int) (joules float64, ok bool) {
	for j := i + 1; j < len(tr.counts) && tr.counts[j].x-tr.counts[i].x < soon; j++ {
		if tr.counts[j].y != tr.counts[i].y {
			return tr.counts[j].y - tr.counts[0].y, tr.counts[j].y > tr.counts[i].y
		}
	}
	return 0, false
}

// eitherSide returns the standard deviation of joules as E at a reading where power went from what was read there to
// what it was until the next tick in one step, before or after the reading, as what the counter counted and the time of
// its tick say. When that tick was is known to within two readings; for each such time E is the higher of what the tick
// before says with the old power and this one with the new (the lower, for a step down).
func (tr *trace) eitherSide(s sample, next backwards, joules, period float64) float64 {
	const times = 8
	sum := 0.0
	for i := range times {
		span := next.span + next.between*((float64(i)+0.5)/times-0.5)
		old := s.y - tr.counts[0].y + s.power*(period-span)
		after := next.count - tr.counts[0].y - next.watts*span
		e := max(old, after)
		if next.watts < s.power {
			e = min(old, after)
		}
		sum += square(e-joules) / times
	}
	return math.Sqrt(sum)
}

// renewed is after how many seconds instantaneous power knows nothing of before: a refresh, and what it looks back.
const renewed = 0.125

// soon is within how many seconds a later reading tells of power at an earlier one: the usual interval and a refresh. More
// would make E depend on how far behind the window's end Measure looks.
const soon = 1.2

// nearReading is how close readings are that were made to see the counter's step, in seconds.
const nearReading = 0.025

// backwards is an estimate of E at a reading from the counter's next tick, with its standard deviations for when the tick
// was and for what the power was until then.
type backwards struct {
	joules, tick, power, watts float64
	count                      float64 // what the counter said after the tick
	span, between              float64 // seconds to the tick, and how wide the range of that is
}

// untilTick goes back from the counter's next tick to reading i: E = C' − P'·(t' − t) with the power P' after i. Readings
// close by must have seen the tick, and the instantaneous power refreshed on data from after i alone. Where a load ends
// at i this is the better of the two, for the power after it is steady, whatever the load did in its last milliseconds.
func (tr *trace) untilTick(i int, period, usual float64) (backwards, bool) {
	const window, tie = 0.025, 1e-6 // s that instantaneous power looks back; readings are 10 ms apart
	counts, s := tr.counts, tr.counts[i]
	tick, power := -1, -1
	j := i + 1
	for ; j < len(counts) && counts[j].x-s.x < period+nearReading && counts[j].x-counts[j-1].x <= nearReading; j++ {
		if tick < 0 && counts[j].y != s.y {
			tick = j
		}
		if power < 0 && counts[j].instant && counts[j].power != counts[j-1].power && counts[j-1].x-s.x >= window {
			power = j
		}
	}
	later, sigma := tr.later(i), 0.0
	if last := counts[j-1]; power < 0 && last.instant {
		switch { // not seen to refresh: it is steady, or what it was first refreshed to is partly of before i
		case last.power == s.power && last.x-s.x >= renewed-window-tie:
			power = j - 1
		case later > 0 && counts[later].instant:
			power = later
		}
		if later > 0 {
			sigma = math.Abs(counts[later].power - last.power)
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
	sigma = max(sigma, 0.1*watts)
	if math.Abs(watts-s.power) <= 2*usual {
		sigma = max(sigma, usual)
	}
	// Power that goes on in the same direction: the value read is a mean over a step after i.
	if later = tr.later(power); later > 0 && power < j {
		if p := counts[later].power; (p > watts) == (watts > s.power) && stepped(p, watts, (p+watts)/2) {
			sigma = max(sigma, math.Abs(p-watts))
		}
	}
	return backwards{
		joules: counts[tick].y - watts*span,
		tick:   watts * between / math.Sqrt(12),
		power:  span * sigma,
		watts:  watts,
		count:  counts[tick].y, span: span, between: between,
	}, true
}

// later returns the first reading after those that follow i closely whose instantaneous power knows nothing of before i;
// -1: none soon.
func (tr *trace) later(i int) int {
	for j := i + 1; j < len(tr.counts) && tr.counts[j].x-tr.counts[i].x < soon; j++ {
		if tr.counts[j].x-tr.counts[i].x >= renewed && tr.counts[j].x-tr.counts[j-1].x > nearReading {
			return j
		}
	}
	return -1
}

// hidden returns the standard deviation of what a step of power around reading i, which nothing followed closely, may have
// put into E there: the power read is up to a refresh old, and the count up to a tick. The next reading says that power
// stepped and, by its count, whether clearly after i; only then is the power read that of all of the tick. Where nothing
// was read before i either (few), that count is also all that tells of a step before it.
func (tr *trace) hidden(i int, k knot, oldest, sigma float64, few bool) float64 {
	counts := tr.counts
	j := tr.later(i)
	if j < 0 || oldest <= 0 {
		return 0
	}
	next, span := counts[j], counts[j].x-counts[i].x
	least, most := tr.age(j, tr.info.CounterPeriod.Seconds())
	apart := next.y - counts[0].y + next.power*((least+most)/2-span) - k.joules
	both := math.Sqrt(square(sigma) + square(next.power*(most-least))/12 + square(little*next.power*span))
	differ := math.Abs(apart) > 2*both
	if stepped(k.power, next.power, (k.power+next.power)/2) {
		if differ && (next.power > k.power) != (apart > 0) {
			return 0
		}
		return math.Sqrt(max(0, square(max(k.power, next.power)*oldest)/12-square(sigma)))
	}
	if few && differ {
		return min(math.Abs(apart), tr.most()*oldest) / 2
	}
	return 0
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
