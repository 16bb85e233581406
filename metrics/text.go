package metrics

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// format is one of the two text formats, whose pages keep their words from one scrape to the next: client_golang's encoder
// writes them once, and a scrape puts its numbers between them. The page is what the encoder would write, byte for byte.
type format int

const (
	plainText format = iota
	openMetrics
	formats
)

// encode is the encoder's text of a family.
func (as format) encode(family *dto.MetricFamily) ([]byte, error) {
	var text bytes.Buffer
	kind := [formats]expfmt.FormatType{expfmt.TypeTextPlain, expfmt.TypeOpenMetrics}[as]
	err := expfmt.NewEncoder(&text, expfmt.NewFormat(kind)).Encode(family)
	return text.Bytes(), err
}

// end is what comes after the last family.
func (as format) end() string { return [formats]string{"", "# EOF\n"}[as] }

// words are the text of a family without its numbers.
type words struct {
	text []byte
	ends []int // in text, of what comes before each number: comments, the end of the line before, the line's own words
}

// appendText adds the family as this scrape has it to a page.
func (f *family) appendText(page []byte, as format) ([]byte, error) {
	n := f.used * f.width()
	if n == 0 {
		return page, nil
	}
	if len(f.words[as].ends) < n {
		if err := f.layOut(as); err != nil {
			return page, err
		}
	}
	counts, begin := f.kind == dto.MetricType_HISTOGRAM && as == openMetrics, 0 // it has counts as whole numbers
	for i, end := range f.words[as].ends[:n] {
		page = append(page, f.words[as].text[begin:end]...)
		if counts && i%f.width() != f.width()-2 { // not the sum
			page = strconv.AppendUint(page, uint64(f.numbers[i]), 10)
		} else {
			page = as.appendFloat(page, f.numbers[i])
		}
		begin = end
	}
	return append(page, '\n'), nil
}

// layOut has the encoder write the family, and keeps the words.
func (f *family) layOut(as format) error {
	text, err := as.encode(f.whole())
	if err != nil {
		return err
	}
	w := words{ends: make([]int, 0, f.used*f.width())}
	for line := range bytes.Lines(text) {
		if line[0] == '#' {
			w.text = append(w.text, line...)
			continue
		}
		if len(w.ends) > 0 {
			w.text = append(w.text, '\n')
		}
		w.text = append(w.text, line[:bytes.LastIndexByte(line, ' ')+1]...)
		w.ends = append(w.ends, len(w.text))
	}
	if len(w.ends) != f.used*f.width() {
		return fmt.Errorf("%s: %d lines of %d series", f.name, len(w.ends), f.used)
	}
	f.words[as] = w
	return nil
}

// appendFloat writes x as the encoder does.
func (as format) appendFloat(page []byte, x float64) []byte {
	switch {
	case math.IsInf(x, 1):
		return append(page, "+Inf"...)
	case x == 0:
		x = 0 // not -0
	}
	begin := len(page)
	page = strconv.AppendFloat(page, x, 'g', -1, 64)
	if as == openMetrics && !bytes.ContainsAny(page[begin:], "e.IN") { // Inf and NaN have no point
		page = append(page, ".0"...)
	}
	return page
}
