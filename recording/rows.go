package recording

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
)

const (
	chunk    = 128 << 10
	maxField = 128 << 10 // characters: csv.field_size_limit of Python
	maxLine  = 16 << 20  // bytes; no tool prints such a line
)

var errField = errors.New("a field is longer than 131072 characters")

// rows splits CSV as Python's csv module does with skipinitialspace: commas, double quotes around a whole field and
// doubled inside it, spaces after a comma skipped, lines that end in LF, CRLF or CR, and empty lines skipped. A quoted
// field may hold line ends. It allocates only as lines get longer.
type rows struct {
	r   io.Reader
	buf []byte
	pos int // of what is not consumed yet
	err error

	line   int      // of the row that next returned, from 1
	ended  int      // lines consumed
	fields [][]byte // valid until the next call
	text   []byte   // of the row, if it is one line
	quoted bool     // there are quotes: fields has all of them
	spell  []byte   // what the fields of a row with quotes hold
	ends   []int    // of the fields in spell
}

func newRows(r io.Reader) *rows { return &rows{r: r, buf: make([]byte, 0, chunk)} }

// next reads a row and returns at least its first want fields, if it has so many; nil at the end and on errors.
func (s *rows) next(want int) [][]byte {
	for {
		end := s.lineEnd()
		if end < 0 {
			return nil
		}
		line := s.buf[s.pos:end]
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		quoted := bytes.IndexByte(line, '"') >= 0
		plain := len(line) <= maxField && bytes.IndexByte(line, '\r') < 0
		if s.text = line; plain && (!quoted || s.unquote()) {
			s.pos = min(end+1, len(s.buf))
			s.ended++
			if len(line) > 0 {
				s.line = s.ended
				s.quoted = quoted
				return s.row(want)
			}
			continue
		}
		if s.quoted = true; s.slow() {
			return s.fields
		}
		if s.failed() != nil {
			return nil
		}
	}
}

// row returns the first fields of the row.
func (s *rows) row(want int) [][]byte {
	if !s.quoted {
		s.split(want)
	}
	return s.fields
}

// failed returns what went wrong, nil at the end of the input.
func (s *rows) failed() error {
	if s.err == io.EOF { //nolint:errorlint // io.Reader returns io.EOF itself
		return nil
	}
	return s.err
}

// lineEnd returns where the line that begins at pos ends: the index of its LF, or of the end of the input. It is
// negative if there is no further line.
func (s *rows) lineEnd() int {
	searched := s.pos
	for {
		if i := bytes.IndexByte(s.buf[searched:], '\n'); i >= 0 {
			return searched + i
		}
		if len(s.buf)-s.pos > maxLine {
			s.err = fmt.Errorf("line %d: it is longer than %d bytes", s.ended+1, maxLine)
		}
		length := len(s.buf) - s.pos
		if !s.more() {
			if s.failed() != nil || len(s.buf) == s.pos {
				return -1
			}
			return len(s.buf)
		}
		searched = s.pos + length
	}
}

// more reads on, keeping what is not consumed. It reports false at the end of the input.
func (s *rows) more() bool {
	if s.err != nil {
		return false
	}
	kept := copy(s.buf, s.buf[s.pos:])
	s.buf, s.pos = s.buf[:kept], 0
	if cap(s.buf)-kept < chunk/2 {
		s.buf = append(make([]byte, 0, 2*cap(s.buf)), s.buf...)
	}
	n, err := 0, error(nil)
	for tries := 0; n == 0 && err == nil; tries++ {
		if n, err = s.r.Read(s.buf[kept:cap(s.buf)]); tries == 100 {
			err = io.ErrNoProgress
		}
	}
	s.buf, s.err = s.buf[:kept+n], err
	return n > 0
}

// all returns all fields of the row that next returned last.
func (s *rows) all() [][]byte { return s.row(math.MaxInt) }

// unquote splits a line with quotes, if each quoted field ends on it and holds no quotes.
func (s *rows) unquote() bool {
	line := s.text
	s.fields = s.fields[:0]
	for {
		for len(line) > 0 && line[0] == ' ' {
			line = line[1:]
		}
		end := 0
		if len(line) > 0 && line[0] == '"' {
			line = line[1:]
			end = bytes.IndexByte(line, '"')
			if end < 0 || end+1 < len(line) && line[end+1] != ',' {
				return false
			}
			s.fields = append(s.fields, line[:end])
			if end++; end == len(line) {
				return true
			}
		} else {
			if end = bytes.IndexByte(line, ','); end < 0 {
				s.fields = append(s.fields, line)
				return true
			}
			s.fields = append(s.fields, line[:end])
		}
		line = line[end+1:]
	}
}

// split splits a row without quotes.
func (s *rows) split(want int) {
	line := s.text
	s.fields = s.fields[:0]
	for len(s.fields) < want {
		for len(line) > 0 && line[0] == ' ' {
			line = line[1:]
		}
		end := bytes.IndexByte(line, ',')
		if end < 0 {
			s.fields = append(s.fields, line)
			return
		}
		s.fields = append(s.fields, line[:end])
		line = line[end+1:]
	}
}

// slow reads a row byte by byte; false if there was an empty line, or on errors.
func (s *rows) slow() bool {
	const (
		fieldStart = iota
		inField
		inQuotes
		quoteInQuotes
	)
	s.spell, s.ends, s.line = s.spell[:0], s.ends[:0], s.ended+1
	length, state, empty := 0, fieldStart, true
	for {
		if s.pos == len(s.buf) && !s.more() {
			if s.failed() != nil {
				return false
			}
			break
		}
		c := s.buf[s.pos]
		s.pos++
		lineEnd := c == '\n' || c == '\r'
		if lineEnd {
			if c == '\r' && (s.pos < len(s.buf) || s.more()) && s.buf[s.pos] == '\n' && state != inQuotes {
				s.pos++
			}
			if c == '\n' || state != inQuotes || !s.lineFeed() {
				s.ended++
			}
			if state != inQuotes {
				break
			}
		}
		if empty = false; state == quoteInQuotes && c != '"' && c != ',' {
			state = inField
		}
		switch {
		case state == fieldStart && c == '"':
			state = inQuotes
			continue
		case state == fieldStart && c == ' ':
			continue
		case c == ',' && state != inQuotes:
			s.ends = append(s.ends, len(s.spell))
			length, state = 0, fieldStart
			continue
		case c == '"' && state == inQuotes:
			state = quoteInQuotes
			continue
		case state == quoteInQuotes: // a doubled quote
			state = inQuotes
		case state == fieldStart:
			state = inField
		}
		s.spell = append(s.spell, c)
		if c&0xc0 != 0x80 { // the first byte of a character
			length++
		}
		if length > maxField {
			s.err = fmt.Errorf("line %d: %w", s.line, errField)
			return false
		}
	}
	if empty {
		return false
	}
	s.ends = append(s.ends, len(s.spell))
	s.fields = s.fields[:0]
	from := 0
	for _, end := range s.ends {
		s.fields = append(s.fields, s.spell[from:end])
		from = end
	}
	return true
}

// lineFeed reports that an LF comes next.
func (s *rows) lineFeed() bool {
	return (s.pos < len(s.buf) || s.more()) && s.buf[s.pos] == '\n'
}
