package amd

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/sampler"
)

func TestEveryABI(t *testing.T) {
	for abi, version := range map[int]string{24: "24.7.0.0", 25: "25.5.1", 26: "26.1.0", 27: "27.1.0"} {
		t.Run(fmt.Sprint(abi), func(t *testing.T) {
			t.Parallel()
			h := newHost(t, abi, 2)
			l := h.open(LibraryOnly)
			devices := l.Devices()
			if len(devices) != 2 {
				t.Fatalf("got %d devices, want 2", len(devices))
			}
			info := devices[1].Info()
			want := sampler.Info{
				Host: "test", BusID: "0000:15:00.0", Serial: "0xC0FFEE0000000001", UUID: "GPU-c0ffee0000000001",
				Index: 1, Vendor: "amd", Model: "AMD Instinct MI300X", Driver: "6.14.14",
				Library: "libamd_smi " + version + " (" + h.config.Library + ")",
				Scope:   sampler.ScopeGPU, PowerLimitWatts: sampler.Some(750), HasCounter: true, PowerSource: "socket",
			}
			if fmt.Sprintf("%+v", info) != fmt.Sprintf("%+v", want) {
				t.Errorf("info:\ngot  %+v\nwant %+v", info, want)
			}
			for i, d := range devices {
				from := read(t, d)
				time.Sleep(150 * time.Millisecond)
				to := read(t, d)
				got := to.EnergyJoules.Or(0) - from.EnergyJoules.Or(0)
				// The stand-in's count is exact at its stamp; what is left is the mapping of the stamp (µs) and the unit.
				if want := h.joules(i, from, to); math.Abs(got-want) > 0.05 {
					t.Errorf("GPU %d: got %.4f J, want %.4f J", i, got, want)
				}
				x := time.Duration(to.At.MonoNano + int64(bootOffset()) - h.script.Origin)
				if want := h.script.GPUs[i].Load.Power(x); math.Abs(to.PowerWatts.Or(0)-want) > 2 {
					t.Errorf("GPU %d: got %v W, want %.1f W", i, to.PowerWatts.Or(0), want)
				}
				if fmt.Sprint(to.TemperatureC.Value().Or(0), to.ClockMHz.Value().Or(0), to.MemoryClockMHz.Value().Or(0)) != "71 2100 1300" ||
					math.Abs(to.Utilization.Value().Or(0)-0.93) > 1e-6 || math.Abs(to.MemoryUtilization.Value().Or(0)-0.41) > 1e-6 {
					t.Errorf("GPU %d: context %+v", i, to)
				}
			}
			log := h.libraryLog()
			if !strings.Contains(log, "flags=2 mutex=1") {
				t.Errorf("the library was started without RSMI_MUTEX_THREAD_ONLY=1 or with other flags: %q", log)
			}
		})
	}
}

func TestUnknownABIReadsTheCommonPrefixOnly(t *testing.T) {
	t.Parallel()
	h := newHost(t, 28, 1)
	l := h.open(LibraryOnly)
	d := l.Devices()[0]
	if r := read(t, d); !r.PowerWatts.OK() || !r.EnergyJoules.OK() {
		t.Errorf("got %+v, want power and energy", r)
	}
	if info := d.Info(); info.Model != "AMD GPU" || info.Serial != "" || info.PowerLimitWatts.OK() {
		t.Errorf("got %+v: structs of an unknown library were read", info)
	}
	if problems := fmt.Sprint(l.Describe().Problems); !strings.Contains(problems, `"28.1.0", which wattmark does not know`) {
		t.Errorf("problems %s do not name the version", problems)
	}
}

