package sampler

import "slices"

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

// when returns the time of the i-th oldest reading.
func (r *ring) when(i int) Moment { return r.chunks[(i+r.dropped)/chunkLen][(i+r.dropped)%chunkLen].At }

// moment gives a moment of the wall clock its monotonic time.
func (r *ring) moment(m Moment) Moment { return m.Among(r.len(), r.when) }

func (r *ring) push(reading Reading) {
	if n := len(r.chunks); n == 0 || len(r.chunks[n-1]) == chunkLen {
		spare := r.spareChunk() // it takes the oldest chunk out of r.chunks
		r.chunks = append(r.chunks, spare)
	}
	newest := &r.chunks[len(r.chunks)-1]
	*newest = append(*newest, reading)
	if r.len() > r.capacity {
		r.dropped++
	}
}

// resize changes how many readings there may be; the oldest go.
func (r *ring) resize(capacity int) {
	r.capacity = capacity
	r.dropped += max(0, r.len()-capacity)
	whole := r.dropped / chunkLen
	r.chunks = slices.Delete(r.chunks, 0, whole)
	r.dropped -= whole * chunkLen
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

// between returns the positions of the readings from the last at or before from to the first at or after to.
func (r *ring) between(from, to Moment) (first, end int) { return Span(r.len(), r.when, from, to) }
