//go:build linux && cgo

package nvmldouble

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/dl"
	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// TestMain builds the library once: go-nvml allows one path per process. All tests share one script file, so they do
// not run in parallel.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "nvmldouble")
		if err == nil {
			defer func() { _ = os.RemoveAll(dir) }()
			err = os.Setenv(ScriptVariable, filepath.Join(dir, "script"))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// play makes the double follow a script.
func play(t *testing.T, script Script) {
	t.Helper()
	if err := script.Write(os.Getenv(ScriptVariable)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Millisecond) // the double looks for changes every millisecond
}

// open initialises the double with a script.
func open(t *testing.T, script Script) nvml.Interface {
	t.Helper()
	path, err := Build(filepath.Dir(os.Getenv(ScriptVariable)))
	if err != nil {
		t.Fatal(err)
	}
	play(t, script)
	library := nvml.New(nvml.WithLibraryPath(path))
	if ret := library.Init(); ret != nvml.SUCCESS {
		t.Fatalf("Init = %d", ret)
	}
	t.Cleanup(func() { _ = library.Shutdown() })
	return library
}

func gpu(t *testing.T, library nvml.Interface, index int) nvml.Device {
	t.Helper()
	device, ret := library.DeviceGetHandleByIndex(index)
	if ret != nvml.SUCCESS {
		t.Fatalf("DeviceGetHandleByIndex(%d) = %d", index, ret)
	}
	return device
}

// counter reads the energy counter in J, and the wall-clock times around the call.
func counter(t *testing.T, device nvml.Device) (joules float64, before, after time.Time) {
	t.Helper()
	before = time.Now()
	millijoules, ret := device.GetTotalEnergyConsumption()
	after = time.Now()
	if ret != nvml.SUCCESS {
		t.Fatalf("GetTotalEnergyConsumption = %d", ret)
	}
	return float64(millijoules) / 1000, before, after
}

// ago is an origin that makes it now d after the start of the trace.
func ago(d time.Duration) time.Time { return time.Now().Add(-d) }

func TestFaultsComeAndGo(t *testing.T) {
	script := Script{Origin: ago(time.Minute), GPUs: []GPU{H200(Constant(500)), H200(Constant(500))}}
	library := open(t, script)
	broken, whole := gpu(t, library, 0), gpu(t, library, 1)
	usage := func(device nvml.Device) string {
		milliwatts, ret := device.GetPowerUsage()
		return fmt.Sprint(int(ret), " ", milliwatts)
	}
	for _, step := range []struct {
		faults []Fault
		want   string
	}{
		{nil, "0 500000"},
		{[]Fault{Lost()}, "15 0"},
		{[]Fault{Returns("nvmlDeviceGetPowerUsage", 4)}, "4 0"},
		{[]Fault{Returns("nvmlDeviceGetName", 4)}, "0 500000"},
		{[]Fault{Lost().To(time.Second)}, "0 500000"},
		{[]Fault{PowerNotAvailable()}, "3 0"},
		{[]Fault{PowerSpike(593_000)}, "0 593000000"},
	} {
		script.GPUs[0].Faults = step.faults
		play(t, script)
		if got := usage(broken); got != step.want {
			t.Errorf("with %v: %s, want %s", step.faults, got, step.want)
		}
		if got := usage(whole); got != "0 500000" {
			t.Errorf("with %v: the other GPU says %s", step.faults, got)
		}
	}
	script.UnknownAfter = time.Second
	play(t, script)
	if got := usage(whole); got != "999 0" {
		t.Errorf("after UnknownAfter: %s", got)
	}
}

func TestSamples(t *testing.T) {
	for _, mode := range []string{"off", "unix", "boot", "zeros"} {
		device := gpu(t, open(t, Script{Origin: ago(time.Minute), GPUs: []GPU{{Power: Constant(500), Samples: mode}}}), 0)
		valueType, samples, ret := device.GetSamples(nvml.TOTAL_POWER_SAMPLES, 0)
		if mode == "off" {
			if ret != nvml.ERROR_NOT_SUPPORTED {
				t.Errorf("off: %d", ret)
			}
			continue
		}
		if ret != nvml.SUCCESS || len(samples) != 120 || valueType != nvml.VALUE_TYPE_UNSIGNED_INT {
			t.Fatalf("%s: return %d, %d samples of type %d", mode, ret, len(samples), valueType)
		}
		last := samples[119]
		age := time.Since(time.UnixMicro(int64(last.TimeStamp)))
		if isUnix := age >= 0 && age < time.Second; isUnix != (mode != "boot") {
			t.Errorf("%s: newest sample is %v old", mode, age)
		}
		// ask for those after the tenth newest: the count that comes back must be the length
		_, newer, ret := device.GetSamples(nvml.TOTAL_POWER_SAMPLES, samples[109].TimeStamp)
		if ret != nvml.SUCCESS || (mode == "zeros") != (len(newer) == 120) || mode != "zeros" && len(newer) > 100 {
			t.Errorf("%s: return %d, %d newer samples", mode, ret, len(newer))
		}
		if empty := slices.ContainsFunc(newer, func(s nvml.Sample) bool { return s.TimeStamp == 0 }); empty != (mode == "zeros") {
			t.Errorf("%s: empty samples: %v", mode, empty)
		}
	}
}

func TestCallsAreCounted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "calls")
	library := open(t, Script{CallsFile: file, CallsEvery: time.Nanosecond, GPUs: []GPU{H200(Constant(1)), H200(Constant(1))}})
	count := func() Calls {
		_, _ = library.DeviceGetCount() // writes the file
		calls, err := ReadCalls(file)
		if err != nil {
			t.Fatal(err)
		}
		return calls
	}
	device := gpu(t, library, 1)
	start := count()
	var both sync.WaitGroup
	var threads [2]int
	for i := range threads {
		both.Go(func() {
			runtime.LockOSThread()
			threads[i] = syscall.Gettid()
			for range 5 {
				_ = device.GetFieldValues([]nvml.FieldValue{{FieldId: 83}, {FieldId: 186}})
				time.Sleep(time.Millisecond)
			}
		})
	}
	both.Wait()
	_, _ = device.GetPowerUsage()
	end := count()
	for what, got := range map[string][2]int{
		"GetFieldValues of GPU 1": {end.Function["nvmlDeviceGetFieldValues"][1] - start.Function["nvmlDeviceGetFieldValues"][1], 10},
		"GetFieldValues of GPU 0": {end.Function["nvmlDeviceGetFieldValues"][0] - start.Function["nvmlDeviceGetFieldValues"][0], 0},
		"field 186":               {end.Field[1][186] - start.Field[1][186], 10},
		"field 185":               {end.Field[1][185] - start.Field[1][185], 0},
		"all":                     {end.Total("") - start.Total(""), 12}, // with the count itself
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %d calls, want %d", what, got[0], got[1])
		}
	}
	for _, thread := range threads {
		if !slices.Contains(end.Threads, thread) {
			t.Errorf("threads = %v, want %d among them", end.Threads, thread)
		}
	}
}

