//go:build linux && cgo

package nvidia

import (
	"fmt"
	"slices"
	"time"

	"wattmark/sampler"
)

// lateTime is how long Late waits for the GPUs that it asks again.
const lateTime = 2 * time.Second

// probed is what a probe found.
type probed struct {
	device *device
	err    error
}

// asking is a probe that was begun.
type asking struct {
	answer chan probed
	since  time.Time // when it was first asked
	failed bool      // it has come back, without a GPU
}

// begin probes the GPU of an index.
func (l *Library) begin(index int) {
	answer, since := make(chan probed, 1), time.Now()
	if before := l.probes[index]; before != nil { // a GPU whose calls fail after a while does not wake up each time
		since = before.since
	}
	l.probes[index] = &asking{answer: answer, since: since}
	l.probing.Add(1)
	go func() {
		device, err := l.probe(index, l.config)
		l.probing.Add(-1)
		answer <- probed{device, err}
	}()
}

// collect takes what the probes find within patience. It returns why GPUs are not there that have answered.
func (l *Library) collect(patience time.Duration) (failed []error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	devices, left, awaited := l.all(), []string(nil), []Awaited(nil)
	for i, probe := range l.probes {
		if probe == nil {
			continue
		}
		var got probed
		select {
		case got = <-probe.answer:
			probe.failed = got.err != nil
		case <-timeout.C:
			timeout.Reset(0) // for the rest: only those that have answered already
			select {
			case got = <-probe.answer:
				probe.failed = got.err != nil
			default:
				awaited = append(awaited, Awaited{i, probe.since})
			}
		}
		switch {
		case got.device != nil:
			l.probes[i] = nil
			devices = append(slices.Clone(devices), got.device)
		case got.err != nil:
			err := fmt.Errorf("GPU %d: %w", i, got.err)
			failed = append(failed, err)
			left = append(left, withHint(err))
		}
	}
	slices.SortFunc(devices, func(a, b *device) int { return a.info.Index - b.info.Index })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.devices, l.left, l.awaited = devices, left, awaited
	return failed
}

func (l *Library) all() []*device {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.devices
}

// Late asks again for the GPUs that Open left out, and returns those that are there now; more: some are still missing.
// It waits for a driver call that hangs no longer than 2 s, and never makes a second one beside it. One caller at a time.
func (l *Library) Late() (found []sampler.Device, more bool) {
	before := l.all()
	if l.closed.Load() || l.down() != nil {
		return nil, true
	}
	l.life.Lock()
	defer l.life.Unlock()
	for i, probe := range l.probes {
		if probe != nil && probe.failed {
			l.begin(i)
		}
	}
	failed := l.collect(lateTime)
	for _, d := range l.all() {
		if !slices.Contains(before, d) {
			found = append(found, d)
		}
	}
	return found, len(failed)+len(l.Awaited()) > 0
}
