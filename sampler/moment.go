package sampler

import (
	"math"
	"sort"
	"time"
)

// Moment is one point in time on a host's two clocks. The wall clock is for people, files and other machines; it can
// be set forward or back. The monotonic clock never steps: durations are measured on it. A Moment from elsewhere
// (a benchmark's result, a CSV file) has wall time only.
type Moment struct {
	UnixNano int64 `json:"unix_ns"`      // wall clock
	MonoNano int64 `json:"monotonic_ns"` // the host's monotonic clock since boot; 0 if not known
}

// WallMoment returns the moment that the wall clock shows as t.
func WallMoment(t time.Time) Moment { return Moment{UnixNano: t.UnixNano()} }

// UnixMoment returns the moment of a Unix time in seconds, as benchmarks write it.
// A float64 resolves such times to about 0.2 µs.
func UnixMoment(seconds float64) Moment {
	whole := int64(seconds)
	return Moment{UnixNano: whole*1e9 + int64(math.Round((seconds-float64(whole))*1e9))}
}

// Wall returns the wall-clock time.
func (m Moment) Wall() time.Time { return time.Unix(0, m.UnixNano) }

// Unix returns the wall-clock time in seconds since 1970.
func (m Moment) Unix() float64 {
	whole := m.UnixNano / 1e9
	return float64(whole) + float64(m.UnixNano-whole*1e9)/1e9
}

// Sub returns the time from n to m: on the monotonic clock where both have it, else on the wall clock.
func (m Moment) Sub(n Moment) time.Duration {
	if m.MonoNano != 0 && n.MonoNano != 0 {
		return time.Duration(m.MonoNano - n.MonoNano)
	}
	return time.Duration(m.UnixNano - n.UnixNano)
}

// Add returns the moment d later on both clocks.
func (m Moment) Add(d time.Duration) Moment {
	m.UnixNano += int64(d)
	if m.MonoNano != 0 {
		m.MonoNano += int64(d)
	}
	return m
}

// Among returns m with the monotonic time at which the wall clock of these n moments, oldest first, showed it, if m has
// none and they have one. Where the wall clock was set back and showed a time twice, the later one counts; a time that
// it skipped is when it was set.
func (m Moment) Among(n int, at func(int) Moment) Moment {
	if m.MonoNano != 0 || n == 0 {
		return m
	}
	i := m.shown(n, at)
	if at(i).MonoNano == 0 {
		return m
	}
	m.MonoNano = at(i).MonoNano + m.UnixNano - at(i).UnixNano
	if i+1 < n {
		m.MonoNano = min(m.MonoNano, at(i+1).MonoNano)
	}
	return m
}

// shown returns the last of n moments after which the wall clock showed m.
func (m Moment) shown(n int, at func(int) Moment) int {
	const soon = 5e9 // ns: m may be a little newer than the newest
	if ahead := m.UnixNano - at(n-1).UnixNano; 0 <= ahead && ahead < soon {
		return n - 1
	}
	for i := n - 2; i >= 0; i-- {
		if at(i).UnixNano <= m.UnixNano && m.UnixNano < at(i+1).UnixNano {
			return i
		}
	}
	if m.UnixNano < at(0).UnixNano {
		return 0
	}
	return n - 1
}

// Span returns the range of n moments, oldest first, from the last at or before from to the first at or after to.
func Span(n int, at func(int) Moment, from, to Moment) (first, end int) {
	if n == 0 {
		return 0, 0
	}
	from, to = from.Among(n, at), to.Among(n, at)
	first = max(0, sort.Search(n, func(i int) bool { return at(i).Sub(from) > 0 })-1)
	last := min(n-1, sort.Search(n, func(i int) bool { return at(i).Sub(to) >= 0 }))
	return min(first, last), max(first, last) + 1
}

// Clock gives the moment of a time that this process has read with time.Now. It is a value, not an interface: tests
// run in a testing/synctest bubble, where time.Now is fake.
type Clock struct {
	origin time.Time
	mono   int64 // the monotonic clock at origin
}

// NewClock ties time.Now to the host's monotonic clock, so that moments compare across processes of one boot. It keeps
// the best of a few tries, for the process may lose its processor between the two.
func NewClock() Clock {
	const good, tries = 5 * time.Microsecond, 10
	var clock Clock
	best := time.Hour
	for range tries {
		origin := time.Now()
		mono := monotonicNano()
		if took := time.Since(origin); took < best {
			best = took
			clock = Clock{origin: origin, mono: mono - int64(took/2)}
		}
		if best <= good {
			break
		}
	}
	return clock
}

// Now returns this moment.
func (c Clock) Now() Moment { return c.Moment(time.Now()) }

// Moment returns the moment of t, which must come from time.Now in this process (it holds a monotonic reading).
func (c Clock) Moment(t time.Time) Moment {
	return Moment{UnixNano: t.UnixNano(), MonoNano: c.mono + int64(t.Sub(c.origin))}
}

// Middle returns the moment halfway between two times of this process: when a driver call that took from before to
// after is taken to have happened.
func (c Clock) Middle(before, after time.Time) Moment {
	return c.Moment(before.Add(after.Sub(before) / 2))
}
