package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"wattmark/api"
	"wattmark/sampler"
)

// A driver's first calls may take seconds, for they wake GPUs up, or never come back. The daemon opens HTTP without what
// has not answered by then; the seeker takes it in when it does.
const (
	gpuPatience     = time.Second     // for the GPUs of a library that has come up
	libraryPatience = 2 * time.Second // for all together
	// wakingTime is how long a GPU counts as one that wakes up, without which no window begins; from then on its driver
	// hangs.
	wakingTime = 20 * time.Second
)

// awaited is something of the driver that has been asked and has not answered.
type awaited struct {
	text  string
	since time.Time
}

// opening is a backend that is being opened.
type opening struct {
	since time.Time
	done  chan struct{} // closed when the rest is there
	found backend
	err   error
}

// openSoon opens the backend. What takes longer than patience goes on meanwhile: the backend has no GPUs, then, and
// knows what it waits for.
func (f backendFlags) openSoon(ctx context.Context, patience time.Duration, clock sampler.Clock, log *slog.Logger) (backend, error) {
	o := &opening{since: time.Now(), done: make(chan struct{})}
	go func() {
		defer close(o.done)
		o.found, o.err = f.open(clock, log)
	}()
	if o.within(ctx, patience) {
		return o.found, o.err
	}
	return backend{Backend: api.Backend{Name: "none", Problems: []string{}}, opening: o, close: func() {}}, nil
}

// within waits for the backend, and reports that it is open.
func (o *opening) within(ctx context.Context, patience time.Duration) bool {
	select {
	case <-o.done:
		return true
	case <-ctx.Done():
	case <-time.After(patience):
	}
	return false
}

// awaited is the library, until the seeker has taken in what came of it.
func (o *opening) awaited() awaited {
	text := fmt.Sprintf("the driver's library has not come up for %.1f s: it wakes GPUs up, or a driver call hangs", time.Since(o.since).Seconds())
	return awaited{text, o.since}
}

// pending is what was asked and has not answered.
func (b backend) pending() []awaited {
	switch {
	case b.opening != nil:
		return []awaited{b.opening.awaited()}
	case b.awaited != nil && !b.complete():
		return b.awaited()
	}
	return nil
}

// complete reports that every GPU that was named is there: what else may come is not wanted.
func (b backend) complete() bool {
	return len(b.names) > 0 && len(b.unknown()) == 0
}

// unknown says which names mean no GPU.
func (b backend) unknown() (problems []string) {
	infos := infosOf(b.devices)
	for _, name := range b.names {
		if _, err := sampler.Choose(infos, []string{name}); err != nil {
			problems = append(problems, fmt.Sprintf("--gpus: %v", err))
		}
	}
	return problems
}

func infosOf(devices []sampler.Device) []sampler.Info {
	infos := make([]sampler.Info, len(devices))
	for i, device := range devices {
		infos[i] = device.Info()
	}
	return infos
}
