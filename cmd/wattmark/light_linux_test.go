package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// All threads of the daemon may be woken 0.2 ms late; a slack that is larger already stands. Other commands, and what
// they start, keep theirs.
func TestTimerSlack(t *testing.T) {
	runtime.LockOSThread() // a program inherits the slack of the thread that starts it
	defer runtime.UnlockOSThread()
	usual := slack(t, strconv.Itoa(unix.Gettid()))
	child, err := exec.Command(program(t), "run", "--backend", "sim", "--allow-simulated", "--", "cat", "/proc/self/timerslack_ns").Output()
	if got := strings.TrimSpace(string(child)); err != nil || got != usual {
		t.Errorf("what run starts has a slack of %q (%v), want %s", got, err, usual)
	}
	daemonHas := func(want string) {
		t.Helper()
		d := serve(t, nil, "--backend", "sim").ready()
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", d.command.Process.Pid))
		if err != nil || len(threads) < 3 {
			t.Fatal(threads, err)
		}
		for _, thread := range threads {
			if got := slack(t, filepath.Base(thread)); got != want {
				t.Errorf("thread %s: slack of %s ns, want %s", thread, got, want)
			}
		}
	}
	daemonHas("200000")
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1e6, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) }() // what it was
	daemonHas("1000000")
}

// slack of another process is shown to those who may change its priority.
func slack(t *testing.T, thread string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + thread + "/timerslack_ns")
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
