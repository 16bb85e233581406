package metrics

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// processCollector writes the usual metrics of this process. client_golang's own collector took half of a scrape: it
// reads and parses six files of /proc, among them the host's interrupts for the start time at every scrape.
type processCollector struct {
	started time.Time

	cpu, resident, virtual, openFiles, maxFiles, start *prometheus.Desc
}

func newProcessCollector() *processCollector {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc("process_"+name, help, nil, nil) }
	return &processCollector{
		started:   time.Now(),
		cpu:       desc("cpu_seconds_total", "CPU time of this process, user and system."),
		resident:  desc("resident_memory_bytes", "Resident memory of this process."),
		virtual:   desc("virtual_memory_bytes", "Virtual memory of this process."),
		openFiles: desc("open_fds", "Open file descriptors of this process."),
		maxFiles:  desc("max_fds", "File descriptors that this process may have open."),
		start:     desc("start_time_seconds", "Unix time at which this process started."),
	}
}

// Describe lists the metrics.
func (c *processCollector) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.cpu, c.resident, c.virtual, c.openFiles, c.maxFiles, c.start} {
		to <- desc
	}
}

// Collect writes what the system tells; off Linux that is less.
func (c *processCollector) Collect(to chan<- prometheus.Metric) {
	out := writer{to}
	out.gauge(c.start, float64(c.started.UnixMilli())/1e3)
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		out.counter(c.cpu, float64(used.Utime.Nano()+used.Stime.Nano())/1e9)
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		out.gauge(c.maxFiles, float64(limit.Cur))
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		out.gauge(c.openFiles, float64(len(open)-1)) // one is that of the folder itself
	}
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return
	}
	for i, field := range strings.Fields(string(text)) {
		pages, err := strconv.ParseFloat(field, 64)
		switch {
		case err != nil || i > 1:
			return
		case i == 0:
			out.gauge(c.virtual, pages*float64(os.Getpagesize()))
		default:
			out.gauge(c.resident, pages*float64(os.Getpagesize()))
		}
	}
}
