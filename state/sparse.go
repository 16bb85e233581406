package state

import (
	"time"

	"wattmark/sampler"
)

// sparse are readings of a window of any length, in bounded memory: where there are too many, every second of them goes,
// then every second of those that are left, and so on. All around the window's start stay, and the last.
type sparse struct {
	series  sampler.Series
	from    sampler.Moment // the window's start
	most    int            // 0: no bound
	dense   int            // so many of the first stay
	every   int            // of so many that come one is kept; 0: of each
	skipped int
	last    sampler.Reading // of the skipped
}

// aroundStart is how much after the window's start stays as it is.
const aroundStart = 5 * time.Second

func (s *sparse) add(r sampler.Reading) {
	if s.skipped+1 < s.every {
		s.skipped++
		s.last = r
		return
	}
	s.skipped = 0
	s.series.Readings = append(s.series.Readings, r)
	n := len(s.series.Readings)
	if r.At.Sub(s.from) <= aroundStart {
		s.dense = n
	}
	if s.most == 0 || n-s.dense <= s.most {
		return
	}
	kept := s.dense
	for i := s.dense; i < n; i += 2 {
		s.series.Readings[kept] = s.series.Readings[i]
		kept++
	}
	s.series.Readings = s.series.Readings[:kept]
	s.every = max(2, 2*s.every)
}

// all are the readings that were kept.
func (s *sparse) all() sampler.Series {
	if s.skipped > 0 {
		s.series.Readings = append(s.series.Readings, s.last)
	}
	return s.series
}
