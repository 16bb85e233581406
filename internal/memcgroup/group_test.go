//go:build linux

package memcgroup

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// greedy makes this test the program that takes so much memory.
const greedy = "MEMCGROUP_TEST_GREEDY"

func TestMain(m *testing.M) {
	if os.Getenv(greedy) == "" {
		os.Exit(m.Run())
	}
	taken := make([]byte, 100<<20)
	for i := 0; i < len(taken); i += 4096 { // a page is taken when it is written
		taken[i] = 1
	}
	_, _ = os.Stdout.WriteString("took it\n")
	os.Exit(int(taken[4096]) - 1)
}

// dying is what the kernel may charge above the limit: it counts whole pages, and lets a process that it kills take the
// few that it needs to end.
const dying = 1e6

// What takes more than the limit is killed, and what takes less is not; what it took is known.
func TestLimitBites(t *testing.T) {
	for _, test := range []struct {
		limit  int64
		killed bool
	}{{20e6, true}, {800e6, false}} { // the race detector takes as much again, and more
		g, err := New(test.limit)
		if err != nil {
			t.Skip(err)
		}
		words := append(g.Command(), os.Args[0])
		run := exec.Command(words[0], words[1:]...)
		run.Env = append(os.Environ(), greedy+"=1")
		out, err := run.Output()
		var exit *exec.ExitError
		byKernel := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
		killed, killErr := g.Killed()
		peak, peakErr := g.Peak()
		if killErr != nil || byKernel != test.killed || (killed > 0) != test.killed || strings.Contains(string(out), "took it") == test.killed {
			t.Errorf("limit %d: %q, %v; killed %d, %v", test.limit, out, err, killed, killErr)
		}
		if peakErr != nil && !errors.Is(peakErr, os.ErrNotExist) { // before Linux 5.19 version 2 has no peak
			t.Error(peakErr)
		} else if peakErr == nil && (peak > test.limit+dying || peak < min(test.limit*9/10, 100<<20)) {
			t.Errorf("limit %d: peak %d", test.limit, peak)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
}
