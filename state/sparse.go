package state

import (
	"slices"
	"sort"
	"time"

	"wattmark/sampler"
)

// What is needed around the start of a window: as much before it as its file keeps, and what its first edge hangs on after.
const (
	beforeStart = 15 * time.Second
	afterStart  = 5 * time.Second
)

// starts are when windows began.
type starts struct {
	mono []int64 // on the monotonic clock, sorted
	wall []int64 // of those that a client stamped, on the wall clock, sorted
}

func newStarts(of []sampler.Moment) (s starts) {
	for _, m := range of {
		if m.MonoNano != 0 {
			s.mono = append(s.mono, m.MonoNano)
		} else {
			s.wall = append(s.wall, m.UnixNano)
		}
	}
	slices.Sort(s.mono)
	slices.Sort(s.wall)
	return s
}

// near reports that a window began between two readings, or so shortly before or after them that each reading counts.
func (s starts) near(a, b sampler.Moment) bool {
	within := func(sorted []int64, from, to int64) bool {
		i := sort.Search(len(sorted), func(i int) bool { return sorted[i] >= from-int64(afterStart) })
		return i < len(sorted) && sorted[i] <= to+int64(beforeStart)
	}
	return within(s.mono, a.MonoNano, b.MonoNano) || within(s.wall, a.UnixNano, b.UnixNano)
}

// ahead reports that all windows began long after at.
func (s starts) ahead(at sampler.Moment) bool {
	return (len(s.mono) == 0 || s.mono[0]-at.MonoNano > int64(beforeStart)) &&
		(len(s.wall) == 0 || s.wall[0]-at.UnixNano > int64(beforeStart))
}

// sparse are the readings of one GPU for windows that all last to the end, in bounded memory: where there are too many,
// every second of those goes that are closest to each other, the oldest first. The newer half stays as it is, so that
// short windows have all of theirs, and so does what is around each start.
type sparse struct {
	series sampler.Series
	starts starts
	most   int             // 0: no bound
	before sampler.Reading // the last of those before all windows
	apart  time.Duration   // no two are further apart where some between them went
	every  bool            // those around starts alone are too many
}

const (
	closest  = 20 * time.Millisecond // what is made to see a counter step is 10 ms apart
	farthest = 7 * 24 * time.Hour
	leastOf  = 16 // readings, that thinning out has something to take
)

func (s *sparse) add(r sampler.Reading) {
	if s.starts.ahead(r.At) {
		s.before = r
		return
	}
	if len(s.series.Readings) == 0 && s.before.At != (sampler.Moment{}) {
		s.push(s.before)
	}
	s.push(r)
}

func (s *sparse) push(r sampler.Reading) {
	n := len(s.series.Readings)
	if most := max(s.most, leastOf); s.most > 0 && n >= most {
		s.thinOut(most / 8)
	} else if s.most > 0 && n == cap(s.series.Readings) { // append would take more than there is
		grown := make([]sampler.Reading, n, n+max(1, min(n, most-n)))
		copy(grown, s.series.Readings)
		s.series.Readings = grown
	}
	s.series.Readings = append(s.series.Readings, r)
}

// thinOut makes room for so many.
func (s *sparse) thinOut(enough int) {
	s.apart = max(s.apart, closest)
	for freed := s.drop(enough); freed < enough; freed += s.drop(enough - freed) {
		if s.apart > farthest {
			s.every = true
		}
		s.apart *= 2
	}
}

// drop drops up to so many readings of the older half between two that are not too far apart.
func (s *sparse) drop(most int) (dropped int) {
	readings := s.series.Readings
	kept, i := 1, 1
	for half := len(readings) / 2; i < half && dropped < most; i++ {
		last, next := readings[kept-1].At, readings[i+1].At
		if next.Sub(last) <= s.apart && (s.every || !s.starts.near(last, next)) {
			dropped++
			continue
		}
		readings[kept] = readings[i]
		kept++
	}
	kept += copy(readings[kept:], readings[i:])
	s.series.Readings = readings[:kept]
	return dropped
}
