package agg

import "fmt"

// scalar reads a string, a number or a word.
func (s *scanner) scalar() error {
	switch c := s.peek(); c {
	case '"':
		return s.text()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		if numeric(c) {
			return s.number()
		}
		return s.unexpected("a value")
	}
}

// numeric reports whether a number begins with c.
func numeric(c byte) bool { return digit(c) || c == '-' || c == 'N' || c == 'I' }

func digit(c byte) bool { return '0' <= c && c <= '9' }

func (s *scanner) word(word string) error {
	for i := range len(word) {
		if s.peek() != word[i] {
			return s.unexpected(word)
		}
		s.pos++
	}
	return nil
}

// text reads a string. Bytes from 0x80 on are not looked at: the benchmark's texts are its own business.
func (s *scanner) text() error {
	s.pos++ // the quote
	for {
		i := plainText(s.buf[s.pos:])
		s.pos += i
		switch c := s.peek(); {
		case s.pos == len(s.buf):
			return s.unexpected("a string's end")
		case c == '"':
			s.pos++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c < ' ':
			return s.unexpected("a string without control characters")
		}
	}
}

// plainText returns how many bytes of text need no attention.
func plainText(text []byte) int {
	for i, c := range text {
		if c == '"' || c == '\\' || c < ' ' {
			return i
		}
	}
	return len(text)
}

func (s *scanner) escape() error {
	s.pos++ // the backslash
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
		s.pos++
		for range 4 {
			if c := s.peek(); !digit(c) && (c|' ' < 'a' || c|' ' > 'f') {
				return s.unexpected("a hexadecimal digit")
			}
			s.pos++
		}
		return nil
	default:
		return s.unexpected("an escape")
	}
}

// number reads a number: JSON's, or one of Python's three words.
func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	} else if s.peek() == 'N' {
		return s.word("NaN")
	}
	switch c := s.peek(); {
	case c == 'I':
		return s.word("Infinity")
	case c == '0':
		s.pos++
	case digit(c):
		s.digits()
	default:
		return s.unexpected("a digit")
	}
	if s.peek() == '.' {
		s.pos++
		if !digit(s.peek()) {
			return s.unexpected("a digit")
		}
		s.digits()
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !digit(s.peek()) {
			return s.unexpected("a digit")
		}
		s.digits()
	}
	return nil
}

func (s *scanner) digits() {
	for {
		for i, c := range s.buf[s.pos:] {
			if !digit(c) {
				s.pos += i
				return
			}
		}
		s.pos = len(s.buf)
		if !s.more() {
			return
		}
	}
}

// position says where offset is in data, as editors count: lines and characters from 1.
func position(data []byte, offset int64) string {
	line, column := 1, 1
	for _, c := range string(data[:offset]) {
		if column++; c == '\n' {
			line, column = line+1, 1
		}
	}
	return fmt.Sprintf("line %d, column %d", line, column)
}
