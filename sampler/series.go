package sampler

// series returns the readings of both rings, from the last at or before from to the first at or after to.
func (f *feed) series(from, to Moment) Series {
	f.mu.Lock()
	from, to = f.ticks.moment(from), f.ticks.moment(to) // one reading of the wall clock for both rings
	all := merged(&f.ticks, &f.extra, from, to)
	info := f.info
	f.mu.Unlock()
	first, end := Span(len(all), func(i int) Moment { return all[i].At }, from, to) // of both, not of each
	return Series{Info: info, Readings: all[first:end]}
}

// merged returns the readings of two rings between two moments in the order of time; a's first where both have one.
func merged(a, b *ring, from, to Moment) []Reading {
	i, endA := a.between(from, to)
	j, endB := b.between(from, to)
	all := make([]Reading, 0, endA-i+endB-j)
	for ; j < endB; j++ {
		next := b.when(j)
		for i < endA && a.when(i).Sub(next) <= 0 {
			all = append(all, a.at(i))
			i++
		}
		all = append(all, b.at(j))
	}
	for ; i < endA; i++ {
		all = append(all, a.at(i))
	}
	return all
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
