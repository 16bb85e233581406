package agg

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"wattmark/window"
)

// AggregationInternalError is the reason that goes with an InternalError.
const AggregationInternalError window.Reason = "aggregation_internal_error"

// InternalError is an error that InferenceX's script does not expect.
type InternalError struct {
	Type    string `json:"type"`
	Message string `json:"message"` // at most 500 characters
}

// UnexpectedBenchmark returns the error that InferenceX's script ends with for a benchmark's result that it can read,
// but that is not UTF-8, or JSON other than an object; nil for any other.
func UnexpectedBenchmark(r io.Reader) *InternalError {
	text := &utf8Reader{r: r}
	s := stream(text)
	kind := pythonType(s.space())
	s.mark = s.pos
	broken := kind == "" || s.skip() != nil
	if kind == "int" && strings.ContainsAny(string(s.marked()), ".eENI") {
		kind = "float"
	}
	if s.space(); s.pos < len(s.buf) {
		broken = true // something follows: not JSON
	}
	_, err := io.Copy(io.Discard, text) // what was not looked at may not be UTF-8 either
	switch {
	case text.bad != "":
		return &InternalError{"UnicodeDecodeError", text.bad}
	case broken || err != nil || s.failed != nil && !errors.Is(s.failed, io.EOF):
		return nil
	}
	return &InternalError{"AttributeError", fmt.Sprintf("'%s' object has no attribute 'get'", kind)}
}

// pythonType is the type that Python gives a JSON value that begins with c; "" for an object and for none.
func pythonType(c byte) string {
	switch {
	case c == '[':
		return "list"
	case c == '"':
		return "str"
	case c == 't' || c == 'f':
		return "bool"
	case c == 'n':
		return "NoneType"
	case numeric(c):
		return "int"
	}
	return ""
}

// utf8Reader passes a text on and notes where it is not UTF-8.
type utf8Reader struct {
	r      io.Reader
	offset int64  // of what is still to be checked
	rest   []byte // the beginning of a character whose end was not read yet
	bad    string
}

func (u *utf8Reader) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if u.bad != "" {
		return n, err
	}
	text := p[:n]
	if len(u.rest) > 0 {
		text = append(u.rest, text...)
	}
	if utf8.Valid(text) {
		u.offset, u.rest = u.offset+int64(len(text)), nil
		return n, err
	}
	for len(text) > 0 && u.bad == "" {
		c, size := utf8.DecodeRune(text)
		if c == utf8.RuneError && size == 1 {
			if !utf8.FullRune(text) && err == nil {
				break
			}
			u.bad = fmt.Sprintf("'utf-8' codec can't decode byte 0x%02x in position %d: invalid or incomplete character",
				text[0], u.offset)
		}
		text = text[size:]
		u.offset += int64(size)
	}
	u.rest = append([]byte(nil), text...)
	return n, err
}
