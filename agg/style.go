package agg

import "bytes"

// style is how an object is laid out: the white space before its first key and before each further one, what stands
// between a key's closing quote and its value, and the white space after the last value.
type style struct {
	first, further, colon, last []byte
}

// part spells a key of ours.
func (s style) part(key Key) part {
	spelled := append([]byte(`"`+key.Name+`"`), s.colon...)
	return part{name: key.Name, lead: s.further, key: spelled, value: []byte(key.Number)}
}

// afterQuote returns what follows the quote of a key as spelled.
func afterQuote(key []byte) []byte { return key[bytes.LastIndexByte(key, '"')+1:] }

// second returns the white space before a second key, judging by an object with one: as before the first on lines of
// their own; else Python's ", " goes with ": ".
func second(s style) []byte {
	switch {
	case bytes.Contains(s.first, []byte("\n")):
		return s.first
	case bytes.HasSuffix(s.colon, []byte(" ")):
		return []byte(" ")
	}
	return nil
}

// emptyStyle is that of an object with only white space inside: Python's json.dumps on one line, or with an
// indentation of two where the braces stand on lines of their own.
func emptyStyle(inside []byte) style {
	s := style{first: inside, further: []byte(" "), colon: []byte(": "), last: inside}
	if i := bytes.LastIndexByte(inside, '\n'); i >= 0 {
		lineEnd := "\n"
		if i > 0 && inside[i-1] == '\r' {
			lineEnd = "\r\n"
		}
		s.first = append([]byte(lineEnd+"  "), inside[i+1:]...)
		s.further = s.first
	}
	return s
}
