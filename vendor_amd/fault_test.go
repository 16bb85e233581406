package amd

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"wattmark/internal/amdsmidouble"
)

// During a hang the GPU that hangs gives nothing; the others fail fast, are read again after one restart, and are not
// disturbed by it any more. When the hang ends, that GPU is back as well.
func TestHangInRead(t *testing.T) {
	t.Parallel()
	h := newHost(t, 26, 3)
	h.hasty()
	l := h.open(LibraryOnly)
	devices := l.Devices()
	before := read(t, devices[0])
	h.script.GPUs[1].Hang = true
	h.write()

	start := time.Now()
	if r, err := devices[1].Read(); err == nil {
		t.Fatalf("got %+v from a GPU that hangs", r)
	}
	if took := time.Since(start); took > h.config.limits.hang { // until when it might wait for the process to be given up
		t.Errorf("a read that hangs took %v", took)
	}
	time.Sleep(20 * time.Millisecond) // now the call is over its time
	start = time.Now()
	_, err := devices[0].Read()
	if took := time.Since(start); err == nil || took >= h.config.limits.call { // for which it would wait for an answer
		t.Errorf("read beside a hang: %v after %v; it should fail at once", err, took)
	}

	after := eventually(t, devices[0])
	got, want := after.EnergyJoules.Or(0)-before.EnergyJoules.Or(0), h.joules(0, before, after)
	if math.Abs(got-want) > 0.05 {
		t.Errorf("energy over the hang: got %.4f J, want %.4f J", got, want)
	}
	for range 20 { // the GPU goes on hanging in a process of its own
		_, _ = devices[1].Read()
		read(t, devices[0])
		read(t, devices[2])
	}
	d := l.Describe()
	if len(d.Processes) != 2 || !strings.Contains(d.Processes[0].Lost, "has not answered for 600ms, during a read of 0000:15:00.0") {
		t.Errorf("processes %+v: want one more, and why", d.Processes)
	}
	if text := d.String(); !strings.Contains(text, "in a process of its own") || !strings.Contains(text, "GPU 1: read from libamd_smi, table v1.7") {
		t.Errorf("described as\n%s", text)
	}
	for end := time.Now().Add(5 * time.Second); !strings.Contains(fmt.Sprint(l.Problems()), "during a read of 0000:15:00.0; it is started again"); {
		_, _ = devices[1].Read()
		time.Sleep(20 * time.Millisecond)
		if time.Now().After(end) {
			t.Fatalf("problems %q", l.Problems())
		}
	}

	h.script.GPUs[1].Hang = false
	h.write()
	eventually(t, devices[1])
}

func TestHangInReadWithSysfs(t *testing.T) {
	t.Parallel()
	h := newHost(t, 26, 2)
	h.hasty()
	h.sysfs(7)
	devices := h.open(Auto).Devices()
	h.script.GPUs[0].Hang = true
	h.write()
	for range 10 { // not one reading is lost: the card in sysfs does not hang
		read(t, devices[0])
		read(t, devices[1])
	}
}

func TestHangInInit(t *testing.T) {
	t.Parallel()
	h := newHost(t, 26, 1)
	h.config.limits.start, h.config.limits.startBeside = 500*time.Millisecond, 100*time.Millisecond
	h.script.InitHang = true
	h.write()
	h.config.Mode = LibraryOnly
	start := time.Now()
	if _, err := Open(h.config); err == nil || !strings.Contains(err.Error(), "has not answered for 500ms") {
		t.Errorf("got %v, want that it has not answered", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("Open took %v", took)
	}

	h.sysfs(7)
	l := h.open(Auto)
	d := l.Devices()[0]
	read(t, d)
	if problems := fmt.Sprint(l.Describe().Problems); !strings.Contains(problems, "is being started; the GPUs are read from sysfs") {
		t.Errorf("problems %s do not say so", problems)
	}
	h.script.InitHang = false
	h.write()
	for end := time.Now().Add(5 * time.Second); l.Describe().GPUs[0].From != fromLibrary; read(t, d) {
		if time.Now().After(end) {
			t.Fatalf("the library is not used after it has started: %+v", l.Describe())
		}
	}
}

func TestDeathOfTheLibraryIsContained(t *testing.T) {
	for name, change := range map[string]func(h *host){
		"abort":                       func(h *host) { h.script.GPUs[0].Abort = true },
		"crash":                       func(h *host) { h.script.GPUs[0].Crash = true },
		"writes too much":             func(h *host) { h.script.Overlong = 16<<10 + 1 },
		"while the driver is loaded":  func(h *host) { h.script.GPUs[0].Abort, h.script.InitCode = true, 34 },
		"aborts, and in init as well": func(h *host) { h.script.GPUs[0].Abort, h.script.InitAbort = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, 25, 2)
			devices := h.open(LibraryOnly).Devices()
			before := read(t, devices[1])
			healthy := h.script.String()
			gpus := append(h.script.GPUs[:0:0], h.script.GPUs...)
			change(h)
			h.write()
			if r, err := devices[0].Read(); err == nil || !strings.Contains(err.Error(), "ended") {
				t.Fatalf("got %+v, %v; want that the process ended", r, err)
			}
			if name != "abort" { // there is time for starts that fail
				time.Sleep(300 * time.Millisecond)
			}
			// Two processes, each started again after 50, 100, 200 ms; and the first one, at the beginning.
			if starts := strings.Count(h.libraryLog(), "init "); starts > 1+2*4 {
				t.Errorf("%d starts in so short a time", starts)
			}
			h.script.GPUs, h.script.Overlong, h.script.InitAbort, h.script.InitCode = gpus, 0, false, 0
			if h.script.String() != healthy {
				t.Fatal("the script is not what it was")
			}
			h.write()
			after := eventually(t, devices[1])
			eventually(t, devices[0])
			got, want := after.EnergyJoules.Or(0)-before.EnergyJoules.Or(0), h.joules(1, before, after)
			if math.Abs(got-want) > 0.05 {
				t.Errorf("energy over the crash: got %.4f J, want %.4f J", got, want)
			}
		})
	}
}

