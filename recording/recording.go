package recording

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"strings"

	"wattmark/sampler"
)

// Recording is the power that a file holds. It keeps 16 bytes per reading.
type Recording struct {
	GPUs   []GPU   // by number, then by name; each has a reading
	Faults []Fault // what the file's rules forbid, in the order of InferenceX's reasons
	Notes  []Fault // what was passed over, if lenient
	Opened bool    // it has the columns that are needed
	Rows   int     // data rows read
}

// GPU is the power of one GPU, oldest first, one reading per time.
type GPU struct {
	ID    string    // as the file has it: an index, mostly
	Unix  []float64 // seconds
	Watts []float64
}

// Info is what a file says of a GPU: its name, which stands in for the UUID, and its index if the name is a number.
func (g GPU) Info() sampler.Info {
	info := sampler.Info{UUID: g.ID, Index: -1, Scope: sampler.ScopeGPU, PowerSource: "csv"}
	if number, ok := ordinal(g.ID); ok && len(number) < 10 {
		info.Index = decimal([]byte("0" + number))
	}
	return info
}

// Series returns all readings.
func (g GPU) Series() sampler.Series {
	s := sampler.Series{Info: g.Info(), Readings: make([]sampler.Reading, len(g.Unix))}
	for i, seconds := range g.Unix {
		s.Readings[i] = sampler.Reading{At: Moment(seconds), PowerWatts: sampler.Some(g.Watts[i])}
	}
	return s
}

// Moment returns the moment of a Unix time in seconds, to the nearest nanosecond.
func Moment(unix float64) sampler.Moment {
	whole := math.Floor(unix)
	return sampler.Moment{UnixNano: int64(whole)*1e9 + int64(math.Round((unix-whole)*1e9))}
}

// Series yields each GPU's readings from the last at or before from to the first at or after to: a Recording is a
// window.Source.
func (r *Recording) Series(from, to sampler.Moment) iter.Seq[sampler.Series] {
	return func(yield func(sampler.Series) bool) {
		for _, gpu := range r.GPUs {
			at := func(i int) sampler.Moment { return Moment(gpu.Unix[i]) }
			first, end := sampler.Span(len(gpu.Unix), at, from, to)
			part := GPU{gpu.ID, gpu.Unix[first:end], gpu.Watts[first:end]}
			if !yield(part.Series()) {
				return
			}
		}
	}
}

// settle sorts the readings and averages those of equal times.
func (g *GPU) settle() {
	if !slices.IsSorted(g.Unix) {
		order := make([]int, len(g.Unix))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(g.Unix[a], g.Unix[b]) })
		sorted := GPU{Unix: make([]float64, len(order)), Watts: make([]float64, len(order))}
		for to, from := range order {
			sorted.Unix[to], sorted.Watts[to] = g.Unix[from], g.Watts[from]
		}
		g.Unix, g.Watts = sorted.Unix, sorted.Watts
	}
	kept := 0
	for i := 0; i < len(g.Unix); {
		sum, n := 0.0, i
		for ; n < len(g.Unix) && g.Unix[n] == g.Unix[i]; n++ {
			sum += g.Watts[n]
		}
		g.Unix[kept], g.Watts[kept] = g.Unix[i], sum/float64(n-i)
		kept++
		i = n
	}
	g.Unix, g.Watts = g.Unix[:kept], g.Watts[:kept]
}

// Compare orders names of GPUs: numbers first, by value, then the others.
func Compare(a, b string) int {
	x, isX := ordinal(a)
	y, isY := ordinal(b)
	switch {
	case isX && isY:
		return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y))
	case isX:
		return -1
	case isY:
		return 1
	}
	return strings.Compare(a, b)
}

// ordinal returns the digits of a name that has nothing else, without leading zeros.
func ordinal(id string) (string, bool) {
	if id == "" || strings.Trim(id, "0123456789") != "" {
		return "", false
	}
	return strings.TrimLeft(id, "0"), true
}
