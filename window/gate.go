package window

import (
	"math"
	"slices"
	"sort"
)

// gate reports whether the energy counter is to be believed in this window, and what it did otherwise. It judges
// only stretches without a gap. Counters that stand still, count half or double, or restart are on record. What the counter
// and power say of the window is at hand.
func (tr *trace) gate(byCounter, byPower estimate) (cause Note, rejected bool) {
	if !tr.info.HasCounter || len(tr.counts) < 2 {
		return "", false
	}
	first, last := tr.around(tr.counts)
	for i := first + 1; i <= last; i++ {
		if tr.counts[i].y < tr.counts[i-1].y {
			return CounterFell, true
		}
	}
	for _, run := range tr.unbroken(first, last) {
		switch {
		case tr.frozen(run):
			return CounterFrozen, true
		case tr.tooFast(run):
			return CounterTooFast, true
		}
	}
	if !tr.agree(first, last, byCounter, byPower) && tr.disagrees(first, last) {
		return CounterDisagrees, true
	}
	return "", false
}

// around returns the indices of the last sample at or before the window and the first at or after it.
func (tr *trace) around(samples []sample) (first, last int) {
	last = len(samples) - 1
	for i, s := range samples {
		if s.x <= 0 {
			first = i
		}
		if s.x >= tr.span {
			return first, i
		}
	}
	return first, last
}

// unbroken cuts the counter samples from first to last at the gaps.
func (tr *trace) unbroken(first, last int) [][]sample {
	var runs [][]sample
	begin := first
	for i := first + 1; i <= last; i++ {
		if tr.limits.gap(tr.counts[i].x - tr.counts[i-1].x) {
			runs = append(runs, tr.counts[begin:i])
			begin = i
		}
	}
	return append(runs, tr.counts[begin:last+1])
}

// withPower returns the parts of run in which no power readings are missing. It looks at the readings of power beside the
// run alone, for there may be thousands of runs.
func (tr *trace) withPower(run []sample) [][]sample {
	var parts [][]sample
	begin, end := run[0].x, run[len(run)-1].x
	first := max(1, sort.Search(len(tr.powers), func(i int) bool { return tr.powers[i].x > begin }))
	for i := first; i < len(tr.powers) && tr.powers[i-1].x < end; i++ {
		from, to := tr.powers[i-1].x, tr.powers[i].x
		if tr.limits.gap(to - from) {
			left := sort.Search(len(run), func(j int) bool { return run[j].x > from })
			right := sort.Search(len(run), func(j int) bool { return run[j].x >= to })
			parts, run = append(parts, run[:left]), run[right:]
		}
	}
	return append(parts, run)
}

// frozen: the count stays the same for a second, so its last tick is older than that, and three ticks, while power is drawn.
func (tr *trace) frozen(run []sample) bool {
	const load = 10     // W: less than any GPU idles at
	const jitter = 0.01 // s, of readings a second apart
	longest := max(1, 3*tr.info.CounterPeriod.Seconds()) - jitter
	since := 0
	for i := range run {
		if run[i].y != run[since].y || run[i].power < load {
			since = i
		}
		if run[i].x-run[since].x > longest {
			return true
		}
	}
	return false
}

// overLimit is how many times its power limit a GPU may be believed to draw.
const overLimit = 1.2

// tooFast: over a second or more the counter implies more than 1.2 times the power limit. A stretch between two
// readings may hold one tick more than its length has.
func (tr *trace) tooFast(run []sample) bool {
	limit, ok := tr.limit()
	if !ok {
		return false
	}
	since := 0
	for i := range run {
		for run[i].x-run[since+min(1, i-since)].x >= 1 { // the shortest stretch of at least a second
			since++
		}
		seconds := run[i].x - run[since].x
		if seconds >= 1 && run[i].y-run[since].y > overLimit*limit*(seconds+tr.info.CounterPeriod.Seconds()) {
			return true
		}
	}
	return false
}

// agree: over the window, without a gap, the counter is within 5 % of power. To make that 10 the readings around it, which
// disagrees takes with it, would have to differ by a third or more.
func (tr *trace) agree(first, last int, byCounter, byPower estimate) bool {
	c, okC := byCounter.energy().Known()
	p, okP := byPower.energy().Known()
	runs := tr.unbroken(first, last)
	return okC && okP && math.Abs(c-p) < 0.05*p && len(runs) == 1 && len(tr.withPower(runs[0])) == 1
}

// disagrees: over ten seconds or more, in one stretch or several, counter and power differ by more than 10 % and by
// more than three times what the power method may be off.
func (tr *trace) disagrees(first, last int) bool {
	var counted, power, variance, seconds float64
	for _, run := range tr.unbroken(first, last) {
		for _, run := range tr.withPower(run) {
			if len(run) < 2 {
				continue
			}
			part := tr.part(run)
			byCounter, byPower := part.byCounter(), part.byPower(powerMethod(tr.info))
			c, okC := byCounter.energy().Known()
			p, okP := byPower.energy().Known()
			if !okC || !okP {
				continue
			}
			sigma, _ := byPower.sigma()
			counted, power, variance, seconds = counted+c, power+p, variance+square(sigma), seconds+part.span
		}
	}
	off := math.Abs(counted - power)
	return seconds >= 10 && power > 0 && off > 0.10*power && off > 3*2*math.Sqrt(variance)
}

// part returns the trace with a run of counter samples as its window.
func (tr *trace) part(run []sample) *trace {
	from, to := run[0].x, run[len(run)-1].x
	first := sort.Search(len(tr.powers), func(i int) bool { return tr.powers[i].x > from-lookBack.Seconds() })
	end := sort.Search(len(tr.powers), func(i int) bool { return tr.powers[i].x > to+after.Seconds() })
	part := *tr
	part.counts, part.powers = shifted(run, from), shifted(tr.powers[first:end], from)
	part.span = to - from
	return &part
}

// doubted returns the estimate by power for a counter that was rejected for this cause. Readings of instantaneous power
// may all fall on the same phase of a load that repeats in step with them: where such readings are all that speaks
// against the counter, the bound covers what it says.
func (e estimate) doubted(cause Note, counter estimate) estimate {
	if p, ok := e.energy().Known(); ok && cause == CounterDisagrees && e.method == Trapezoid {
		sigma, _ := counter.sigma()
		e.gapVariance += square(math.Abs(counter.energy().Or(p)-p)/2 + sigma)
	}
	return e
}

// shifted returns the samples with time counted from origin.
func shifted(samples []sample, origin float64) []sample {
	out := slices.Clone(samples)
	for i := range out {
		out[i].x -= origin
	}
	return out
}