func TestPartitionsCountOnce(t *testing.T) {
	for _, abi := range []int{24, 25, 26} {
		t.Run(fmt.Sprint(abi), func(t *testing.T) {
			t.Parallel()
			h := newHost(t, abi, 2)
			h.script.Partitions = 3
			h.write()
			devices := h.open(LibraryOnly).Devices()
			if len(devices) != 2 {
				t.Fatalf("got %d devices, want one per socket: 2", len(devices))
			}
			for i, d := range devices {
				info := d.Info()
				if want := h.script.GPUs[i].Bus; info.BusID != want || info.Index != 3*i {
					t.Errorf("got %s index %d, want %s index %d", info.BusID, info.Index, want, 3*i)
				}
				if !strings.Contains(fmt.Sprint(info.Problems), "CPX") {
					t.Errorf("problems %v do not name the partition mode", info.Problems)
				}
				if r := read(t, d); !r.PowerWatts.OK() || !r.EnergyJoules.OK() {
					t.Errorf("got %+v, want power and energy", r)
				}
			}
		})
	}
}

func TestSensors(t *testing.T) {
	for _, test := range []struct {
		name                  string
		change                func(h *host)
		watts, energy         bool
		hasCounter            bool
		source, problem, fail string
	}{
		{
			name: "MI200 has average power", source: "average", watts: true, energy: true, hasCounter: true, problem: "does not document",
			change: func(h *host) { h.script.GPUs[0].Average = true },
		},
		{
			name: "power is not available", source: "socket", energy: true, hasCounter: true,
			change: func(h *host) { h.script.GPUs[0].NoWatts = true },
		},
		{
			name: "0 W while energy advances", source: "socket", energy: true, hasCounter: true,
			change: func(h *host) { h.script.GPUs[0].ZeroWatts = true },
		},
		{
			name: "constant counter", source: "socket", watts: true, problem: "implies 0 W",
			change: func(h *host) { h.script.GPUs[0].Constant = true },
		},
		{
			name: "second die of a card", source: "socket", watts: true, problem: "the first reports for both",
			change: func(h *host) { h.script.GPUs[0].Constant, h.script.GPUs[0].ZeroWatts = true, true },
		},
		{
			name: "no stamp", source: "socket", watts: true, energy: true, hasCounter: true, problem: "middle of the call",
			change: func(h *host) { h.script.GPUs[0].NoStamp = true },
		},
		{
			name: "cap in µW on the old library", source: "socket", watts: true, energy: true, hasCounter: true,
			change: func(h *host) { h.script.CapUnit = "uW" },
		},
		{
			name: "empty table", fail: "table is empty", source: "socket", hasCounter: true, problem: "did not answer",
			change: func(h *host) { h.script.GPUs[0].Empty = true },
		},
		{
			name: "code 2", fail: "code 2", source: "socket", hasCounter: true, problem: "did not answer",
			change: func(h *host) { h.script.GPUs[0].ReadCode = 2 },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, 24, 1)
			test.change(h)
			h.write()
			d := h.open(LibraryOnly).Devices()[0]
			info := d.Info()
			if info.HasCounter != test.hasCounter || info.PowerSource != test.source || info.PowerLimitWatts.Or(0) != 750 {
				t.Errorf("got %+v, want counter %v, source %q, limit 750 W", info, test.hasCounter, test.source)
			}
			if got := strings.Join(info.Problems, "; "); (test.problem == "") != (got == "") || !strings.Contains(got, test.problem) {
				t.Errorf("got problems %q, want %q", got, test.problem)
			}
			r, err := d.Read()
			if test.fail != "" {
				if err == nil || !strings.Contains(err.Error(), test.fail) {
					t.Fatalf("got error %v, want %q", err, test.fail)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.PowerWatts.OK() != test.watts || r.EnergyJoules.OK() != test.energy {
				t.Errorf("got %v W, %v J; want them present: %v, %v", r.PowerWatts, r.EnergyJoules, test.watts, test.energy)
			}
		})
	}
}

func TestNoGPUIsNoError(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]error{34: ErrNoGPU, 32: ErrNoGPU, 18: new(StatusError)} {
		h := newHost(t, 26, 1)
		h.script.InitCode = code
		h.write()
		for _, mode := range []Mode{LibraryOnly, Auto} {
			h.config.Mode = mode
			_, err := Open(h.config)
			status, coded := errors.AsType[*StatusError](err)
			if !coded || status.Status != uint32(code) || !strings.Contains(err.Error(), fmt.Sprintf("code %d", code)) {
				t.Errorf("code %d, %s: got %v, want the code in it", code, mode, err)
			}
			if errors.Is(want, ErrNoGPU) != errors.Is(err, ErrNoGPU) {
				t.Errorf("code %d: got %v, want %v", code, err, want)
			}
			if strings.Count(h.libraryLog(), "init ") > 2 {
				t.Errorf("the library was started again and again:\n%s", h.libraryLog())
			}
		}
	}
}

