package metrics

import (
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"wattmark/sampler"
)

// family is a metric with its series. It keeps their labels from one scrape to the next and only writes the numbers anew: of
// what a scrape costs with client_golang's constant metrics, three quarters go into making the same labels, sorting and
// comparing them. All lies together in memory, for a program that runs once a second and finds the caches empty.
type family struct {
	name, help string
	kind       dto.MetricType
	labels     []string
	values     []string  // of the labels, of one series after the other: those of the last scrape, and any that it did not have
	numbers    []float64 // likewise; a series has one, a histogram more: see observe
	used       int       // how many series this scrape has so far; their order is that of the calls
	words      [formats]words
}

// set adds a series of that value to this scrape. The values are of the family's labels, in their order.
func (f *family) set(x float64, values ...string) { f.next(values)[0] = x }

// known sets factor·v; a missing value has no series.
func (f *family) known(v sampler.Value, factor float64, values ...string) {
	if x, ok := v.Known(); ok {
		f.set(factor*x, values...)
	}
}

// observe adds h to this scrape as the lines of its text have it: cumulative buckets, the last one without a bound, the sum,
// the count.
func (f *family) observe(h sampler.Histogram) {
	to := f.next(nil)
	count := 0.0
	for i, n := range h.Counts {
		count += float64(n)
		to[i] = count
	}
	to[len(h.Counts)], to[len(h.Counts)+1] = h.Sum.Seconds(), count
}

// width is how many numbers a series has.
func (f *family) width() int {
	if f.kind == dto.MetricType_HISTOGRAM {
		return len(sampler.Histogram{}.Counts) + 2
	}
	return 1
}

// next has the numbers of the next series of this scrape. Where the labels are those of the scrape before, so are the words.
func (f *family) next(values []string) []float64 {
	i, width, n := f.used, f.width(), len(f.labels)
	f.used++
	if i*width == len(f.numbers) {
		f.values = append(f.values, values...)
		f.numbers = append(f.numbers, make([]float64, width)...)
	} else if have := f.values[i*n:][:n]; !slices.Equal(have, values) {
		copy(have, values)
		f.words = [formats]words{}
	}
	return f.numbers[i*width:][:width]
}

// whole is the family as this scrape has it.
func (f *family) whole() *dto.MetricFamily {
	all := &dto.MetricFamily{Name: &f.name, Help: &f.help, Type: &f.kind}
	for i := range f.used {
		all.Metric = append(all.Metric, f.metric(f.values[i*len(f.labels):], f.numbers[i*f.width():]))
	}
	return all
}

func (f *family) metric(values []string, numbers []float64) *dto.Metric {
	m := &dto.Metric{}
	for i := range f.labels {
		value := strings.ToValidUTF8(values[i], "\ufffd") // a driver's string may be anything
		m.Label = append(m.Label, &dto.LabelPair{Name: &f.labels[i], Value: &value})
	}
	slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	switch f.kind {
	case dto.MetricType_HISTOGRAM:
		m.Histogram = &dto.Histogram{}
		bounds := sampler.HistogramBounds()
		for i, bound := range bounds {
			m.Histogram.Bucket = append(m.Histogram.Bucket, &dto.Bucket{
				UpperBound: new(bound.Seconds()), CumulativeCount: new(uint64(numbers[i])),
			})
		}
		rest := numbers[len(bounds):]
		m.Histogram.SampleCount, m.Histogram.SampleSum = new(uint64(rest[0])), new(rest[1])
	case dto.MetricType_COUNTER:
		m.Counter = &dto.Counter{Value: new(numbers[0])}
	default:
		m.Gauge = &dto.Gauge{Value: new(numbers[0])}
	}
	return m
}
