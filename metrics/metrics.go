// Package metrics shows the sampler's memory to Prometheus.
//
// Nothing is asked of a driver at a scrape: a [Metrics] only writes down what the sampler read last. What is not known
// has no series; a GPU whose last reading is old has no power, temperature, clock or utilisation. No window, run or
// file name is ever a label, so the number of series depends on the number of GPUs alone.
package metrics

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"wattmark/sampler"
)

// Options are where the numbers come from. The functions are called at every scrape, from several goroutines, and must
// answer from memory.
type Options struct {
	Version     string                                     // of wattmark
	Interval    time.Duration                              // between readings
	Retention   func() time.Duration                       // how long they stay in memory; nil: not shown
	Now         func() sampler.Moment                      // on the clock that stamps the readings; required
	Latest      func(to []sampler.Status) []sampler.Status // adds the state of each GPU; required
	Dropped     func() uint64                              // rows that the recording lost; nil: nothing is recorded
	OpenWindows func() int                                 // nil: no wattmark_windows_open
	Backend     func() (name string, up bool)              // nil: no wattmark_backend_up
	Logger      *slog.Logger                               // for scrapes that fail; nil: not logged
}

// Metrics is the handler of /metrics.
type Metrics struct {
	catalogue

	handler  *handler
	windows  *windows
	requests *requests
}

// New returns the metrics of wattmark, of the Go runtime, of the process and of the handler itself.
func New(o Options) *Metrics {
	m := &Metrics{catalogue: catalogue{counted: prometheus.NewRegistry()}}
	m.windows, m.requests = newWindows(&m.catalogue), newRequests(&m.catalogue)
	m.tellers(newReadings(&m.catalogue, o), newGoRuntime(&m.catalogue), newProcess(&m.catalogue), m.windows, m.requests)
	m.handler = newHandler(&m.catalogue, errorLog(o.Logger))
	return m
}

// ServeHTTP answers a scrape in the Prometheus text format, or in OpenMetrics where the scraper prefers it.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

func errorLog(logger *slog.Logger) promhttp.Logger {
	if logger == nil {
		return nil
	}
	return slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
}
