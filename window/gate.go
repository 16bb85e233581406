package window

import "math"

// gate reports whether the energy counter is to be believed in this window, and what it did otherwise. It judges
// only stretches without a gap. Counters that stand still, count half or double, or restart are on record.
func (tr *trace) gate(byPower estimate) (cause Note, rejected bool) {
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
		case tr.overLimit(run):
			return CounterTooFast, true
		case tr.disagrees(run):
			return CounterDisagrees, true
		}
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
		if tr.counts[i].x-tr.counts[i-1].x > tr.limits.MaxGap.Seconds() {
			runs = append(runs, tr.counts[begin:i])
			begin = i
		}
	}
	return append(runs, tr.counts[begin:last+1])
}

// frozen: the count stays the same for more than a second, and three ticks, while power is drawn.
func (tr *trace) frozen(run []sample) bool {
	const load = 10 // W: less than any GPU idles at
	longest := max(1, 3*tr.info.CounterPeriod.Seconds())
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

// overLimit: over a second or more the counter implies more than 1.2 times the power limit. A stretch between two
// readings may hold one tick more than its length has.
func (tr *trace) overLimit(run []sample) bool {
	limit, ok := tr.info.PowerLimitWatts.Known()
	if !ok {
		return false
	}
	since := 0
	for i := range run {
		for run[i].x-run[since+min(1, i-since)].x >= 1 { // the shortest stretch of at least a second
			since++
		}
		seconds := run[i].x - run[since].x
		if seconds >= 1 && run[i].y-run[since].y > 1.2*limit*(seconds+tr.info.CounterPeriod.Seconds()) {
			return true
		}
	}
	return false
}

// disagrees: over ten seconds or more counter and power differ by more than 10 % and by more than three times what
// the power method may be off.
func (tr *trace) disagrees(run []sample) bool {
	n := len(run)
	if n < 2 || run[n-1].x-run[0].x < 10 {
		return false
	}
	part := *tr
	part.counts = shifted(run, run[0].x)
	part.powers = shifted(tr.powers, run[0].x)
	part.span = run[n-1].x - run[0].x
	counter := part.byCounter()
	power := part.byPower(powerMethod(tr.info))
	c, okC := counter.energy().Known()
	p, okP := power.energy().Known()
	if !okC || !okP || p <= 0 {
		return false
	}
	sigma, _ := power.sigma()
	return math.Abs(c-p) > 0.10*p && math.Abs(c-p) > 3*2*sigma
}

// shifted returns the samples with time counted from origin.
func shifted(samples []sample, origin float64) []sample {
	out := make([]sample, len(samples))
	for i, s := range samples {
		s.x -= origin
		out[i] = s
	}
	return out
}
