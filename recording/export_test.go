package recording

import (
	"io"
	"math"
	"os"
	"strings"
	"time"
)

// ReadStamp reads one cell as a time.
func ReadStamp(cell string, zone *time.Location, lenient bool) (float64, bool) {
	return newStamps(zone, lenient).read([]byte(cell))
}

// ReadPower reads one cell as power.
func ReadPower(cell string, lenient bool) (float64, bool) {
	watts, what := numbers{lenient}.power([]byte(cell))
	return watts, what == powerKnown
}

// SplitRows returns the rows of a file and the line on which each begins.
func SplitRows(r io.Reader) (all [][]string, lines []int, err error) {
	s := newRows(r)
	for row := s.next(math.MaxInt); row != nil; row = s.next(math.MaxInt) {
		cells := []string{}
		for _, cell := range row {
			cells = append(cells, string(cell))
		}
		all, lines = append(all, cells), append(lines, s.line)
	}
	return all, lines, s.failed()
}

// FindColumns returns the columns of time, power and GPU.
func FindColumns(header string, lenient bool) [3]int {
	rows := newRows(strings.NewReader(header))
	c := findColumns(rows.next(math.MaxInt), lenient)
	return [3]int{c.stamp, c.power, c.gpu}
}

// TakesOnly makes the next write of f take n bytes and then fail.
func (f *File) TakesOnly(n int, err error) {
	f.write = func(file *os.File, b []byte) (int, error) {
		f.write = (*os.File).Write
		n, _ := file.Write(b[:min(n, len(b))])
		return n, err
	}
}
