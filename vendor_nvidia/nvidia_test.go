//go:build linux && cgo

package nvidia

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"wattmark/internal/nvmldouble"
	"wattmark/sampler"
)

// childVariable makes the test program a child that opens the library it names and prints what it sees.
const childVariable = "WATTMARK_NVIDIA_CHILD"

// TestMain gives the double's script a place. go-nvml allows one library path per process: tests of other libraries run
// in children. All tests but those share the script, so they do not run in parallel.
func TestMain(m *testing.M) {
	if library := os.Getenv(childVariable); library != "" {
		os.Exit(child(library))
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "nvidia")
		if err == nil {
			defer func() { _ = os.RemoveAll(dir) }()
			err = os.Setenv(nvmldouble.ScriptVariable, filepath.Join(dir, "script"))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// double builds the library; variants of it lack symbols.
func double(t *testing.T, omit ...string) string {
	t.Helper()
	path, err := nvmldouble.Build(filepath.Dir(os.Getenv(nvmldouble.ScriptVariable)), omit...)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// play makes the double follow a script.
func play(t *testing.T, script nvmldouble.Script) {
	t.Helper()
	if err := script.Write(os.Getenv(nvmldouble.ScriptVariable)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Millisecond) // the double looks for changes every millisecond
}

// tryOpen opens the double with a script.
func tryOpen(t *testing.T, script nvmldouble.Script) (*Library, error) {
	t.Helper()
	path := double(t)
	play(t, script)
	library, err := Open(Config{Library: path, Clock: sampler.NewClock(), Host: "node1"})
	if err == nil {
		t.Cleanup(func() { _ = library.Close() })
	}
	return library, err
}

func mustOpen(t *testing.T, script nvmldouble.Script) []sampler.Device {
	t.Helper()
	library, err := tryOpen(t, script)
	if err != nil {
		t.Fatal(err)
	}
	return library.Devices()
}

func mustRead(t *testing.T, device sampler.Device) sampler.Reading {
	t.Helper()
	reading, err := device.Read()
	if err != nil {
		t.Fatal(err)
	}
	return reading
}

// running is a script whose trace began a minute ago.
func running(gpus ...nvmldouble.GPU) nvmldouble.Script {
	return nvmldouble.Script{Origin: time.Now().Add(-time.Minute), GPUs: gpus}
}

// gpu is a busy H200 with something wrong.
func gpu(faults ...nvmldouble.Fault) nvmldouble.GPU {
	return nvmldouble.GPU{
		Power: nvmldouble.Constant(500), Faults: faults,
		TemperatureC: 61, SMClockMHz: 1755, MemoryClockMHz: 3201, UtilizationPercent: 97, EventReasons: 0x4 | 0x1,
	}
}

// unknownGPU is one whose architecture leaves open what its power means: Ampere, of a capability that is not told.
func unknownGPU(faults ...nvmldouble.Fault) nvmldouble.GPU {
	g := gpu(append(faults, nvmldouble.Returns("nvmlDeviceGetCudaComputeCapability", 3))...)
	g.Architecture = 7
	return g
}

// callsDuring returns how often the double's functions and fields were asked while work ran on a newly opened library.
func callsDuring(t *testing.T, script nvmldouble.Script, work func([]sampler.Device)) (function func(string) int, field func(id int) int) {
	t.Helper()
	script.CallsFile = filepath.Join(t.TempDir(), "calls")
	script.CallsEvery = time.Nanosecond
	library, err := tryOpen(t, script)
	if err != nil {
		t.Fatal(err)
	}
	count := func() nvmldouble.Calls {
		_, _ = library.nvml.DeviceGetCount() // a call writes what was before it
		calls, err := nvmldouble.ReadCalls(script.CallsFile)
		if err != nil {
			t.Fatal(err)
		}
		return calls
	}
	before := count()
	work(library.Devices())
	after := count()
	return func(name string) int { return after.Function[name][0] - before.Function[name][0] },
		func(id int) int { return after.Field[0][id] - before.Field[0][id] }
}
