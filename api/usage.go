package api

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"wattmark/sampler"
	"wattmark/window"
)

// usage is what this process has cost so far.
type usage struct {
	cpu    sampler.Value // seconds of CPU
	missed uint64        // ticks of the GPUs' schedules
}

// begun keeps what the daemon had cost when each open window began. The zero value is empty.
type begun struct {
	mu   sync.Mutex
	byID map[string]usage
}

func (b *begun) put(id string, u usage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byID == nil {
		b.byID = map[string]usage{}
	}
	b.byID[id] = u
}

func (b *begun) get(id string) (usage, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u, ok := b.byID[id]
	return u, ok
}

func (b *begun) drop(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byID, id)
}

func (s *Server) usage(ids []string) usage {
	u := usage{cpu: cpuSeconds()}
	for _, status := range s.config.Sampler.Latest() {
		for _, id := range ids {
			if status.Info.ID() == id {
				u.missed += status.Missed
			}
		}
	}
	return u
}

// costSince is what measuring has cost since the window of this id began.
func (s *Server) costSince(id string, ids []string) window.Cost {
	now := s.usage(ids)
	cost := window.Cost{RSSBytes: residentBytes()}
	before, ok := s.begun.get(id)
	if !ok {
		return cost
	}
	cost.MissedTicks = sampler.Some(float64(now.missed - before.missed))
	if from, ok := before.cpu.Known(); ok {
		if to, ok := now.cpu.Known(); ok {
			cost.CPUSeconds = sampler.Some(to - from)
		}
	}
	return cost
}

// cpuSeconds is the CPU time of this process, user and system.
func cpuSeconds() sampler.Value {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return sampler.Value{}
	}
	return sampler.Some(float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9)
}

// residentBytes is the resident memory of this process; missing off Linux.
func residentBytes() sampler.Value {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return sampler.Value{}
	}
	parts := strings.Fields(string(text))
	if len(parts) < 2 {
		return sampler.Value{}
	}
	pages, err := strconv.ParseFloat(parts[1], 64)
	if err != nil {
		return sampler.Value{}
	}
	return sampler.Some(pages * float64(os.Getpagesize()))
}
