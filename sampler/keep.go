package sampler

import (
	"iter"
	"slices"
)

// Kept is a reading that went into memory: what a recording needs to fill that memory again after a restart.
type Kept struct {
	GPU     string // Info.ID
	Extra   bool   // made on request, beside the schedule's
	Reading Reading
}

// Restore puts readings of an earlier process of this boot, oldest first, before those made since. Readings of GPUs
// that are not here, older than the retention, or of a time to come are left out. It returns how many were taken. It may
// be called while Run reads on, and again after Add.
func (s *Sampler) Restore(earlier iter.Seq[Kept], ids ...string) int {
	type rings struct{ ticks, extra ring }
	found := map[string]*rings{}
	feeds := s.named(ids)
	for _, f := range feeds {
		r := f.room()
		found[f.id] = &rings{ring{capacity: r.ticks}, ring{capacity: r.extra}}
	}
	now, taken := s.Now(), 0
	for kept := range earlier {
		into := found[kept.GPU]
		at := kept.Reading.At
		if into == nil || at.MonoNano == 0 || at.Sub(now) > 0 || now.Sub(at) > s.config.Retention {
			continue
		}
		taken++
		if kept.Extra {
			into.extra.push(kept.Reading)
		} else {
			into.ticks.push(kept.Reading)
		}
	}
	for _, f := range feeds {
		f.restore(found[f.id].ticks, found[f.id].extra)
	}
	return taken
}

// restore replaces the rings by those of earlier readings, with the readings of now behind them.
func (f *feed) restore(ticks, extra ring) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ticks.resize(f.ticks.capacity) // more GPUs may have come meanwhile
	extra.resize(f.extra.capacity)
	ticks.append(f.ticks)
	extra.append(f.extra)
	f.ticks, f.extra = ticks, extra
}

// append adds the readings of newer that come after its own.
func (r *ring) append(newer ring) {
	n := r.len()
	for i := range newer.len() {
		if reading := newer.at(i); n == 0 || reading.At.Sub(r.at(n-1).At) > 0 {
			r.push(reading)
			n = r.len()
		}
	}
}

// Add takes in GPUs that were found after New, and reads them on the schedule that Run began; those that are here
// already are left alone, but for the memory that they now share.
func (s *Sampler) Add(devices ...Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	feeds := slices.Clone(s.feeds)
	var fresh []*feed
	for _, device := range devices {
		f := newFeed(device, s.config)
		if slices.ContainsFunc(feeds, func(other *feed) bool { return other.id == f.id }) {
			continue
		}
		if open := s.open[f.id]; open > 0 {
			f.setOpen(open)
		}
		feeds, fresh = append(feeds, f), append(fresh, f)
	}
	s.config.fit(feeds)
	if s.running != nil {
		for _, f := range fresh {
			go f.run(s.running, nextTick(s.start, s.config.Interval), s.config.Interval)
		}
	}
	slices.SortStableFunc(feeds, func(a, b *feed) int { return a.info.Index - b.info.Index })
	s.feeds = feeds
}
