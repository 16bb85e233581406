//go:build linux && cgo

package nvidia

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wattmark/internal/nvmldouble"
	"wattmark/sampler"
)

// until reads until the outcome is as wanted, and returns how long that took.
func until(t *testing.T, device sampler.Device, what string, want func(error) bool) time.Duration {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		_, err := device.Read()
		if want(err) {
			return time.Since(began)
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("waited 10 s for %s; the last read: %v", what, err)
		}
	}
}

func good(err error) bool { return err == nil }

func is(code Code) func(error) bool { return func(err error) bool { return errors.Is(err, code) } }

// The driver is loaded anew: NVML is initialised anew, once, and every GPU comes back, as the same device.
func TestDriverReload(t *testing.T) {
	script := running(gpu(), gpu(), gpu())
	library, err := tryOpen(t, script)
	if err != nil {
		t.Fatal(err)
	}
	devices := library.Devices()
	for _, device := range devices {
		mustRead(t, device)
	}
	script.DriverLoad = 1
	script.GPUs[0], script.GPUs[2] = script.GPUs[2], script.GPUs[0] // their order is another
	script.GPUs[0].UUID, script.GPUs[2].UUID = devices[2].Info().UUID, devices[0].Info().UUID
	script.GPUs[0].Power, script.GPUs[2].Power = nvmldouble.Constant(222), nvmldouble.Constant(111)
	play(t, script)
	began := time.Now()
	for _, device := range devices {
		if _, err := device.Read(); !errors.Is(err, Uninitialized) {
			t.Fatalf("right after: %v", err)
		}
	}
	until(t, devices[1], "GPU 1", good)
	if took := time.Since(began); took < firstRetry || took >= 3*firstRetry { // when the second try would be
		t.Errorf("back after %v, want a little over %v", took, firstRetry)
	}
	for i, want := range []float64{111, 500, 222} {
		reading := mustRead(t, devices[i])
		if watts := reading.PowerWatts.Or(0); watts != want {
			t.Errorf("GPU %d draws %v W, want %v: it is another one", i, watts, want)
		}
	}
	if n := library.generation.Load(); n != 1 {
		t.Errorf("initialised anew %d times", n)
	}
}

// The driver is gone for a while.
func TestDriverUnloaded(t *testing.T) {
	script := running(gpu())
	library, err := tryOpen(t, script)
	if err != nil {
		t.Fatal(err)
	}
	device := library.Devices()[0]
	mustRead(t, device)
	gone := script
	gone.DriverLoad, gone.InitReturns = 1, int(DriverNotLoaded)
	play(t, gone)
	until(t, device, "the driver to be gone", is(DriverNotLoaded))
	script.DriverLoad = 1
	play(t, script)
	if took := until(t, device, "the driver", good); took > 2*firstRetry+time.Second {
		t.Errorf("back after %v", took)
	}
}

// One GPU of two is lost: the other is read on, and NVML stays as it is. It comes back with a new handle.
func TestOneGPULost(t *testing.T) {
	script := running(gpu(), gpu())
	library, err := tryOpen(t, script)
	if err != nil {
		t.Fatal(err)
	}
	lost, other := library.Devices()[0], library.Devices()[1]
	whole := script.GPUs[0]
	script.GPUs[0] = gpu(nvmldouble.Lost())
	play(t, script)
	for range 60 { // more than the first retry
		if _, err := lost.Read(); !errors.Is(err, GPULost) {
			t.Fatalf("lost GPU: %v", err)
		}
		mustRead(t, other)
		time.Sleep(20 * time.Millisecond)
	}
	script.GPUs[0] = whole
	play(t, script)
	mustRead(t, lost) // some faults pass by themselves: it was asked all along
	if n := library.generation.Load(); n != 0 {
		t.Errorf("NVML was initialised anew %d times under a GPU that works", n)
	}
}

// The container's runtime took the devices away: every call says "unknown error", until NVML is initialised anew.
func TestUnknownError(t *testing.T) {
	script := running(gpu(), gpu())
	library, err := tryOpen(t, script)
	if err != nil {
		t.Fatal(err)
	}
	gone := script
	gone.UnknownAfter = time.Nanosecond
	play(t, gone)
	for _, device := range library.Devices() {
		until(t, device, "unknown error", is(Unknown))
	}
	script.DriverLoad = 1 // what was initialised before stays useless
	play(t, script)
	for _, device := range library.Devices() {
		until(t, device, "the GPU", good)
	}
}

