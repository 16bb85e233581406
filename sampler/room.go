package sampler

import "time"

// What a reading takes.
const (
	inMemory = 72 // bytes, in a ring: unsafe.Sizeof(Reading{})
	// inHand is what it takes while a window that has it is measured, one GPU after the other: the copies of series and
	// what package window makes of them.
	inHand = 250
	// chunksOver are the chunks that both rings of a GPU may have beyond their capacity: one each that is being filled, one
	// each of which some is too old.
	chunksOver = 4
)

// The least that is kept, however little memory there is: ten minutes at 1 Hz, and the marks of that time.
const (
	leastTicks = 600
	leastExtra = 256
)

// room is how many readings of a GPU are kept: those of the schedule and those made on request.
type room struct{ ticks, extra int }

// room is what the configuration asks for, as far as it fits into Memory with so many GPUs.
func (c Config) room(info Info, gpus int) room {
	r := room{ticks: int(c.Retention/c.Interval) + 1, extra: extraCapacity}
	if !info.HasCounter {
		r.extra = max(r.extra, int(min(c.Retention, openRetention)/openEvery))
	}
	if c.Memory <= 0 {
		return r
	}
	share := c.share(gpus)
	// Without the readings at 10 Hz a window has a wider bound; without those of the schedule it cannot be measured.
	r.extra = min(r.extra, max(leastExtra, int(share/4), int(share)-r.ticks))
	r.ticks = min(r.ticks, max(leastTicks, int(share)-r.extra))
	return r
}

// share is how many readings of each of so many GPUs fit into Memory.
func (c Config) share(gpus int) int64 {
	share := c.Memory / (int64(gpus)*inMemory + inHand)
	return share - chunksOver*chunkLen*int64(gpus)*inMemory/(int64(gpus)*inMemory+inHand)
}

// fit gives all feeds the room that each has beside the others.
func (c Config) fit(feeds []*feed) {
	for _, f := range feeds {
		f.resize(c.room(f.device.Info(), len(feeds)))
	}
}

func (f *feed) resize(r room) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ticks.resize(r.ticks)
	f.extra.resize(r.extra)
	f.status.Size = r.ticks + r.extra
}

// room is how much room the feed has.
func (f *feed) room() room {
	f.mu.Lock()
	defer f.mu.Unlock()
	return room{f.ticks.capacity, f.extra.capacity}
}

// Retention is how long readings stay in memory: what was asked for, or what fits into Config.Memory.
func (s *Sampler) Retention() time.Duration {
	kept := s.config.Retention
	for _, f := range s.all() {
		kept = min(kept, time.Duration(f.room().ticks-1)*s.config.Interval)
	}
	return kept
}

// Measurable is how many readings of one GPU may be in hand at a time, being measured; 0: there is no bound.
func (s *Sampler) Measurable() int64 {
	most := leastTicks // without a GPU
	for _, f := range s.all() {
		r := f.room()
		most = max(most, r.ticks+r.extra)
	}
	if s.config.Memory <= 0 {
		return 0
	}
	return int64(most)
}

// RoomFor is how many readings of each of so many GPUs, those here or others, fit into memory while it is empty; 0: there
// is no bound.
func (s *Sampler) RoomFor(gpus int) int64 {
	if s.config.Memory <= 0 {
		return 0
	}
	return max(leastTicks+leastExtra, s.config.share(max(1, gpus)))
}

// Asked is how long readings were to stay in memory.
func (s *Sampler) Asked() time.Duration { return s.config.Retention }

// Needs is the Config.Memory into which all fits that was asked for.
func (s *Sampler) Needs() int64 {
	feeds, bytes := s.all(), int64(0)
	asked := s.config
	asked.Memory = 0
	for _, f := range feeds {
		r := asked.room(f.device.Info(), len(feeds))
		bytes = max(bytes, int64(r.ticks+r.extra)*(int64(len(feeds))*inMemory+inHand))
	}
	return bytes + int64(len(feeds)*chunksOver*chunkLen*inMemory)
}
