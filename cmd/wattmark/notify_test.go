package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wattmark/internal/nvmldouble"
)

// manager is the receiving end of sd_notify, as systemd has it.
type manager struct {
	path string
	mu   sync.Mutex
	said []string
	last map[string]time.Time // of each line
}

func newManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{path: filepath.Join(dir, "s"), last: map[string]time.Time{}}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close(); _ = os.RemoveAll(dir) })
	go func() {
		for message := make([]byte, 4096); ; {
			n, err := socket.Read(message)
			if err != nil {
				return
			}
			m.mu.Lock()
			for line := range strings.Lines(string(message[:n])) {
				line = strings.TrimSpace(line)
				m.said = append(m.said, line)
				m.last[line] = time.Now()
			}
			m.mu.Unlock()
		}
	}()
	return m
}

// count returns how often a line came, and when it did last.
func (m *manager) count(line string) (n int, last time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, said := range m.said {
		if said == line {
			n++
		}
	}
	return n, m.last[line]
}

func (m *manager) await(t *testing.T, line string) {
	t.Helper()
	waitFor(t, line, func() bool { n, _ := m.count(line); return n > 0 })
}

func (m *manager) env(watchdog string) []string {
	return []string{"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=" + watchdog, "WATCHDOG_PID="}
}

// READY=1 comes with the readings, WATCHDOG=1 only while some GPU is still being read, STOPPING=1 at the end.
func TestSystemdIsTold(t *testing.T) {
	t.Parallel()
	script := decoding(time.Now())
	script.GPUs = script.GPUs[:2]
	library, err := nvmldouble.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "nvml.script")
	hang := func(hung ...bool) {
		t.Helper()
		for i := range script.GPUs {
			script.GPUs[i].Faults = nil
			if hung[i] {
				script.GPUs[i].Faults = []nvmldouble.Fault{nvmldouble.Hangs("*")}
			}
		}
		if err := script.Write(file); err != nil {
			t.Fatal(err)
		}
	}
	hang(false, false)
	m := newManager(t)
	d := serve(t, append(m.env("400000"), nvmldouble.ScriptVariable+"="+file),
		"--backend", "nvidia", "--nvml-library", library, "--interval", "100ms")
	m.await(t, "READY=1")
	if code := d.status("/readyz"); code != 200 {
		t.Errorf("READY=1 came while /readyz is %d", code)
	}
	m.await(t, "STATUS=2 of 2 GPUs read")

	fed := func() int { n, _ := m.count("WATCHDOG=1"); return n }
	grows := func(what string) {
		t.Helper()
		from := fed()
		waitFor(t, "the watchdog to be fed "+what, func() bool { return fed() >= from+3 })
	}
	grows("while both GPUs are read")
	hang(true, false)
	waitFor(t, "/readyz to see the GPU that hangs", func() bool { return d.status("/readyz") == 503 })
	grows("while one of two hangs")
	hang(true, true)
	waitFor(t, "a stop of the feeding", func() bool { return strings.Contains(d.log.String(), "sampling stands still") })
	_, stopped := m.count("WATCHDOG=1")
	time.Sleep(600 * time.Millisecond) // six times as long as between two
	if _, last := m.count("WATCHDOG=1"); last != stopped {
		t.Error("the watchdog is fed while no GPU is read")
	}
	if code := d.status("/healthz"); code != 200 {
		t.Errorf("/healthz = %d: the test means a living process whose sampling stands still", code)
	}
	if n, _ := m.count("STOPPING=1"); n != 0 {
		t.Error("STOPPING=1 before SIGTERM")
	}
	if took, err := d.stop(); err != nil || took > 2*time.Second {
		t.Errorf("SIGTERM: %v after %v", err, took)
	}
	m.await(t, "STOPPING=1")
	if n, _ := m.count("READY=1"); n != 1 {
		t.Errorf("READY=1 came %d times", n)
	}
}

// Without a GPU there is nothing to wait for and nothing that could stand still: the unit starts and stays. A
// WATCHDOG_PID of another process means that the watchdog is not ours.
func TestSystemdIsToldWithoutGPU(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	serve(t, m.env("100000"), "--backend", "none", "--interval", "10ms")
	m.await(t, "READY=1")
	m.await(t, "STATUS=0 of 0 GPUs read")
	waitFor(t, "the watchdog to be fed", func() bool { n, _ := m.count("WATCHDOG=1"); return n > 5 })

	other := newManager(t)
	env := other.env("100000")
	env[2] = "WATCHDOG_PID=1"
	d := serve(t, env, "--backend", "none")
	other.await(t, "READY=1")
	if err := d.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	other.await(t, "STOPPING=1")
	if n, _ := other.count("WATCHDOG=1"); n != 0 {
		t.Errorf("fed another process's watchdog %d times", n)
	}
}
