package amd

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"wattmark/sampler"
)

// ErrNoGPU means that this host has no AMD GPU, or shows none to this process.
var ErrNoGPU = errors.New("no AMD GPU")

// Mode says which way to the GPUs to take.
type Mode string

// The modes. The empty one is Auto.
const (
	Auto        Mode = "auto"    // the library; sysfs where it is absent, older than the driver, or does not answer
	LibraryOnly Mode = "library" // libamd_smi or nothing
	SysfsOnly   Mode = "sysfs"   // the kernel's files, without loading anything
)

// Config says where to look.
type Config struct {
	Mode      Mode
	Library   string // path of libamd_smi.so, or of the folder that holds it; empty: look for it
	SysfsRoot string // empty: /sys
	Clock     sampler.Clock
	Host      string
	Logger    *slog.Logger
	// ChildCommand starts this program such that it calls RunChild; nil: itself, with ChildArgument.
	ChildCommand []string

	limits limits
}

// Library is the way to this host's AMD GPUs.
type Library struct {
	config   Config
	log      *slog.Logger
	devices  []*device
	driver   string
	problems []string // of the host
	kfd      topology

	mu       sync.Mutex
	closed   bool
	sessions []*session // the first is everybody's; the others are of one GPU each
}

// Open finds the GPUs and judges their energy counters, which takes half a second. In mode Auto it waits up to 3 s for
// a library that does not start, and goes on with sysfs; without sysfs, or in mode LibraryOnly, up to 10 s.
//
// It fails with ErrNoGPU where there is none (also if the driver is not loaded), with ErrNoLibrary if that was all that
// was asked for, and with a StatusError if the library refuses to start.
func Open(config Config) (*Library, error) {
	config.Mode = cmp.Or(config.Mode, Auto)
	config.SysfsRoot = cmp.Or(config.SysfsRoot, "/sys")
	config.limits = cmp.Or(config.limits, defaultLimits())
	if config.ChildCommand == nil {
		config.ChildCommand = ownCommand()
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Library{config: config, log: config.Logger.With("vendor", "amd")}
	l.kfd, l.driver = readTopology(config.SysfsRoot), driver(config.SysfsRoot)
	cards, left := findCards(config.SysfsRoot, config.limits.file)
	l.problems = left

	var inv inventory
	why := fmt.Errorf("%w: this build cannot load it", ErrNoLibrary)
	if config.Mode != SysfsOnly && haveLibrary {
		inv, why = l.start(len(cards) > 0)
	}
	if config.Mode == LibraryOnly && why != nil {
		l.Close()
		return nil, fmt.Errorf("amd: %w", why)
	}
	if config.Mode != SysfsOnly && why != nil && len(cards) > 0 {
		l.problems = append(l.problems, fmt.Sprintf("%v; the GPUs are read from sysfs", why))
	}
	if why == nil {
		l.fromInventory(inv, cards)
	} else {
		l.fromCards(cards)
	}
	if len(l.devices) == 0 {
		l.Close()
		nowhere := fmt.Sprintf("none in %s/class/drm", config.SysfsRoot)
		switch {
		case config.Mode == SysfsOnly:
			return nil, fmt.Errorf("amd: %w: %s", ErrNoGPU, nowhere)
		case errors.Is(why, ErrNoLibrary):
			return nil, fmt.Errorf("amd: %w: %s; %w", ErrNoGPU, nowhere, why)
		}
		return nil, fmt.Errorf("amd: %w; %s", why, nowhere)
	}
	l.probe()
	return l, nil
}

// start starts the library and waits for what it says.
func (l *Library) start(beside bool) (inventory, error) {
	names := libraries(l.config.Library, os.Getenv, "/opt")
	s := &session{
		command: l.config.ChildCommand, libraries: names, first: true, limits: l.config.limits, log: l.log, blame: l.isolate,
	}
	s.start()
	l.sessions = append(l.sessions, s)
	limit := l.config.limits.start + l.config.limits.close
	if beside && l.config.Mode == Auto {
		limit = l.config.limits.startBeside
	}
	s.waitSettled(limit)
	return s.state()
}

// isolate gives a GPU its own child, after its read hung or killed the one it shared with the others. It does that
// once: what it then does to its own child is nobody else's business.
func (l *Library) isolate(bdf uint64, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.devices {
		if d.bdf != bdf || d.session.Load() != l.sessions[0] || len(l.devices) == 1 || l.closed {
			continue
		}
		l.log.Warn("GPU gets a process of its own", "gpu", d.info.Index, "bus_id", d.info.BusID, "err", why)
		own := &session{
			command: l.config.ChildCommand, libraries: l.sessions[0].libraries, limits: l.config.limits,
			log: l.log.With("gpu", d.info.Index), blame: func(uint64, error) {},
		}
		own.start()
		l.sessions = append(l.sessions, own)
		d.session.Store(own)
	}
}

// Devices returns the GPUs, each a whole socket, ordered as amd-smi lists them.
func (l *Library) Devices() []sampler.Device {
	devices := make([]sampler.Device, len(l.devices))
	for i, d := range l.devices {
		devices[i] = d
	}
	return devices
}

// Close shuts the library down and ends its processes. It does not wait for calls that hang: half a second at most.
func (l *Library) Close() {
	l.mu.Lock()
	l.closed = true
	sessions := l.sessions
	l.mu.Unlock()
	var wait sync.WaitGroup
	for _, s := range sessions {
		wait.Go(s.close)
	}
	wait.Wait()
}

// probe reads every GPU twice, half a second apart, so that its energy counter is judged before the first reading. It
// does not wait for a GPU that does not answer: that one is judged when it does.
func (l *Library) probe() {
	deadline := time.NewTimer(l.config.limits.probe + l.config.limits.probe/5)
	defer deadline.Stop()
	done := make(chan struct{})
	var wait sync.WaitGroup
	for _, d := range l.devices {
		wait.Go(func() {
			first, err := d.Read()
			if err != nil {
				return
			}
			next := l.config.Clock.Now().Sub(first.At)
			time.Sleep(l.config.limits.probe - next)
			_, _ = d.Read() // its verdict is what counts
		})
	}
	go func() {
		wait.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-deadline.C:
	}
	for _, d := range l.devices {
		d.settle()
	}
}
