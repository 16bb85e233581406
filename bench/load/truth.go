//go:build linux

package main

import (
	"fmt"
	"math"
	"sync"

	"wattmark/bench/daemon"
	"wattmark/sampler"
)

// held compares windows of many marks a second with the truth, GPU by GPU.
type held struct {
	truth func(gpu int, start, end sampler.Moment) float64

	mu      sync.Mutex
	gpus    int
	outside int     // whose truth is farther from the energy than the bound
	worst   float64 // in bounds
	invalid int     // windows with a reason against them
}

func (h *held) add(a daemon.Answer) {
	const digits = 0.002 // J: the counter's, at both edges
	h.mu.Lock()
	defer h.mu.Unlock()
	if !a.Valid {
		h.invalid++
	}
	for _, gpu := range a.GPUs {
		h.gpus++
		if gpu.Energy == nil || gpu.Bound == nil {
			h.outside++
			continue
		}
		off := math.Abs(*gpu.Energy-h.truth(gpu.Index, a.Start, a.End)) - digits
		h.worst = max(h.worst, off / *gpu.Bound)
		if off > *gpu.Bound {
			h.outside++
		}
	}
}

func (h *held) String() string {
	return fmt.Sprintf("%d GPU windows, truth outside the bound in %.2f %%, worst %.2f bounds; %d windows invalid",
		h.gpus, 100*float64(h.outside)/float64(max(1, h.gpus)), h.worst, h.invalid)
}