func TestLatencyAndHang(t *testing.T) {
	script := Script{GPUs: []GPU{{Power: Constant(1), Latency: 20 * time.Millisecond}}}
	device := gpu(t, open(t, script), 0)
	start := time.Now()
	_, _ = device.GetPowerUsage()
	if took := time.Since(start); took < 20*time.Millisecond {
		t.Errorf("a call took %v, want 20ms", took)
	}
	script.GPUs[0] = GPU{Power: Constant(1), Faults: []Fault{Hangs("nvmlDeviceGetPowerUsage")}}
	play(t, script)
	done := make(chan nvml.Return)
	go func() {
		_, ret := device.GetPowerUsage()
		done <- ret
	}()
	select {
	case ret := <-done:
		t.Fatalf("the call came back with %d", ret)
	case <-time.After(30 * time.Millisecond):
	}
	_, _ = device.GetName() // another function answers
	script.GPUs[0].Faults = nil
	play(t, script)
	if ret := <-done; ret != nvml.SUCCESS {
		t.Errorf("after the fault was lifted: %d", ret)
	}
}

func TestBuildIsSharedAndVaries(t *testing.T) {
	dir := t.TempDir()
	one, err := Build(dir, "nvmlDeviceGetSamples", "nvmlErrorString")
	if err != nil {
		t.Fatal(err)
	}
	was, _ := os.Stat(one)
	again, err := Build(dir, "nvmlErrorString", "nvmlDeviceGetSamples")
	if err != nil || again != one {
		t.Fatalf("Build = %q, %v, want %q", again, err, one)
	}
	if is, _ := os.Stat(again); !os.SameFile(was, is) || is.ModTime() != was.ModTime() {
		t.Error("compiled twice")
	}
	whole, err := Build(dir)
	if err != nil || whole == one {
		t.Fatalf("Build with other symbols = %q, %v", whole, err)
	}
	for path, has := range map[string]bool{whole: true, one: false} {
		library := dl.New(path, dl.RTLD_LAZY)
		if err := library.Open(); err != nil {
			t.Fatal(err)
		}
		if err := library.Lookup("nvmlDeviceGetSamples"); (err == nil) != has {
			t.Errorf("%s: nvmlDeviceGetSamples: %v", path, err)
		}
		if err := library.Lookup("nvmlDeviceGetUUID"); err != nil {
			t.Errorf("%s: nvmlDeviceGetUUID: %v", path, err)
		}
	}
	if _, err := Build(dir, "nvmlNoSuchThing"); err == nil {
		t.Error("a symbol that is not there was omitted")
	}
}
