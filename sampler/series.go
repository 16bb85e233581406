package sampler

// series returns the readings of both rings, from the last at or before from to the first at or after to.
func (f *feed) series(from, to Moment) Series {
	f.mu.Lock()
	from, to = f.ticks.moment(from), f.ticks.moment(to) // one reading of the wall clock for both rings
	ticks := f.ticks.between(from, to)
	extra := f.extra.between(from, to)
	info := f.info
	f.mu.Unlock()
	all := merge(ticks, extra)
	first, end := Span(len(all), func(i int) Moment { return all[i].At }, from, to) // of both, not of each
	return Series{Info: info, Readings: all[first:end]}
}

// merge returns the readings of a and b, each in the order of time, in the order of time; a's first where both have one.
func merge(a, b []Reading) []Reading {
	if len(b) == 0 {
		return a
	}
	all := make([]Reading, 0, len(a)+len(b))
	for _, next := range b {
		earlier := 0
		for earlier < len(a) && a[earlier].At.Sub(next.At) <= 0 {
			earlier++
		}
		all = append(append(all, a[:earlier]...), next)
		a = a[earlier:]
	}
	return append(all, a...)
}

// oldest returns the time of the oldest reading of the schedule.
func (f *feed) oldest() (Moment, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ticks.len() == 0 {
		return Moment{}, false
	}
	return f.ticks.at(0).At, true
}
