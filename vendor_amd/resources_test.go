package amd

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestManyReadsNeedNoMoreMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("10 000 reads")
	}
	t.Parallel()
	h := newHost(t, 26, 1)
	l := h.open(LibraryOnly)
	d := l.Devices()[0].(*device)
	pid := l.Describe().Processes[0].PID
	poll := func(n int) {
		for range n {
			if _, err := d.session.Load().read(d.bdf); err != nil {
				t.Fatal(err)
			}
		}
	}
	poll(2_000)
	before, beforeOwn := resident(t, pid), resident(t, os.Getpid())
	poll(10_000)
	after := resident(t, pid)
	t.Logf("child %d kB, then %d kB; tests %d kB, then %d kB", before, after, beforeOwn, resident(t, os.Getpid()))
	if after > before+2048 {
		t.Errorf("10 000 reads took the child from %d to %d kB", before, after)
	}
}

// resident returns the memory of a process in kB.
func resident(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(status), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize() / 1024
}

// endsWithin reports whether a process is gone in time; one that nobody has waited for counts.
func endsWithin(pid int, limit time.Duration) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if syscall.Kill(pid, 0) != nil {
			return true
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if _, state, ok := strings.Cut(string(stat), ") "); err != nil || ok && strings.HasPrefix(state, "Z") {
			return true
		}
	}
	return false
}

// What a reading costs: at eight GPUs and 1 Hz this times eight is the load of a second, in both processes together.
func BenchmarkRead(b *testing.B) {
	h := newHost(b, 26, 1)
	h.script.Log = ""
	h.write()
	d := h.open(LibraryOnly).Devices()[0].(*device)
	_, state := d.session.Load().describe()
	pid := state.PID
	before := cpu(b, pid) + cpu(b, os.Getpid())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.session.Load().read(d.bdf); err != nil {
			b.Fatal(err)
		}
	}
	used := cpu(b, pid) + cpu(b, os.Getpid()) - before
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-µs/op")
}

// cpu returns the processor time that a process has used, to 10 ms.
func cpu(t testing.TB, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	var user, system int64
	_, fields, _ := strings.Cut(string(stat), ") ")
	if _, err := fmt.Sscan(strings.Join(strings.Fields(fields)[11:13], " "), &user, &system); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
