package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"wattmark/sampler"
)

// writer sends metrics of constant value.
type writer struct{ to chan<- prometheus.Metric }

func (w writer) gauge(desc *prometheus.Desc, x float64, labels ...string) {
	w.send(desc, prometheus.GaugeValue, x, labels)
}

func (w writer) counter(desc *prometheus.Desc, x float64, labels ...string) {
	w.send(desc, prometheus.CounterValue, x, labels)
}

// known writes factor·v as a gauge; a missing value has no series.
func (w writer) known(desc *prometheus.Desc, v sampler.Value, factor float64, labels ...string) {
	if x, ok := v.Known(); ok {
		w.gauge(desc, factor*x, labels...)
	}
}

// total writes v as a counter; a missing value has no series.
func (w writer) total(desc *prometheus.Desc, v sampler.Value, labels ...string) {
	if x, ok := v.Known(); ok {
		w.counter(desc, x, labels...)
	}
}

// histogram writes h with cumulative buckets, as Prometheus has them.
func (w writer) histogram(desc *prometheus.Desc, h sampler.Histogram) {
	buckets := make(map[float64]uint64, len(h.Counts))
	count := uint64(0)
	for i, bound := range sampler.HistogramBounds() {
		count += h.Counts[i]
		buckets[bound.Seconds()] = count
	}
	count += h.Counts[len(h.Counts)-1]
	metric, err := prometheus.NewConstHistogram(desc, count, h.Sum.Seconds(), buckets)
	w.emit(desc, metric, err)
}

func (w writer) send(desc *prometheus.Desc, kind prometheus.ValueType, x float64, labels []string) {
	for i, label := range labels {
		labels[i] = strings.ToValidUTF8(label, "\ufffd") // a driver's string may be anything
	}
	metric, err := prometheus.NewConstMetric(desc, kind, x, labels...)
	w.emit(desc, metric, err)
}

func (w writer) emit(desc *prometheus.Desc, metric prometheus.Metric, err error) {
	if err != nil {
		metric = prometheus.NewInvalidMetric(desc, err)
	}
	w.to <- metric
}

func float(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
