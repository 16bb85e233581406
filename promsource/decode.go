package promsource

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// sample is one scraped value.
type sample struct {
	ms    int64 // Unix milliseconds of the scrape
	value float64
}

// answer is what the server said, less the samples.
type answer struct {
	status, kind, message string // status "success" or "error"; of an error its type and words
	warnings              []string
}

var errMalformed = errors.New("not an answer of Prometheus' API")

// errTooMany means that an answer holds more samples than were expected.
var errTooMany = errors.New("more samples in one answer than fit in memory")

// decoder reads one answer of the API as it comes: memory holds one series' labels and whatever the caller keeps.
type decoder struct {
	in       io.Reader
	buf      []byte
	pos, end int
	failed   error // of in
	left     int   // samples that may still come
}

const (
	decodeBuffer = 128 << 10
	longestToken = 64 << 10 // of a label
)

func newDecoder(in io.Reader, most int) *decoder {
	return &decoder{in: in, buf: make([]byte, decodeBuffer), left: most}
}

// fill makes n bytes available, or all that are left.
func (d *decoder) fill(n int) {
	if d.end-d.pos >= n || d.failed != nil {
		return
	}
	copy(d.buf, d.buf[d.pos:d.end])
	d.pos, d.end = 0, d.end-d.pos
	for d.end < n && d.failed == nil {
		var got int
		got, d.failed = d.in.Read(d.buf[d.end:])
		d.end += got
	}
}

// peek skips white space and returns the next byte, 0 at the end.
func (d *decoder) peek() byte {
	for {
		if d.pos == d.end {
			d.fill(1)
			if d.pos == d.end {
				return 0
			}
		}
		switch c := d.buf[d.pos]; c {
		case ' ', '\n', '\r', '\t':
			d.pos++
		default:
			return c
		}
	}
}

func (d *decoder) want(c byte) error {
	if got := d.peek(); got != c {
		return d.unexpected(strconv.QuoteRune(rune(c)))
	}
	d.pos++
	return nil
}

func (d *decoder) unexpected(want string) error {
	if d.failed != nil && !errors.Is(d.failed, io.EOF) {
		return d.failed
	}
	if d.pos == d.end {
		return fmt.Errorf("%w: it ends where there should be %s", errMalformed, want)
	}
	return fmt.Errorf("%w: %.20q where there should be %s", errMalformed, d.buf[d.pos:min(d.end, d.pos+20)], want)
}

// text reads a string.
func (d *decoder) text() (string, error) {
	if err := d.want('"'); err != nil {
		return "", err
	}
	for {
		from := d.pos
		for i := from; i < d.end; i++ {
			switch d.buf[i] {
			case '\\':
				i++
			case '"':
				d.pos = i + 1
				return unquote(d.buf[from:i])
			}
		}
		if d.failed != nil || d.end-d.pos >= longestToken {
			d.pos = d.end
			return "", d.unexpected("the end of a text")
		}
		d.fill(d.end - d.pos + 1)
	}
}

// unquote reads what stands between the quotes of a JSON string.
func unquote(text []byte) (string, error) {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text), nil
	}
	var s jsonString
	if err := s.UnmarshalJSON(append(append([]byte{'"'}, text...), '"')); err != nil {
		return "", fmt.Errorf("%w: %w", errMalformed, err)
	}
	return string(s), nil
}

// list reads values between brackets, item by item.
func (d *decoder) list(item func() error) error {
	if err := d.want('['); err != nil {
		return err
	}
	if d.peek() == ']' {
		d.pos++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		switch d.peek() {
		case ',':
			d.pos++
		case ']':
			d.pos++
			return nil
		default:
			return d.unexpected("',' or ']'")
		}
	}
}

// object reads the members of an object, each by its key.
func (d *decoder) object(member func(key string) error) error {
	if err := d.want('{'); err != nil {
		return err
	}
	if d.peek() == '}' {
		d.pos++
		return nil
	}
	for {
		key, err := d.text()
		if err == nil {
			err = d.want(':')
		}
		if err == nil {
			err = member(key)
		}
		if err != nil {
			return err
		}
		switch d.peek() {
		case ',':
			d.pos++
		case '}':
			d.pos++
			return nil
		default:
			return d.unexpected("',' or '}'")
		}
	}
}

// skip reads over a value.
func (d *decoder) skip() error {
	switch c := d.peek(); c {
	case '{':
		return d.object(func(string) error { return d.skip() })
	case '[':
		return d.list(d.skip)
	case '"':
		_, err := d.text()
		return err
	case 0:
		return d.unexpected("a value")
	default:
		from := d.pos
		for d.fill(1); d.pos < d.end && !bytes.ContainsRune([]byte(",]} \n\r\t"), rune(d.buf[d.pos])); d.fill(1) {
			d.pos++
		}
		if d.pos == from && d.end > d.pos {
			return d.unexpected("a value")
		}
		return nil
	}
}

// labels reads a set of labels.
func (d *decoder) labels() (map[string]string, error) {
	labels := map[string]string{}
	err := d.object(func(key string) (err error) {
		labels[key], err = d.text()
		return err
	})
	return labels, err
}

// samples reads [[time, "value"], …] and hands on those that are numbers.
func (d *decoder) samples(take func(sample)) error {
	return d.list(func() error {
		s, err := d.sample()
		if err != nil {
			return err
		}
		if d.left--; d.left < 0 {
			return errTooMany
		}
		if !math.IsNaN(s.value) && !math.IsInf(s.value, 0) {
			take(s)
		}
		return nil
	})
}

// sample reads [time, "value"].
func (d *decoder) sample() (s sample, err error) {
	const longest = 256
	d.fill(longest)
	if s, n := compact(d.buf[d.pos:d.end]); n > 0 {
		d.pos += n
		return s, nil
	}
	if err = d.want('['); err != nil {
		return s, err
	}
	d.peek()
	n := 0
	if s.ms, n = milliseconds(d.buf[d.pos:d.end]); n == 0 {
		return s, d.unexpected("a time")
	}
	d.pos += n
	if err = d.want(','); err == nil {
		err = d.want('"')
	}
	if err != nil {
		return s, err
	}
	text := d.buf[d.pos:d.end]
	length := bytes.IndexByte(text[:min(len(text), longest)], '"')
	if length < 0 {
		return s, d.unexpected("a number's text")
	}
	if s.value, err = strconv.ParseFloat(string(text[:length]), 64); err != nil && !errors.Is(err, strconv.ErrRange) {
		return s, d.unexpected("a number's text")
	}
	d.pos += length + 1
	return s, d.want(']')
}
