//go:build linux && cgo

package nvidia

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wattmark/internal/nvmldouble"
	"wattmark/sampler"
)

func TestHungCallHangsOneReadOnly(t *testing.T) {
	script := running(gpu(), gpu())
	library, err := tryOpen(t, script)
	if err != nil {
		t.Fatal(err)
	}
	devices := library.Devices()
	script.GPUs[0].Faults = []nvmldouble.Fault{nvmldouble.Hangs("*")}
	play(t, script)
	hung := make(chan error)
	go func() {
		_, err := devices[0].Read()
		hung <- err
	}()
	for range 5 {
		start := time.Now()
		mustRead(t, devices[1])
		if took := time.Since(start); took > time.Second {
			t.Errorf("the other GPU took %v", took)
		}
		time.Sleep(10 * time.Millisecond)
	}
	start := time.Now()
	if err := library.Close(); !errors.Is(err, ErrBusy) || time.Since(start) > time.Second {
		t.Errorf("Close = %v after %v", err, time.Since(start))
	}
	select {
	case err := <-hung:
		t.Fatalf("the hung read came back: %v", err)
	default:
	}
	script.GPUs[0].Faults = nil
	play(t, script)
	if err := <-hung; err != nil {
		t.Errorf("the read that hung: %v", err)
	}
	if _, err := devices[0].Read(); !errors.Is(err, ErrClosed) {
		t.Errorf("read after Close = %v", err)
	}
}

func TestOpenLeavesOutAGPUThatHangs(t *testing.T) {
	path := double(t)
	script := running(gpu(nvmldouble.Hangs("nvmlDeviceGetName")), gpu())
	play(t, script)
	library, err := open(nvml.New(nvml.WithLibraryPath(path)), Config{Library: path, Clock: sampler.NewClock(), Patience: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if devices := library.Devices(); len(devices) != 1 || devices[0].Info().Index != 1 || len(library.Problems()) != 0 ||
		len(library.Awaited()) != 1 || library.Awaited()[0].Index != 0 || time.Since(library.Awaited()[0].Since) > time.Minute {
		t.Errorf("%d devices, problems %q, awaited %v", len(devices), library.Problems(), library.Awaited())
	}
	if err := library.Close(); !errors.Is(err, ErrBusy) {
		t.Errorf("Close = %v while a probe hangs", err)
	}
	script.GPUs[0].Faults = nil
	play(t, script)
	for library.probing.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// For the race detector: readers of two GPUs, two of them of the same one, and Close in the middle.
func TestReadInParallel(t *testing.T) {
	library, err := tryOpen(t, running(gpu(), gpu()))
	if err != nil {
		t.Fatal(err)
	}
	devices := library.Devices()
	var readers sync.WaitGroup
	var closing sync.WaitGroup
	closing.Add(3)
	for _, device := range []sampler.Device{devices[0], devices[1], devices[1]} {
		readers.Go(func() {
			for n := 0; ; n++ {
				if n == 200 {
					closing.Done()
				}
				if _, err := device.Read(); errors.Is(err, ErrClosed) {
					return
				} else if err != nil {
					t.Errorf("read: %v", err)
				}
			}
		})
	}
	closing.Wait()
	if err := library.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	readers.Wait()
	if err := library.Close(); err != nil {
		t.Errorf("second Close = %v", err)
	}
}
