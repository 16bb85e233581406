package sampler

import (
	"slices"
	"sort"
)

// chunkLen readings are allocated at once (72 kB), so memory grows only as the ring fills.
const chunkLen = 1024

// ring holds the newest readings of one GPU, oldest first, in chunks of which the oldest is reused when the ring is
// full. It is not safe for concurrent use.
type ring struct {
	capacity int
	chunks   [][]Reading // all full but the last
	dropped  int         // readings of the first chunk that are too old
}

func (r *ring) len() int {
	if len(r.chunks) == 0 {
		return 0
	}
	return (len(r.chunks)-1)*chunkLen + len(r.chunks[len(r.chunks)-1]) - r.dropped
}

// at returns the i-th oldest reading.
func (r *ring) at(i int) Reading {
	i += r.dropped
	return r.chunks[i/chunkLen][i%chunkLen]
}

func (r *ring) last() (Reading, bool) {
	n := r.len()
	if n == 0 {
		return Reading{}, false
	}
	return r.at(n - 1), true
}

func (r *ring) push(reading Reading) {
	if n := len(r.chunks); n == 0 || len(r.chunks[n-1]) == chunkLen {
		r.chunks = append(r.chunks, r.spareChunk())
	}
	newest := &r.chunks[len(r.chunks)-1]
	*newest = append(*newest, reading)
	if r.len() > r.capacity {
		r.dropped++
	}
}

// spareChunk returns an empty chunk: the oldest one where all of it is too old.
func (r *ring) spareChunk() []Reading {
	if r.dropped < chunkLen {
		return make([]Reading, 0, chunkLen)
	}
	spare := r.chunks[0][:0]
	r.chunks = slices.Delete(r.chunks, 0, 1)
	r.dropped -= chunkLen
	return spare
}

// between returns the readings from the last at or before from to the first at or after to.
func (r *ring) between(from, to Moment) []Reading {
	n := r.len()
	// A wall clock that was set back makes the order by wall time ambiguous: the later stretch wins.
	first := sort.Search(n, func(i int) bool { return r.at(i).At.Sub(from) > 0 })
	if first > 0 {
		first--
	}
	end := sort.Search(n, func(i int) bool { return r.at(i).At.Sub(to) >= 0 })
	if end < n {
		end++
	}
	if first >= end {
		return nil
	}
	out := make([]Reading, 0, end-first)
	for i := first; i < end; i++ {
		out = append(out, r.at(i))
	}
	return out
}
