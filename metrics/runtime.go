package metrics

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

// runtimeCollector shows of the Go runtime what an operator looks at, under the names of client_golang's collector. That
// one has some 30 series more, of the heap and of pauses.
type runtimeCollector struct{ goroutines, threads, processors, info *prometheus.Desc }

func newRuntimeCollector() runtimeCollector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("go_"+name, help, nil, nil)
	}
	return runtimeCollector{
		goroutines: desc("goroutines", "Goroutines of this process: they grow where driver calls hang."),
		processors: desc("sched_gomaxprocs_threads", "Processors that this process uses at a time."),
		threads:    desc("threads", "Threads of the operating system that were created."),
		info:       prometheus.NewDesc("go_info", "The version of Go.", nil, prometheus.Labels{"version": runtime.Version()}),
	}
}

// Describe lists the metrics.
func (c runtimeCollector) Describe(to chan<- *prometheus.Desc) {
	to <- c.goroutines
	to <- c.threads
	to <- c.processors
	to <- c.info
}

// Collect writes the metrics.
func (c runtimeCollector) Collect(to chan<- prometheus.Metric) {
	out := writer{to}
	out.gauge(c.goroutines, float64(runtime.NumGoroutine()))
	threads, _ := runtime.ThreadCreateProfile(nil)
	out.gauge(c.threads, float64(threads))
	out.gauge(c.processors, float64(runtime.GOMAXPROCS(0)))
	out.gauge(c.info, 1)
}
