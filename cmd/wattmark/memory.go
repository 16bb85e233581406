package main

import (
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"wattmark/sampler"
)

// What the daemon needs beside its readings, measured by bench/memory.
const (
	// outsideGo is what Go knows nothing of: the program's own pages and the driver library's, sockets, the kernel's tables.
	outsideGo = 16e6
	// besideReadings is what Go needs beside the readings: 5 MB to run, answers of ended windows, connections, garbage.
	besideReadings = 14e6
)

// memory is what this process may use.
type memory struct {
	limit    int64 // bytes; 0: none is known
	readings int64 // of it for readings; 0: as much as they take
	log      *slog.Logger

	mu   sync.Mutex
	said time.Duration // what the log was told last
}

// limitMemory finds the limit of this process' control groups, and has Go's garbage collector keep to it; a GOMEMLIMIT of
// the environment stands. Where /proc or /sys are not mounted only the latter is known.
func limitMemory(log *slog.Logger) *memory {
	m := &memory{log: log}
	if limit, err := memlimit.FromCgroup(); err == nil && limit < math.MaxInt64 {
		m.limit = int64(limit)
	} else {
		log.Debug("no memory limit found", "err", err)
	}
	told := debug.SetMemoryLimit(-1) // MaxInt64: the environment says nothing
	if m.limit == 0 && told == math.MaxInt64 {
		return m
	}
	heap := told
	if m.limit > 0 {
		heap = min(heap, max(m.limit-outsideGo, m.limit/2))
	} else {
		m.limit = told + outsideGo
	}
	if told == math.MaxInt64 {
		debug.SetMemoryLimit(heap)
	}
	m.readings = max(heap-besideReadings, 1)
	log.Debug("memory limit", "limit_mb", inMB(m.limit), "heap_mb", inMB(debug.SetMemoryLimit(-1)), "readings_mb", inMB(m.readings))
	return m
}

// forReadings is how many bytes readings may take; 0: no bound.
func (m *memory) forReadings() int64 {
	if m == nil {
		return 0
	}
	return m.readings
}

// forAggregate is how large an aggregate may be, which is held twice, in bytes; 0: no bound.
func (m *memory) forAggregate() int64 {
	if m == nil || m.readings == 0 {
		return 0
	}
	return max(m.readings/8, 1<<20)
}

const mb = 1e6

func inMB(bytes int64) int64 { return (bytes + mb/2) / mb }

// short reports for how long readings stay in memory, where it is less than what was asked for.
func (m *memory) short(samples *sampler.Sampler) (kept, asked time.Duration, short bool) {
	kept, asked = samples.Retention(), samples.Asked()
	whole := kept+samples.Interval() > asked // as many readings as fit into that time
	return kept.Round(time.Second), asked, m != nil && m.readings > 0 && !whole
}

// say warns where readings stay in memory for less time than was asked for, once for each length of it.
func (m *memory) say(samples *sampler.Sampler) {
	kept, asked, short := m.short(samples)
	if !short {
		return
	}
	m.mu.Lock()
	said := m.said == kept
	m.said = kept
	m.mu.Unlock()
	if !said {
		m.log.Warn("memory limit: readings stay in memory for less time than asked for", "asked", asked, "kept", kept,
			"limit_mb", inMB(m.limit), "needed_mb", m.needed(samples),
			"hint", "windows longer than that cannot be measured: raise the memory limit or the interval, or ask for less")
	}
}

// needed is the limit, in MB, under which nothing would be shortened.
func (m *memory) needed(samples *sampler.Sampler) int64 {
	return (samples.Needs() + outsideGo + besideReadings + mb - 1) / mb
}

// problem is what say warns of, as /v1/gpus shows it; empty: nothing.
func (m *memory) problem(samples *sampler.Sampler) string {
	kept, asked, short := m.short(samples)
	if !short {
		return ""
	}
	return fmt.Sprintf("the memory limit of %d MB lets readings stay for %v, not %v: longer windows cannot be measured; %d MB would do",
		inMB(m.limit), kept, asked, m.needed(samples))
}