// A library whose struct is larger than any known one writes into room that is there for it.
func TestOverlongTable(t *testing.T) {
	t.Parallel()
	h := newHost(t, 27, 2)
	h.script.Overlong = 8 << 10
	h.write()
	l := h.open(LibraryOnly)
	for range 20 {
		for i, d := range l.Devices() {
			r := read(t, d)
			x := time.Duration(r.At.MonoNano + int64(bootOffset()) - h.script.Origin)
			if want := h.script.GPUs[i].Load.Power(x); math.Abs(r.PowerWatts.Or(0)-want) > 2 {
				t.Fatalf("GPU %d: got %v W, want %.1f W", i, r.PowerWatts.Or(0), want)
			}
		}
	}
	if state := l.Describe().Processes[0]; state.Restarts != 0 {
		t.Errorf("the library was lost: %+v", state)
	}
}

func TestLibraryOlderThanTheDriver(t *testing.T) {
	t.Parallel()
	h := newHost(t, 24, 2)
	h.sysfs(8)
	l := h.open(Auto)
	d := l.Devices()[1]
	before := read(t, d)
	h.script.GPUs[1].ReadCode = 43
	h.write()
	after := read(t, d) // the same call turns to sysfs
	if want := h.joules(1, before, after); math.Abs(after.EnergyJoules.Or(0)-before.EnergyJoules.Or(0)-want) > 0.05 {
		t.Errorf("got %v after %v, want %.4f J more", after.EnergyJoules.Or(0), before.EnergyJoules.Or(0), want)
	}
	if from := l.Describe().GPUs[1].From; from != fromSysfs {
		t.Errorf("read from %s, want sysfs", from)
	}
	if !strings.Contains(h.log.String(), "libamd_smi is older than the driver") {
		t.Error("the log does not say so")
	}
	l.Close()
	l = h.open(Auto)
	if problems := fmt.Sprint(l.Devices()[1].Info().Problems); !strings.Contains(problems, "code 43") {
		t.Errorf("problems %s do not say so", problems)
	}
	h.config.Mode = LibraryOnly
	l = h.open(LibraryOnly)
	if _, err := l.Devices()[1].Read(); err == nil || !strings.Contains(err.Error(), "code 43 (the library is older than the driver)") {
		t.Errorf("got %v, want the code", err)
	}
}

func TestNoiseGoesToTheLog(t *testing.T) {
	t.Parallel()
	h := newHost(t, 26, 1)
	h.script.Noise = "amdsmi: something nobody asked for"
	h.write()
	d := h.open(LibraryOnly).Devices()[0]
	for range 200 {
		read(t, d)
	}
	lines := strings.Count(h.log.String(), h.script.Noise)
	if lines < 2 || lines > noiseLimit {
		t.Errorf("got %d lines of noise in the log, want some and at most %d", lines, noiseLimit)
	}
	if !strings.Contains(h.log.String(), "level=DEBUG msg=\"libamd_smi prints\"") {
		t.Error("noise is not at level debug")
	}
}

func TestCloseDoesNotWaitForAHang(t *testing.T) {
	t.Parallel()
	h := newHost(t, 26, 1)
	h.hasty()
	l := h.open(LibraryOnly)
	pid := l.Describe().Processes[0].PID
	h.script.GPUs[0].Hang = true
	h.write()
	go func() { _, _ = l.Devices()[0].Read() }()
	time.Sleep(50 * time.Millisecond)
	start := time.Now()
	l.Close()
	if took := time.Since(start); took > time.Second {
		t.Errorf("Close took %v", took)
	}
	if !endsWithin(pid, time.Second) {
		t.Errorf("process %d is still there", pid)
	}
	l.Close() // once more does nothing
	if _, err := l.Devices()[0].Read(); !errors.Is(err, errClosed) {
		t.Errorf("a closed library was read: %v", err)
	}
}

// The driver is loaded anew under a library that runs: it is started again, and the GPUs come back.
func TestDriverLoadedAnew(t *testing.T) {
	t.Parallel()
	h := newHost(t, 26, 2)
	h.config.limits.backoff = 100 * time.Millisecond
	l := h.open(LibraryOnly)
	devices := l.Devices()
	before := read(t, devices[1])
	h.script.DriverLoad = 1
	h.script.GPUs[1].ResetAt = amdsmidouble.Boottime()
	h.write()
	if _, err := devices[1].Read(); err == nil {
		t.Fatal("a library of a driver that is gone answers")
	}
	after := eventually(t, devices[1])
	eventually(t, devices[0])
	if after.EnergyJoules.Or(0) >= before.EnergyJoules.Or(0) {
		t.Errorf("the count went from %v to %v J: the driver begins anew", before.EnergyJoules, after.EnergyJoules)
	}
	if restarts := l.Describe().Processes[0].Restarts; restarts != 1 {
		t.Errorf("the library was started anew %d times, want once", restarts)
	}
	// One GPU that fails among others that answer is no reason.
	h.script.GPUs[0].ReadCode = 31
	h.write()
	for range 15 {
		if _, err := devices[0].Read(); err == nil {
			t.Fatal("GPU 0 answers")
		}
		read(t, devices[1])
		time.Sleep(20 * time.Millisecond)
	}
	if restarts := l.Describe().Processes[0].Restarts; restarts != 1 {
		t.Errorf("the library was started anew %d times, also under a GPU that works", restarts)
	}
}
