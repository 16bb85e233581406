// Package dcgm shows GPUs to programs that read NVIDIA's dcgm-exporter: under its names, in its units, with its labels.
//
// A scrape reads the GPUs, unless that was done less than 100 ms ago: such programs take what they are given for the
// power at the moment at which they asked. Which metrics there are is settled by the first scrape, for some of them
// cannot bear that one appears later. The text format is the only one: under OpenMetrics the energy counter would have
// another name. No metric of another name is ever among them, for AIPerf takes the first line with a label gpu for a
// description of that GPU.
package dcgm

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"wattmark/sampler"
)

// Names is whose names and units are shown.
type Names string

// The names.
const (
	Legacy  Names = "legacy"  // of dcgm-exporter up to 4.8: what programs read today
	Current Names = "current" // of dcgm-exporter 4.9 (DCGM 4.7), in base units
	Both    Names = "both"
)

const (
	// readEvery is how far apart two reads for scrapes are at least, and how old a reading may be without one.
	readEvery = 100 * time.Millisecond
	// readWait is how long a scrape waits for GPUs. One whose driver call has run for half of that already is not waited
	// for.
	readWait = 250 * time.Millisecond
	// shownFor is for how long a GPU that does not answer is shown as it was: its power would be taken for that of now.
	shownFor = time.Second
	// inFlight is how many scrapes are answered at once.
	inFlight = 16
)

// Handler answers scrapes. Make it with New.
type Handler struct {
	sampler *sampler.Sampler
	names   Names
	slots   chan struct{}
	fresh   fresh

	mu     sync.Mutex
	shown  []field           // settled by the first scrape; nil: not yet
	energy map[string]counts // by Info.ID()
}

// New returns the handler of /metrics.
func New(s *sampler.Sampler, names Names) *Handler {
	return &Handler{sampler: s, names: names, slots: make(chan struct{}, inFlight), energy: map[string]counts{}}
}

// ServeHTTP answers GET and HEAD of /metrics.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	say := func(status int, text string) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte("# " + text + "\n"))
	}
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header.Set("Allow", "GET, HEAD")
		say(http.StatusMethodNotAllowed, "GET /metrics")
		return
	case r.URL.Path == "/":
		say(http.StatusOK, "wattmark: GPUs under the names of dcgm-exporter are at /metrics")
		return
	case r.URL.Path != "/metrics":
		say(http.StatusNotFound, "there is /metrics only")
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		header.Set("Retry-After", "1")
		say(http.StatusServiceUnavailable, "too many scrapes at once")
		return
	}
	h.fresh.refresh(h.sampler)
	text := h.text()
	if text == nil {
		say(http.StatusServiceUnavailable, "no GPU has been read yet")
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text) // nothing for HEAD
}

// fresh sees to it that readings are not old: one scrape reads, the others wait for it.
type fresh struct {
	mu      sync.Mutex
	began   time.Time     // when the last read for a scrape began
	running chan struct{} // closes when it has ended; nil: none runs
}

// refresh returns when all GPUs have been read within the last 100 ms, or will not be in time.
func (f *fresh) refresh(s *sampler.Sampler) {
	f.mu.Lock()
	running := f.running
	switch {
	case running != nil:
		f.mu.Unlock()
		<-running
		return
	case time.Since(f.began) < readEvery || !stale(s):
		f.mu.Unlock()
		return
	}
	running = make(chan struct{})
	f.began, f.running = time.Now(), running
	f.mu.Unlock()

	// All GPUs, also those just read on the schedule: for the next 100 ms all are then known to be fresh.
	ctx, cancel := context.WithTimeout(context.Background(), readWait) // of all who wait, not of this scrape alone
	s.Refresh(ctx, readWait/2)
	cancel()
	f.mu.Lock()
	f.running = nil
	f.mu.Unlock()
	close(running)
}

// stale reports that a GPU was not read within the last 100 ms.
func stale(s *sampler.Sampler) bool {
	now := s.Now()
	for _, status := range s.Latest() {
		if status.Latest.At == (sampler.Moment{}) || now.Sub(status.Latest.At) >= readEvery {
			return true
		}
	}
	return false
}
