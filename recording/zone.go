package recording

import "time"

// zone turns local times into Unix times.
type zone struct{ location *time.Location }

// unix returns the Unix time of a local time, which is given in seconds as if it were UTC. A time that the clocks show
// twice is the first of the two, and one that they skip is read by the offset before the change: Python's rules for
// fold 0 (PEP 495). [time.Date] does not say which of the two it takes.
func (z zone) unix(local int64) int64 {
	first := z.offset(local)
	u := local - first
	shown := u + z.offset(u)
	second := shown - u
	if shown == local {
		second = z.offset(u - 24*60*60)
		if second == first {
			return u
		}
	}
	earlier := local - second
	switch {
	case earlier+z.offset(earlier) == local:
		return earlier
	case shown == local:
		return u
	}
	return max(u, earlier) // skipped by the clocks
}

// offset returns the seconds that the zone is ahead of UTC.
func (z zone) offset(unix int64) int64 {
	_, seconds := time.Unix(unix, 0).In(z.location).Zone()
	return int64(seconds)
}
