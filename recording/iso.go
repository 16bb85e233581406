package recording

import "time"

// isoTime reads ISO 8601 as datetime.fromisoformat of Python 3.11 does: a date (of a calendar or of weeks), any one
// character, a time of day with or without colons, a fraction of which six digits count, and a zone.
func isoTime(cell []byte) (civil, bool) {
	if len(cell) < 7 {
		return civil{}, false
	}
	at := isoSeparator(cell)
	if at > len(cell) {
		return civil{}, false
	}
	c, ok := isoDate(cell[:at])
	if !ok {
		return civil{}, false
	}
	if at < len(cell) {
		at += separatorLen(cell[at])
		if at >= len(cell) || !c.isoClock(cell[at:]) {
			return civil{}, false
		}
	}
	return c, c.valid()
}

// isoSeparator returns where the character between date and time is.
func isoSeparator(cell []byte) int {
	switch {
	case len(cell) == 7:
		return 7 // 2025W03
	case cell[4] == '-' && cell[5] == 'W': // 2025-W03, 2025-W03-3; two digits after that hyphen are hours
		if len(cell) > 9 && cell[8] == '-' && (len(cell) == 10 || !digit(cell[10])) {
			return 10
		}
		return 8
	case cell[4] == '-':
		return 10
	case cell[4] == 'W': // 2025W03, 2025W033; times have pairs of digits
		end := digits(cell, 7)
		if end < 9 {
			return end
		}
		if end%2 == 0 {
			return 7
		}
		return 8
	}
	return 8
}

// separatorLen returns how many bytes the character that begins with c has.
func separatorLen(c byte) int {
	switch {
	case c < 0x80:
		return 1
	case c&0xf0 == 0xe0:
		return 3
	case c&0xf0 == 0xf0:
		return 4
	}
	return 2
}

// number reads n digits at i.
func number(text []byte, i, n int) (x, end int, ok bool) {
	if i+n > len(text) || digits(text[:i+n], i) != i+n {
		return 0, 0, false
	}
	return decimal(text[i : i+n]), i + n, true
}

func isoDate(text []byte) (c civil, ok bool) {
	year, i, ok := number(text, 0, 4)
	if !ok || i == len(text) {
		return c, false
	}
	hyphens := text[i] == '-'
	if hyphens {
		i++
	}
	if i < len(text) && text[i] == 'W' {
		return isoWeek(text, i+1, year, hyphens)
	}
	c.year = year
	c.month, i, ok = number(text, i, 2)
	if ok && hyphens {
		if i == len(text) || text[i] != '-' {
			return c, false
		}
		i++
	}
	if ok {
		c.day, i, ok = number(text, i, 2)
	}
	return c, ok && i == len(text)
}

// isoWeek reads a date of weeks from the number of the week on.
func isoWeek(text []byte, i, year int, hyphens bool) (c civil, ok bool) {
	week, i, ok := number(text, i, 2)
	weekday := 1
	if ok && i < len(text) {
		if hyphens {
			if text[i] != '-' {
				return c, false
			}
			i++
		}
		weekday, i, ok = number(text, i, 1)
	}
	if !ok || i < len(text) || year < 1 || week < 1 || weekday < 1 || weekday > 7 {
		return c, false
	}
	monday := time.Date(year, 1, 4, 0, 0, 0, 0, time.UTC) // always in the first week
	monday = monday.AddDate(0, 0, -(int(monday.Weekday())+6)%7)
	date := monday.AddDate(0, 0, 7*(week-1)+weekday-1)
	if of, _ := date.ISOWeek(); of != year {
		return c, false
	}
	y, m, d := date.Date()
	return civil{year: y, month: int(m), day: d}, true
}

// isoClock reads the time of day and the zone.
func (c *civil) isoClock(text []byte) bool {
	zone := 0
	for zone < len(text) && text[zone] != '+' && text[zone] != '-' && text[zone] != 'Z' {
		zone++
	}
	rest, ok := isoFields(text, max(zone, 1), &c.hour, &c.minute, &c.second, &c.micros)
	switch {
	case !ok:
		return false
	case zone >= len(text):
		return !rest
	case text[zone] == 'Z':
		c.aware = true
		return zone+1 == len(text)
	}
	sign := 1
	if text[zone] == '-' {
		sign = -1
	}
	var hour, minute, second, micros int
	text = text[zone+1:]
	if rest, ok = isoFields(text, len(text), &hour, &minute, &second, &micros); !ok || rest {
		return false
	}
	c.aware = true
	c.offset, c.offsetMicros = sign*(hour*3600+minute*60+second), sign*micros
	return hour < 24 && hour*3600+minute*60+second < 24*60*60
}

// isoFields reads HH[:MM[:SS[.fff]]] up to end. rest reports that it stopped before the end of text.
func isoFields(text []byte, end int, hour, minute, second, micros *int) (rest, ok bool) {
	p, colons := 0, false
	for i, to := range []*int{hour, minute, second} {
		if *to, p, ok = number(text, p, 2); !ok {
			return false, false
		}
		c := byte(0)
		if p < len(text) {
			c = text[p]
		}
		p++
		if i == 0 {
			colons = c == ':'
		}
		if p >= end {
			return c != 0, true
		}
		if colons && c == ':' {
			continue
		}
		if c == '.' || c == ',' {
			break
		}
		if colons {
			return false, false
		}
		p--
	}
	n := min(end-p, 6)
	if *micros, p, ok = number(text, p, n); !ok {
		return false, false
	}
	for range 6 - n {
		*micros *= 10
	}
	p = digits(text, p)
	return p < len(text), true
}