// An upgrade: this process cannot get over it, and says so.
func TestUpgrade(t *testing.T) {
	script := running(gpu())
	path := double(t)
	play(t, script)
	var told atomic.Int32
	library, err := Open(Config{Library: path, Clock: sampler.NewClock(), Host: "node1", Mismatch: func(err error) {
		if errors.Is(err, VersionMismatch) {
			told.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = library.Close() }()
	device := library.Devices()[0]
	mustRead(t, device)
	script.Upgraded = time.Since(script.Origin)
	play(t, script)
	until(t, device, "the mismatch", is(VersionMismatch))
	if told.Load() == 0 {
		t.Error("nobody was told")
	}
	if _, err := Open(Config{Library: path, Clock: sampler.NewClock()}); !errors.Is(err, VersionMismatch) {
		t.Errorf("opened again: %v", err)
	}
}

// NVML is not shut down under a call that hangs.
func TestNoRestartUnderAHungCall(t *testing.T) {
	script := running(gpu(), gpu())
	library, err := tryOpen(t, script)
	if err != nil {
		t.Fatal(err)
	}
	whole := script
	script.GPUs = []nvmldouble.GPU{gpu(nvmldouble.Hangs("*")), gpu()}
	play(t, script)
	hung := make(chan error, 1)
	go func() {
		_, err := library.Devices()[0].Read()
		hung <- err
	}()
	time.Sleep(50 * time.Millisecond)
	script.DriverLoad = 1
	play(t, script)
	for range 75 {
		if _, err := library.Devices()[1].Read(); !errors.Is(err, Uninitialized) {
			t.Fatalf("GPU 1: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n := library.generation.Load(); n != 0 {
		t.Error("NVML was initialised anew under a call")
	}
	whole.DriverLoad = 1
	play(t, whole)
	if err := <-hung; err != nil && !errors.Is(err, Uninitialized) {
		t.Errorf("the read that hung: %v", err)
	}
	for _, device := range library.Devices() {
		until(t, device, "the GPU", good)
	}
}

// A GPU that Open had to leave out comes later; one whose probe hangs keeps one thread, and comes when it returns.
func TestLateGPUs(t *testing.T) {
	script := running(gpu(), gpu(nvmldouble.Returns("nvmlDeviceGetUUID", 15)), gpu(nvmldouble.Hangs("nvmlDeviceGetUUID")))
	path := double(t)
	play(t, script)
	if err := canOpen(path); err != nil {
		t.Fatal(err)
	}
	library, err := open(nvml.New(nvml.WithLibraryPath(path)), Config{Library: path, Clock: sampler.NewClock(), Host: "node1", Patience: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = library.Close() }()
	if n := len(library.Devices()); n != 1 || len(library.Problems()) != 1 || len(library.Awaited()) != 1 {
		t.Fatalf("%d GPUs, problems %q, awaited %v", n, library.Problems(), library.Awaited())
	}
	since := library.probes[1].since
	if found, more := library.Late(); len(found) != 0 || !more || library.probing.Load() != 1 {
		t.Errorf("nothing has changed: %d found, more %v, %d probes run", len(found), more, library.probing.Load())
	}
	if again := library.probes[1].since; again != since {
		t.Errorf("GPU 1 is taken to have been asked for the first time %v later: it would count as one that wakes up", again.Sub(since))
	}
	script.GPUs[1] = gpu()
	play(t, script)
	if found, more := library.Late(); len(found) != 1 || found[0].Info().Index != 1 || !more {
		t.Errorf("GPU 1 is back: %d found, more %v", len(found), more)
	}
	script.GPUs[2] = gpu()
	play(t, script)
	if found, more := library.Late(); len(found) != 1 || found[0].Info().Index != 2 || more {
		t.Errorf("GPU 2 is back: %d found, more %v", len(found), more)
	}
	if found, more := library.Late(); len(found) != 0 || more || len(library.Problems())+len(library.Awaited()) != 0 {
		t.Errorf("all are there: %d found, more %v, problems %q", len(found), more, library.Problems())
	}
	for i, device := range library.Devices() {
		if mustRead(t, device); device.Info().Index != i {
			t.Errorf("GPU %d at place %d", device.Info().Index, i)
		}
	}
}
