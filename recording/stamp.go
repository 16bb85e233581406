package recording

import "time"

// stamps reads times. It is for one file: neighbouring rows mostly show the same second.
type stamps struct {
	numbers
	zone zone

	last    [smiSecond]byte // the second read last, as nvidia-smi spells it
	seconds float64         // its Unix time
}

const smiSecond = len("2025/01/15 12:34:56")

func newStamps(location *time.Location, lenient bool) *stamps {
	return &stamps{numbers: numbers{lenient}, zone: zone{location}}
}

// read returns the Unix time in seconds that a cell shows: as a number of seconds, or of milliseconds if it is above
// 1e12; as nvidia-smi spells it, 2025/01/15 12:34:56.789, in the file's zone; or as ISO 8601, in its own zone if it
// names one. If lenient, numbers from 1e14 are microseconds and from 1e17 nanoseconds.
func (s *stamps) read(cell []byte) (float64, bool) {
	cell = strip(cell)
	if seconds, ok := s.smi(cell); ok {
		return seconds, true
	}
	if x, ok := s.whole(cell); ok {
		switch {
		case s.lenient && x >= 1e17:
			return x / 1e9, true
		case s.lenient && x >= 1e14:
			return x / 1e6, true
		case x > 1e12:
			return x / 1e3, true
		}
		return x, true
	}
	if t, ok := smiTime(cell); ok {
		return s.local(t), true
	}
	if t, ok := isoTime(cell); ok {
		return s.local(t), true
	}
	return 0, false
}

// smi is the fast way for what nvidia-smi prints.
func (s *stamps) smi(cell []byte) (float64, bool) {
	if len(cell) < smiSecond || len(cell) > smiSecond+7 || cell[4] != '/' {
		return 0, false
	}
	if string(cell[:smiSecond]) != string(s.last[:]) {
		t, ok := smiTime(cell[:smiSecond])
		if !ok {
			return 0, false
		}
		s.seconds = s.local(t)
		copy(s.last[:], cell)
	}
	if len(cell) == smiSecond {
		return s.seconds, true
	}
	if cell[smiSecond] != '.' {
		return 0, false
	}
	micros, ok := fraction(cell[smiSecond+1:])
	if !ok {
		return 0, false
	}
	return s.seconds + float64(micros)/1e6, true
}

// civil is a date and a time of day.
type civil struct {
	year, month, day     int
	hour, minute, second int
	micros               int
	aware                bool // the offset is known
	offset, offsetMicros int  // ahead of UTC
}

// valid reports that there is such a date and time. Leap seconds are not known.
func (c civil) valid() bool {
	return c.year >= 1 && c.year <= 9999 && c.month >= 1 && c.month <= 12 && c.day >= 1 && c.day <= days(c.year, c.month) &&
		c.hour < 24 && c.minute < 60 && c.second < 60
}

func days(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// unix returns the seconds of c as if it were UTC.
func (c civil) unix() int64 {
	return time.Date(c.year, time.Month(c.month), c.day, c.hour, c.minute, c.second, 0, time.UTC).Unix()
}

// local returns the Unix time of c, rounded as Python's datetime.timestamp does.
func (s *stamps) local(c civil) float64 {
	if c.aware {
		micros := (c.unix()-int64(c.offset))*1e6 + int64(c.micros-c.offsetMicros)
		return float64(micros) / 1e6
	}
	seconds := float64(s.zone.unix(c.unix()))
	return seconds + float64(c.micros)/1e6
}

// smiTime reads YYYY/MM/DD HH:MM:SS[.ffffff] as Python's strptime does: fields other than the year may lack a digit.
func smiTime(cell []byte) (c civil, ok bool) {
	field := func(to *int, least, most int, end byte) {
		n := min(digits(cell, 0), most)
		if !ok || n < least {
			ok = false
			return
		}
		*to = decimal(cell[:n])
		if cell = cell[n:]; end == 0 {
			return
		}
		if len(cell) == 0 || cell[0] != end {
			ok = false
			return
		}
		cell = cell[1:]
	}
	ok = true
	field(&c.year, 4, 4, '/')
	field(&c.month, 1, 2, '/')
	if ok && len(cell) > 1 && cell[0] == ' ' && cell[1] != '0' && digits(cell, 1) == 2 { // strptime's %d
		cell = cell[1:]
	}
	field(&c.day, 1, 2, 0)
	if rest := strip(cell); len(rest) < len(cell) {
		cell = rest
	} else {
		ok = false
	}
	field(&c.hour, 1, 2, ':')
	field(&c.minute, 1, 2, ':')
	field(&c.second, 1, 2, 0)
	if ok && len(cell) > 0 {
		if cell[0] != '.' {
			return civil{}, false
		}
		c.micros, ok = fraction(cell[1:])
	}
	return c, ok && c.valid()
}

// fraction returns the microseconds in one to six digits after the point.
func fraction(text []byte) (int, bool) {
	if len(text) == 0 || len(text) > 6 || digits(text, 0) != len(text) {
		return 0, false
	}
	micros := decimal(text)
	for range 6 - len(text) {
		micros *= 10
	}
	return micros, true
}

func decimal(text []byte) int {
	n := 0
	for _, c := range text {
		n = n*10 + int(c-'0')
	}
	return n
}
