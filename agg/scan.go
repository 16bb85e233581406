package agg

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

const (
	maxDepth = 10_000   // of nested arrays and objects
	maxToken = 32 << 10 // what is looked at of a key or number; longer ones are none of ours
)

// scanner reads JSON as Python's json module writes and reads it: NaN, Infinity and -Infinity are numbers, a byte order
// mark is skipped. It builds no values, so that a file of any size is read in little memory.
type scanner struct {
	r       io.Reader // nil: everything is in buf
	buf     []byte
	pos     int   // in buf
	base    int64 // offset of buf in the input
	mark    int   // in buf: from here on bytes are kept when more are read; -1: nowhere
	newline bool  // space has passed one
	failed  error // of r
}

func scan(data []byte) *scanner { return &scanner{buf: data, mark: -1} }

func stream(r io.Reader) *scanner {
	return &scanner{r: r, buf: make([]byte, 0, 2*maxToken), mark: -1}
}

// syntaxError is what is wrong with a JSON text, and where.
type syntaxError struct {
	offset int64
	text   string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.offset, e.text) }

// more reads on. It reports false at the end of the input.
func (s *scanner) more() bool {
	if s.r == nil || s.failed != nil {
		return false
	}
	keep := s.pos
	if s.mark >= 0 && s.pos-s.mark < maxToken {
		keep = s.mark
	} else {
		s.mark = -1
	}
	kept := copy(s.buf, s.buf[keep:])
	n, err := 0, error(nil)
	for tries := 0; n == 0 && err == nil; tries++ {
		if n, err = s.r.Read(s.buf[kept:cap(s.buf)]); tries == 100 {
			err = io.ErrNoProgress
		}
	}
	s.buf = s.buf[:kept+n]
	s.base += int64(keep)
	s.pos -= keep
	if s.mark >= 0 {
		s.mark = 0
	}
	if err != nil {
		s.failed = err
	}
	return n > 0
}

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos == len(s.buf) && !s.more() {
		return 0
	}
	return s.buf[s.pos]
}

func (s *scanner) offset() int64 { return s.base + int64(s.pos) }

// unexpected is the error for the next byte, where want should be.
func (s *scanner) unexpected(want string) error {
	text := "the text ends, want " + want
	if c := s.peek(); s.pos < len(s.buf) {
		text = fmt.Sprintf("got %q, want %s", c, want)
	} else if s.failed != nil && s.failed != io.EOF { //nolint:errorlint // io.Reader returns io.EOF itself
		return s.failed
	}
	return &syntaxError{s.offset(), text}
}

// space skips white space and returns the byte after it.
func (s *scanner) space() byte {
	for {
		for i, c := range s.buf[s.pos:] {
			switch c {
			case ' ', '\t', '\r':
			case '\n':
				s.newline = true
			default:
				s.pos += i
				return c
			}
		}
		s.pos = len(s.buf)
		if !s.more() {
			return 0
		}
	}
}

// bom skips a byte order mark.
func (s *scanner) bom() {
	if s.peek() != 0xEF {
		return
	}
	s.mark = s.pos
	for range 3 {
		s.peek()
		s.pos = min(s.pos+1, len(s.buf))
	}
	if !bytes.Equal(s.buf[s.mark:s.pos], []byte("\xEF\xBB\xBF")) {
		s.pos = s.mark
	}
	s.mark = -1
}

// skip reads one value of any kind.
func (s *scanner) skip() error {
	var open []byte // the closing brackets that are still to come, innermost last
	for {
		var err error
		switch c := s.space(); c {
		case '{', '[':
			if len(open) == maxDepth-1 { // around it is the object of which this is a member
				return &syntaxError{s.offset(), "nested too deeply"}
			}
			s.pos++
			open = append(open, c+2) // in ASCII, ] and } stand 2 after [ and {
			if s.space() == c+2 {
				break
			}
			if c == '{' {
				err = s.colon()
			}
			if err != nil {
				return err
			}
			continue
		default:
			err = s.scalar()
		}
		if err != nil {
			return err
		}
		for len(open) > 0 { // after a value
			closing := open[len(open)-1]
			c := s.space()
			if c == closing {
				s.pos++
				open = open[:len(open)-1]
				continue
			}
			if c != ',' {
				return s.unexpected(fmt.Sprintf("',' or '%c'", closing))
			}
			s.pos++
			if closing == '}' {
				err = s.colon()
			}
			break
		}
		if err != nil || len(open) == 0 {
			return err
		}
	}
}

// colon reads a key of no interest and the colon after it.
func (s *scanner) colon() error {
	if s.space() != '"' {
		return s.unexpected("a key")
	}
	if err := s.text(); err != nil {
		return err
	}
	if s.space() != ':' {
		return s.unexpected("':'")
	}
	s.pos++
	return nil
}

// object reads an object. It calls member for each key, which must read the value; at is the offset of the key.
func (s *scanner) object(member func(key string, at int64) error) error {
	if s.space() != '{' {
		return s.unexpected("an object")
	}
	s.pos++
	if s.space() == '}' {
		s.pos++
		return nil
	}
	for {
		if s.space() != '"' {
			return s.unexpected("a key")
		}
		at := s.offset()
		s.mark = s.pos
		if err := s.text(); err != nil {
			return err
		}
		key := unquote(s.marked())
		if s.space() != ':' {
			return s.unexpected("':'")
		}
		s.pos++
		if err := member(key, at); err != nil {
			return err
		}
		switch s.space() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			return nil
		default:
			return s.unexpected("',' or '}'")
		}
	}
}

// marked returns what was read since mark was set, none of it if that was too much; good until more is read.
func (s *scanner) marked() []byte {
	if s.mark < 0 {
		return nil
	}
	kept := s.buf[s.mark:s.pos]
	s.mark = -1
	return kept
}

// unquote returns the text of a JSON string.
func unquote(quoted []byte) string {
	if len(quoted) < 2 {
		return ""
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return ""
	}
	return text
}
