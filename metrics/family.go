package metrics

import (
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"wattmark/sampler"
)

// family is a metric with its series. It keeps them from one scrape to the next and only writes the values anew: of what a
// scrape costs with client_golang's constant metrics, three quarters go into making the same labels, sorting and
// comparing them.
type family struct {
	dto    dto.MetricFamily
	labels []string
	series []series // those of the last scrape, and any that it did not have; the order is that of the calls
	used   int      // how many of them this scrape has so far
}

// series is one with its labels' values as they were given.
type series struct {
	values []string
	metric *dto.Metric
	value  *float64 // in metric; nil: it is a histogram
}

func newFamily(kind dto.MetricType, name, help string, labels []string) *family {
	return &family{labels: labels, dto: dto.MetricFamily{Name: &name, Help: &help, Type: &kind}}
}

// set adds a series of that value to this scrape. The values are of the family's labels, in their order.
func (f *family) set(x float64, values ...string) { *f.next(values).value = x }

// known sets factor·v; a missing value has no series.
func (f *family) known(v sampler.Value, factor float64, values ...string) {
	if x, ok := v.Known(); ok {
		f.set(factor*x, values...)
	}
}

// observe adds h to this scrape with cumulative buckets, as Prometheus has them.
func (f *family) observe(h sampler.Histogram) {
	to := f.next(nil).metric.Histogram
	count := uint64(0)
	for i, n := range h.Counts {
		count += n
		if i < len(to.Bucket) { // the last one has no bound
			*to.Bucket[i].CumulativeCount = count
		}
	}
	*to.SampleCount, *to.SampleSum = count, h.Sum.Seconds()
}

// next is the next series of this scrape. It is that of the scrape before where the labels are the same.
func (f *family) next(values []string) series {
	f.used++
	if f.used > len(f.series) {
		f.series = append(f.series, f.newSeries(values))
	} else if !slices.Equal(f.series[f.used-1].values, values) {
		f.series[f.used-1] = f.newSeries(values)
	}
	return f.series[f.used-1]
}

func (f *family) newSeries(values []string) series {
	s := series{values: slices.Clone(values), metric: &dto.Metric{}}
	for i, value := range values {
		value = strings.ToValidUTF8(value, "\ufffd") // a driver's string may be anything
		s.metric.Label = append(s.metric.Label, &dto.LabelPair{Name: &f.labels[i], Value: &value})
	}
	slices.SortFunc(s.metric.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	switch f.dto.GetType() {
	case dto.MetricType_HISTOGRAM:
		s.metric.Histogram = &dto.Histogram{SampleCount: new(uint64), SampleSum: new(float64)}
		for _, bound := range sampler.HistogramBounds() {
			seconds := bound.Seconds()
			s.metric.Histogram.Bucket = append(s.metric.Histogram.Bucket, &dto.Bucket{UpperBound: &seconds, CumulativeCount: new(uint64)})
		}
	case dto.MetricType_COUNTER:
		s.value = new(float64)
		s.metric.Counter = &dto.Counter{Value: s.value}
	default:
		s.value = new(float64)
		s.metric.Gauge = &dto.Gauge{Value: s.value}
	}
	return s
}

// whole is the family as this scrape has it.
func (f *family) whole() *dto.MetricFamily {
	f.dto.Metric = f.dto.Metric[:0]
	for _, s := range f.series[:f.used] {
		f.dto.Metric = append(f.dto.Metric, s.metric)
	}
	return &f.dto
}
