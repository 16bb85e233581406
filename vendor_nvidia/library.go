//go:build linux && cgo

package nvidia

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wattmark/sampler"
)

const (
	defaultLibrary = "libnvidia-ml.so.1"
	// probeTime is Config.Patience where none is given.
	probeTime = 20 * time.Second
	// closeTime is how long Close waits for the calls that run.
	closeTime = 200 * time.Millisecond
)

// Library is NVML, initialised, and the GPUs it shows.
type Library struct {
	nvml     nvml.Interface
	symbols  symbols
	log      *slog.Logger
	config   Config
	driver   string
	version  string
	path     string
	problems []string
	closed   *atomic.Bool
	mismatch func(error) // of library and kernel driver; nil: nobody wants to know

	life       sync.Mutex            // held by the one that initialises NVML anew
	tried      time.Time             // when that was tried last; life guards it
	generation atomic.Uint64         // of the initialisation
	why        atomic.Pointer[error] // NVML could not be initialised anew; nil: it is

	probing atomic.Int32 // GPUs whose probe has not come back

	mu      sync.Mutex
	devices []*device // replaced, never changed
	left    []string  // problems of the GPUs that are not there
	awaited []Awaited // GPUs whose probe had not come back when it was last looked for
	probes  []*asking // by index; nil: that GPU was found. Of Open and Late alone
}

// Open loads and initialises NVML and finds the GPUs. One that cannot be used is left out and named in Problems, one
// that does not answer in time in Awaited. If that leaves none of either, the error wraps ErrNoGPU and the reasons.
// Other errors wrap a Code: LibraryNotFound, DriverNotLoaded, VersionMismatch, NoPermission, Unknown; Hint has words
// for them. After an error Open can be called again; only VersionMismatch needs a new process.
// All calls of Open in a process must name the same library. NVML's own initialisation has no time limit.
func Open(config Config) (*Library, error) {
	if config.Library == "" {
		config.Library = defaultLibrary
	}
	if err := canOpen(config.Library); err != nil {
		return nil, err
	}
	return open(nvml.New(nvml.WithLibraryPath(config.Library)), config)
}

func open(api nvml.Interface, config Config) (*Library, error) {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	// A failed Init leaves the library loaded; that costs nothing, and Shutdown could not unload it.
	if code := Code(api.Init()); code != 0 {
		return nil, fmt.Errorf("initialise NVML: %w", code)
	}
	l := &Library{
		nvml: api, log: config.Logger, path: loadedPath(config.Library), closed: new(atomic.Bool), mismatch: config.Mismatch,
	}
	var missing []string
	if l.symbols, missing = findSymbols(api.Extensions()); len(missing) > 0 {
		l.problems = append(l.problems, "the driver's library lacks "+strings.Join(missing, ", ")+
			": what they would tell is missing; install a newer driver")
	}
	if l.symbols.has("nvmlSystemGetDriverVersion") {
		l.driver, _ = api.SystemGetDriverVersion() // "" where it fails
	}
	if l.symbols.has("nvmlSystemGetNVMLVersion") {
		l.version, _ = api.SystemGetNVMLVersion()
	}
	if err := l.findDevices(config); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// findDevices probes all GPUs at once, so that one that hangs does not keep the others.
func (l *Library) findDevices(config Config) error {
	if !l.symbols.has("nvmlDeviceGetCount") || !l.symbols.has("nvmlDeviceGetHandleByIndex") {
		return fmt.Errorf("count GPUs: %w", FunctionNotFound)
	}
	n, ret := l.nvml.DeviceGetCount()
	if code := Code(ret); code != 0 {
		return fmt.Errorf("count GPUs: %w", code)
	}
	l.config, l.probes = config, make([]*asking, n)
	for i := range l.probes {
		l.begin(i)
	}
	failed := l.collect(cmp.Or(config.Patience, probeTime))
	if len(l.all())+len(l.Awaited()) > 0 {
		return nil
	}
	if len(failed) == 0 {
		return ErrNoGPU
	}
	return fmt.Errorf("%w that can be used: %w", ErrNoGPU, errors.Join(failed...))
}

func withHint(err error) string {
	if hint := Hint(err); hint != "" {
		return err.Error() + ": " + hint
	}
	return err.Error()
}

// Devices returns the GPUs in the order of NVML's index. A Read of one never waits for another.
func (l *Library) Devices() []sampler.Device {
	var devices []sampler.Device
	for _, device := range l.all() {
		devices = append(devices, device)
	}
	return devices
}

// Driver returns the version of the kernel's driver, as nvidia-smi prints it.
func (l *Library) Driver() string { return l.driver }

// Version returns the version of the library.
func (l *Library) Version() string { return l.version }

// Path returns the file that was loaded; "" if that is not known.
func (l *Library) Path() string { return l.path }

// Problems returns what is wrong beside the GPUs in Devices (those have their own, in Info) and in Awaited, each with
// what to do.
func (l *Library) Problems() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Concat(l.problems, l.left)
}

// Awaited returns the GPUs that have not answered yet: a driver call hangs, or wakes them up.
func (l *Library) Awaited() []Awaited {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.awaited)
}

// Close ends the use of NVML; reads fail from then on. With a driver call that does not come back it leaves NVML as it
// is and returns ErrBusy: to shut it down under a running call would crash.
func (l *Library) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	timeout := time.NewTimer(closeTime)
	defer timeout.Stop()
	for _, device := range l.all() {
		select {
		case device.turn <- struct{}{}:
			<-device.turn
		case <-timeout.C:
			return fmt.Errorf("close NVML: GPU %d: %w", device.info.Index, ErrBusy)
		}
	}
	if l.probing.Load() > 0 {
		return fmt.Errorf("close NVML: %w", ErrBusy)
	}
	if l.down() != nil || !l.symbols.has("nvmlShutdown") {
		return nil
	}
	if code := Code(l.nvml.Shutdown()); code != 0 {
		return fmt.Errorf("close NVML: %w", code)
	}
	return nil
}

// loadedPath finds the file behind a library's name in the process's memory map; "" if it is not there.
func loadedPath(name string) string {
	if resolved, err := filepath.EvalSymlinks(name); err == nil && strings.Contains(name, "/") {
		return resolved
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return ""
	}
	defer func() { _ = maps.Close() }() // read only
	stem, _, _ := strings.Cut(filepath.Base(name), ".so")
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if at := strings.IndexByte(lines.Text(), '/'); at >= 0 {
			if path := lines.Text()[at:]; strings.HasPrefix(filepath.Base(path), stem+".so") {
				return path
			}
		}
	}
	return ""
}
