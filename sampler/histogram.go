package sampler

import "time"

// Histogram counts durations.
type Histogram struct {
	Counts [len(bounds{}) + 1]uint64 // Counts[i]: more than HistogramBounds()[i-1], at most HistogramBounds()[i]
	Sum    time.Duration
}

type bounds [11]time.Duration

// HistogramBounds are the upper bounds of a Histogram's buckets; the last bucket has none.
func HistogramBounds() []time.Duration {
	b := bounds{
		500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
		25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
		500 * time.Millisecond, time.Second,
	}
	return b[:]
}

func (h *Histogram) add(d time.Duration) {
	i := 0
	for _, bound := range HistogramBounds() {
		if d <= bound {
			break
		}
		i++
	}
	h.Counts[i]++
	h.Sum += d
}
