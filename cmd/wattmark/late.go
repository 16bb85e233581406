package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"wattmark/api"
	"wattmark/sampler"
	"wattmark/state"
)

// GPUs that are not there are looked for after so long, then after twice as long, and so on.
const (
	firstLook = time.Second
	lastLook  = time.Minute
	lookTime  = 2 * time.Second // that one look waits for an answer
)

// seeker has the backend of now, and looks for GPUs that were not there at the start: a driver that is installed or
// loaded later, a GPU that came back.
type seeker struct {
	flags   backendFlags
	clock   sampler.Clock
	samples *sampler.Sampler
	store   *state.Store // nil: nothing is recorded
	log     *slog.Logger
	memory  *memory // nil: no bound

	mu   sync.Mutex
	now  backend
	ours bool // the backend was found by the seeker, which closes it
}

func (s *seeker) current() backend {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// state is the backend as the API shows it, with the recording's and the memory's problems where they have one.
func (s *seeker) state() api.Backend {
	state := s.current().now()
	if problem := s.memory.problem(s.samples); problem != "" {
		state.Problems = slices.Concat(state.Problems, []string{problem})
	}
	if s.store != nil {
		if problem := s.store.Problem(); problem != "" {
			state.Problems = slices.Concat(state.Problems, []string{problem})
		}
	}
	return state
}

// visible says which GPUs 'visible' means.
func (s *seeker) visible() ([]string, error) {
	now := s.current()
	if now.visible == nil {
		return nil, errors.New("no environment says which")
	}
	return now.visible()
}

// waiting reports that GPUs, or the driver's library, have not answered yet.
func (s *seeker) waiting() bool { return len(s.current().pending()) > 0 }

// up reports that the backend has GPUs, as /metrics shows it.
func (s *seeker) up() (name string, up bool) {
	now := s.current()
	return now.Name, len(now.devices) > 0
}

// start looks until stop is called, which does not wait for a driver that hangs.
func (s *seeker) start(ctx context.Context) (stop func()) {
	looking, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.run(looking)
	}()
	return func() {
		cancel()
		select {
		case <-ended:
			s.close()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// run looks until all GPUs are there or ctx ends.
func (s *seeker) run(ctx context.Context) {
	for wait := firstLook; s.missing(); wait = min(2*wait, lastLook) {
		if s.current().opening == nil { // else the look waits
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
		if ctx.Err() != nil {
			return
		}
		if s.look(ctx) || s.waiting() { // to wait for an answer costs the driver nothing
			wait = firstLook / 2
		}
	}
}

// missing reports that GPUs may still come.
func (s *seeker) missing() bool {
	now := s.current()
	if now.opening == nil && len(now.devices) > 0 {
		return now.late != nil && !now.complete()
	}
	return s.flags.Backend != "none" && s.flags.Backend != "sim"
}

// look looks once, and reports that it found some.
func (s *seeker) look(ctx context.Context) bool {
	switch now := s.current(); {
	case now.opening != nil:
		return now.opening.within(ctx, lookTime) && s.take(ctx, now.opening.found, now.opening.err)
	case len(now.devices)+len(now.pending()) > 0:
		return s.more(now)
	}
	s.current().close() // a library that has come to show no GPU
	found, err := s.flags.openSoon(ctx, lookTime, s.clock, s.log)
	return s.take(ctx, found, err)
}

// more takes in GPUs that a library shows now. Until they are sampled they are missing, so that no window begins without
// them in between.
func (s *seeker) more(now backend) bool {
	held, pending := now, now.pending()
	held.awaited = func() []awaited { return pending }
	s.set(held, s.ours)
	devices, more := now.late()
	if !more {
		now.late = nil
	}
	devices = chosen(devices, now.names)
	now.devices = slices.Concat(now.devices, devices)
	s.add(devices)
	s.set(now, s.ours)
	return len(devices) > 0
}

// take has a backend that was found take the place of the one without GPUs, and reports that it has some.
func (s *seeker) take(ctx context.Context, found backend, err error) bool {
	now := s.current()
	if err != nil { // --gpus names one that is not there yet
		found.Problems = append(found.Problems, err.Error())
	}
	if len(found.devices)+len(found.pending()) == 0 || err != nil || ctx.Err() != nil {
		found.close()
		s.set(backend{Backend: api.Backend{Name: now.Name, Problems: found.Problems}, close: now.close}, false)
		return false
	}
	s.add(found.devices) // before the one that says what is missing goes
	s.set(found, true)
	if len(found.devices) == 0 {
		return false
	}
	s.log.Info("GPUs found", "backend", found.Name, "gpus", len(found.devices))
	return true
}

func (s *seeker) set(b backend, ours bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.ours = b, ours
}

// add has the GPUs sampled and recorded, and what earlier daemons read of them in memory.
func (s *seeker) add(devices []sampler.Device) {
	if len(devices) == 0 {
		return
	}
	var ids []string
	for _, device := range devices {
		info := device.Info()
		ids = append(ids, info.ID())
		if s.store != nil {
			s.store.Know(info)
		}
		s.log.Info("GPU found", "gpu", info.Index, "uuid", info.UUID)
	}
	s.samples.Add(devices...)
	s.memory.say(s.samples)
	if s.store != nil {
		s.samples.Restore(s.store.Earlier(s.samples.Now().Add(-s.samples.Retention())), ids...)
	}
}

// close lets go of a backend that was found late.
func (s *seeker) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ours {
		s.now.close()
	}
}

// chosen are the devices that one of the names means; all of them if there are none.
func chosen(devices []sampler.Device, names []string) (kept []sampler.Device) {
	for _, device := range devices {
		info := []sampler.Info{device.Info()}
		means := func(name string) bool {
			_, err := sampler.Choose(info, []string{name})
			return err == nil
		}
		if len(names) == 0 || slices.ContainsFunc(names, means) {
			kept = append(kept, device)
		}
	}
	return kept
}
