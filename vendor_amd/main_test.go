package amd

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/internal/amdsmidouble"
	"wattmark/internal/sysfsdouble"
	"wattmark/sampler"
)

// TestMain also is the child process of the tests, as cmd/wattmark is that of the daemon, and a daemon that some tests
// kill.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case ChildArgument:
			os.Exit(RunChild(os.Args[2:]))
		case "test-daemon":
			os.Exit(runDaemon(os.Args[2:]))
		}
	}
	flag.Bool("update", false, "write the golden tables anew")
	code := m.Run()
	_ = os.RemoveAll(buildDir())
	os.Exit(code)
}

// buildDir is where this run's stand-ins of the library are; everybody may read it.
func buildDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("wattmark-amd-%d", os.Getpid()))
}

// standIn returns the library's stand-in of an ABI. It is built once per run.
func standIn(t testing.TB, abi int) string {
	t.Helper()
	if !haveLibrary {
		t.Skip("this build cannot load the library")
	}
	path := filepath.Join(buildDir(), fmt.Sprintf("libamd_smi.so.%d", abi))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.MkdirAll(buildDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	built, err := amdsmidouble.Build(t.TempDir(), abi)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	temporary := filepath.Join(buildDir(), fmt.Sprintf("%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), abi))
	if err := os.WriteFile(temporary, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// host is a machine with AMD GPUs, of which none exists.
type host struct {
	t      testing.TB
	script amdsmidouble.Script
	path   string // of the script
	tree   *sysfsdouble.Tree
	freeze func() // ends the updates of the tree
	log    *logBuffer
	config Config
}

// newHost returns a host with n GPUs and a library of that ABI (0: none), but nothing in sysfs.
func newHost(t testing.TB, abi, n int) *host {
	t.Helper()
	dir := t.TempDir()
	h := &host{t: t, script: amdsmidouble.New(n), path: filepath.Join(dir, "script"), log: &logBuffer{}}
	h.script.Log = filepath.Join(dir, "library.log")
	h.config = Config{
		Library: filepath.Join(dir, "libamd_smi.so.27"), SysfsRoot: filepath.Join(dir, "sys"),
		Clock: sampler.NewClock(), Host: "test", ChildCommand: childCommand(t, h.path),
		Logger: slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		limits: limits{
			start: 3 * time.Second, startBeside: 2 * time.Second,
			call: time.Second, hang: 2 * time.Second, close: 300 * time.Millisecond,
			backoff: 50 * time.Millisecond, maxBackoff: 200 * time.Millisecond, steady: time.Minute,
			probe: 200 * time.Millisecond, file: time.Second,
		},
	}
	if abi != 0 {
		h.config.Library = standIn(t, abi)
	}
	h.write()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s\nlibrary:\n%s", h.log, h.libraryLog())
		}
	})
	return h
}

// childCommand starts this test binary as a child that plays a script.
func childCommand(t testing.TB, script string) []string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"/usr/bin/env", amdsmidouble.ScriptEnv + "=" + script, self, ChildArgument}
}

// write brings changes of the script into effect.
func (h *host) write() {
	h.t.Helper()
	if err := h.script.Write(h.path); err != nil {
		h.t.Fatal(err)
	}
}

// hasty shortens the limits for tests that wait for them.
func (h *host) hasty() {
	h.config.limits.call, h.config.limits.hang = 200*time.Millisecond, 600*time.Millisecond
}

// sysfs gives the host's GPUs their files, with tables of one revision, which advance until the test ends.
func (h *host) sysfs(revision int) {
	h.t.Helper()
	tree, err := sysfsdouble.New(h.config.SysfsRoot, h.script, revision)
	if err != nil {
		h.t.Fatal(err)
	}
	h.tree = tree
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan error, 1)
	go func() { done <- tree.Run(ctx, 10*time.Millisecond) }()
	h.freeze = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Error(err)
		}
	})
	h.t.Cleanup(h.freeze)
}

func (h *host) open(mode Mode) *Library {
	h.t.Helper()
	h.config.Mode = mode
	l, err := Open(h.config)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(l.Close)
	return l
}

// libraryLog is what the stand-in wrote down.
func (h *host) libraryLog() string {
	b, _ := os.ReadFile(h.script.Log) // none: it was never started
	return string(b)
}

// true returns the energy that a GPU used between two readings.
func (h *host) joules(gpu int, from, to sampler.Reading) float64 {
	offset := int64(bootOffset())
	return h.script.TrueJoules(gpu, from.At.MonoNano+offset, to.At.MonoNano+offset)
}

// read reads a device that has to answer.
func read(t testing.TB, d sampler.Device) sampler.Reading {
	t.Helper()
	r, err := d.Read()
	if err != nil {
		t.Fatalf("GPU %d: %v", d.Info().Index, err)
	}
	return r
}

// eventually reads a device until it answers.
func eventually(t testing.TB, d sampler.Device) sampler.Reading {
	t.Helper()
	const limit = 5 * time.Second
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		r, err := d.Read()
		if err == nil {
			return r
		}
		if time.Now().After(end) {
			t.Fatalf("GPU %d does not answer within %v: %v", d.Info().Index, limit, err)
		}
	}
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// runDaemon opens the GPUs, says what it sees, and waits. When its input ends, it ends in order; when there is input, it
// reads until it is killed. Arguments: mode, library, script, sysfs root.
func runDaemon(arguments []string) int {
	if err := os.Setenv(amdsmidouble.ScriptEnv, arguments[2]); err != nil {
		return 1
	}
	l, err := Open(Config{
		Mode: Mode(arguments[0]), Library: arguments[1], SysfsRoot: arguments[3], Clock: sampler.NewClock(),
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	r, err := l.Devices()[0].Read()
	pid := 0
	if d := l.Describe(); len(d.Processes) > 0 {
		pid = d.Processes[0].PID
	}
	fmt.Println("ready", pid, os.Getuid(), len(l.Devices()), r.PowerWatts.OK(), r.EnergyJoules.OK(), err)
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		l.Close()
		return 0
	}
	for {
		_, _ = l.Devices()[0].Read()
	}
}