func TestLibraryAbsent(t *testing.T) {
	t.Parallel()
	h := newHost(t, 0, 1)
	h.config.Mode = LibraryOnly
	if _, err := Open(h.config); !errors.Is(err, ErrNoLibrary) {
		t.Errorf("got %v, want %v", err, ErrNoLibrary)
	}
	h.config.Mode = Auto
	if _, err := Open(h.config); !errors.Is(err, ErrNoGPU) || !errors.Is(err, ErrNoLibrary) {
		t.Errorf("got %v, want both %v and %v", err, ErrNoGPU, ErrNoLibrary)
	}
	h.sysfs(7)
	l := h.open(Auto)
	if r := read(t, l.Devices()[0]); !r.PowerWatts.OK() || !r.EnergyJoules.OK() {
		t.Errorf("got %+v from sysfs", r)
	}
	d := l.Describe()
	if problems := fmt.Sprint(d.Problems); !strings.Contains(problems, "libamd_smi not found") || !strings.Contains(problems, "sysfs") {
		t.Errorf("problems %s do not say so", problems)
	}
	if d.GPUs[0].From != fromSysfs {
		t.Errorf("got %+v, want sysfs", d)
	}
	for _, process := range d.Processes {
		if process.PID != 0 {
			t.Errorf("got %+v, want no process", process)
		}
	}
}

func TestOneThreadAsksTheLibrary(t *testing.T) {
	t.Parallel()
	const gpus, reads = 8, 100
	h := newHost(t, 25, gpus)
	for i := range h.script.GPUs {
		h.script.GPUs[i].Load.Amplitude = 0 // each has its own power
	}
	h.write()
	l := h.open(LibraryOnly)
	var wait sync.WaitGroup
	for i, d := range l.Devices() {
		wait.Go(func() {
			for range reads {
				r, err := d.Read()
				if want := h.script.GPUs[i].Load.Watts; err != nil || r.PowerWatts.Or(0) != want {
					t.Errorf("GPU %d: got %v W (%v), want %v W", i, r.PowerWatts.Or(0), err, want)
					return
				}
			}
		})
	}
	wait.Wait()
	l.Close()
	log := h.libraryLog()
	if strings.Contains(log, "thread") || strings.Count(log, "init ") != 1 || strings.Count(log, "shut_down") != 1 {
		t.Errorf("want one init, one shut_down and no other thread, got\n%s", log)
	}
}

func TestCounterReset(t *testing.T) {
	t.Parallel()
	h := newHost(t, 26, 1)
	d := h.open(LibraryOnly).Devices()[0]
	before := read(t, d)
	h.script.GPUs[0].ResetAt = before.At.MonoNano + int64(bootOffset()) + 1
	h.write()
	after := read(t, d)
	if !after.EnergyJoules.OK() || after.EnergyJoules.Or(0) >= before.EnergyJoules.Or(0) {
		t.Errorf("got %v J after %v J: a reset is for the window to judge, as it is", after.EnergyJoules, before.EnergyJoules)
	}
}

// The key of a GPU is its bus id: some libraries give all GPUs the same serial number and uuid.
func TestSameSerial(t *testing.T) {
	t.Parallel()
	h := newHost(t, 24, 2)
	h.script.GPUs[1].Serial = h.script.GPUs[0].Serial
	h.write()
	devices := h.open(LibraryOnly).Devices()
	a, b := devices[0].Info(), devices[1].Info()
	if a.ID() == b.ID() || a.UUID != b.UUID {
		t.Errorf("got %s and %s", a.ID(), b.ID())
	}
}
