//go:build linux && cgo

package nvidia

import (
	"errors"
	"fmt"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wattmark/sampler"
)

// A GPU that fails is read on as before, for some faults pass by themselves. Beside that its handle is asked for anew,
// and NVML initialised anew, after so long, then after twice as long, and so on.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// byUUID finds a GPU again.
const byUUID = "nvmlDeviceGetHandleByUUID"

// reviving is what a device knows of its failure. The turn guards it.
type reviving struct {
	generation uint64 // of the library's initialisation that the handle is of
	wait       time.Duration
	next       time.Time // when to try; zero: the GPU does not fail
}

// failed takes in the outcome of a read. It reports that it is time to try something.
func (r *reviving) failed(err error) bool {
	code, ok := errors.AsType[Code](err)
	if !ok || code == NotSupported {
		*r = reviving{generation: r.generation}
		return false
	}
	now := time.Now()
	switch {
	case r.next.IsZero():
		r.wait, r.next = firstRetry, now.Add(firstRetry)
	case !now.Before(r.next):
		r.wait = min(2*r.wait, lastRetry)
		r.next = now.Add(r.wait)
		return true
	}
	return false
}

// revive tries to get a failing GPU back. NVML is shut down and initialised anew if it says itself that it is not
// initialised, or if every GPU fails: never under GPUs that work. The caller holds the device's turn.
func (l *Library) revive(d *device, err error) {
	if !l.life.TryLock() {
		return // another GPU is at it
	}
	defer l.life.Unlock()
	code, _ := errors.AsType[Code](err)
	if code == VersionMismatch {
		l.mismatched(err)
		return
	}
	if d.reviving.generation == l.generation.Load() && (l.down() != nil || code == Uninitialized || code == DriverNotLoaded || l.allFailing()) {
		if time.Since(l.tried) < firstRetry/2 {
			return // another GPU has just tried
		}
		l.tried = time.Now()
		if err := l.restart(d); err != nil {
			l.log.Warn("NVML not initialised anew", "err", err, "next_try", d.reviving.wait)
			return
		}
		l.log.Info("NVML initialised anew")
	}
	if err := d.rebind(); err != nil {
		d.log.Warn("GPU not found again", "err", err, "next_try", d.reviving.wait)
	}
}

func (l *Library) mismatched(err error) {
	if l.mismatch != nil {
		l.mismatch(err)
	}
}

// down is why NVML could not be initialised anew; nil: it is initialised.
func (l *Library) down() error {
	if err := l.why.Load(); err != nil {
		return *err
	}
	return nil
}

func (l *Library) allFailing() bool {
	for _, d := range l.all() {
		if !d.failing.Load() {
			return false
		}
	}
	return true
}

// restart shuts NVML down and initialises it anew, with no call of any GPU under way: under one it would crash.
func (l *Library) restart(d *device) error {
	timeout := time.NewTimer(closeTime)
	defer timeout.Stop()
	for _, other := range l.all() {
		if other == d {
			continue
		}
		select {
		case other.turn <- struct{}{}:
			defer func() { <-other.turn }()
		case <-timeout.C:
			return fmt.Errorf("shut NVML down: GPU %d: %w", other.info.Index, ErrBusy)
		}
	}
	if l.probing.Load() > 0 {
		return fmt.Errorf("shut NVML down: %w", ErrBusy)
	}
	if l.down() == nil && l.symbols.has("nvmlShutdown") {
		_ = l.nvml.Shutdown() // it may say that it is not initialised
	}
	if code := Code(l.nvml.Init()); code != 0 {
		err := fmt.Errorf("initialise NVML: %w", code)
		l.why.Store(&err)
		if code == VersionMismatch {
			l.mismatched(err)
		}
		return err
	}
	l.why.Store(nil)
	l.generation.Add(1)
	return nil
}

// rebind finds the GPU's handle in NVML as it is initialised now. Indices may have changed: the identity counts.
func (d *device) rebind() error {
	l := d.library
	generation := l.generation.Load()
	handle, err := l.find(d.info)
	if err != nil {
		return err
	}
	d.handle, d.reviving.generation = handle, generation
	return nil
}

func (l *Library) find(info sampler.Info) (nvml.Device, error) {
	if info.UUID != "" && l.symbols.has(byUUID) {
		handle, ret := l.nvml.DeviceGetHandleByUUID(info.UUID)
		if code := Code(ret); code != 0 {
			return nil, fmt.Errorf("find %s: %w", info.UUID, code)
		}
		return handle, nil
	}
	n, ret := l.nvml.DeviceGetCount()
	if code := Code(ret); code != 0 {
		return nil, fmt.Errorf("count GPUs: %w", code)
	}
	for i := range n {
		handle, ret := l.nvml.DeviceGetHandleByIndex(i)
		if Code(ret) != 0 {
			continue
		}
		found := &device{handle: handle}
		if found.identify(l.symbols) == nil && found.info.UUID == info.UUID && found.info.BusID == info.BusID {
			return handle, nil
		}
	}
	return nil, fmt.Errorf("find GPU %d: %w", info.Index, notFound)
}
