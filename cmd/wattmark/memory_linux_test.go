package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"wattmark/internal/memcgroup"
	"wattmark/internal/nvmldouble"
)

// kept is what the daemon says of its memory: for how long readings stay, and what is wrong with that.
func (d *served) kept() (retention time.Duration, problems string) {
	d.t.Helper()
	var state struct {
		Backend struct{ Problems []string }
		Seconds float64 `json:"retention_s"`
	}
	if err := json.Unmarshal(d.get("/v1/gpus"), &state); err != nil {
		d.t.Fatal(err)
	}
	if told := scraped(d.t, d.page(), "wattmark_retention_seconds "); told != state.Seconds {
		d.t.Errorf("/metrics says %v s, /v1/gpus %v", told, state.Seconds)
	}
	return time.Duration(state.Seconds * float64(time.Second)), strings.Join(state.Backend.Problems, "\n")
}

const shortened = "readings stay in memory for less time than asked for"

// The daemon finds the limit of its control group, and says what it means.
func TestMemoryLimitOfTheControlGroup(t *testing.T) {
	group, err := memcgroup.New(64e6)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = group.Close() })
	d := serveWithin(t, group.Command(), nil, "--backend", "sim", "--log-level", "debug").ready()
	kept, problems := d.kept()
	if kept < 8*time.Hour || kept >= 24*time.Hour {
		t.Errorf("eight GPUs are kept for %v", kept)
	}
	for _, part := range []string{"memory limit of 64 MB", kept.String(), "not 24h0m0s"} { // the control group counts in pages
		if !strings.Contains(problems, part) {
			t.Errorf("problems %q have no %q", problems, part)
		}
	}
	for _, part := range []string{shortened, "asked=24h0m0s", "kept=" + kept.String(), "limit_mb=64", "needed_mb=1"} {
		if !strings.Contains(d.log.String(), part) {
			t.Errorf("the log has no %q:\n%s", part, d.log)
		}
	}
	if n := strings.Count(d.log.String(), shortened); n != 1 {
		t.Errorf("said %d times", n)
	}
	if !strings.Contains(d.log.String(), "heap_mb=4") { // of what it has Go's garbage collector keep to
		t.Errorf("the log does not say what the heap may take:\n%s", d.log)
	}
	if took, err := d.stop(); err != nil || took > 2*time.Second {
		t.Errorf("SIGTERM: %v after %v", err, took)
	}
}

// A limit that has room for all changes nothing, and one that the user gives Go counts where there is no other.
func TestMemoryLimitOfTheEnvironment(t *testing.T) {
	for _, test := range []struct {
		env, retention string
		atLeast, below time.Duration
	}{
		{"GOMEMLIMIT=45000000", "24h", 6 * time.Hour, 24 * time.Hour},
		{"GOMEMLIMIT=45000000", "1h", time.Hour, time.Hour + 1},
		{"GOMEMLIMIT=200MiB", "24h", 24 * time.Hour, 24*time.Hour + 1},
		{"GOMEMLIMIT=200MiB", "720h", 48 * time.Hour, 96 * time.Hour},
		{"GOMEMLIMIT=1000000", "24h", time.Minute, time.Hour}, // it starts all the same
		{"GOMEMLIMIT=off", "24h", 24 * time.Hour, 24*time.Hour + 1},
		{"GOMEMLIMIT=", "24h", 24 * time.Hour, 24*time.Hour + 1}, // on a machine without a limit
	} {
		d := serve(t, []string{test.env}, "--backend", "sim", "--retention", test.retention).ready()
		kept, problems := d.kept()
		asked, _ := time.ParseDuration(test.retention)
		if short := kept < asked; kept < test.atLeast || kept >= test.below || short != (problems != "") ||
			short != strings.Contains(d.log.String(), shortened) {
			t.Errorf("%s, --retention %s: kept for %v, problems %q, log\n%s", test.env, test.retention, kept, problems, d.log)
		}
		_, _ = d.stop()
	}
}

// unrefused is what the kernel may charge above a limit for what it must not refuse: some pages, and as in memcgroup's test some more.
const unrefused = 1e6

// checkGroup holds a daemon that ran in the group to its limit.
func checkGroup(t *testing.T, group *memcgroup.Group, pid int) {
	t.Helper()
	if group == nil {
		return
	}
	inside, err := os.ReadFile(group.Procs())
	if !slices.Contains(strings.Fields(string(inside)), strconv.Itoa(pid)) {
		t.Errorf("process %d is not in the group but %q, %v: its memory was not limited", pid, inside, err)
	}
	limit, limitErr := group.Limit()
	peak, peakErr := group.Peak()
	if errors.Is(peakErr, os.ErrNotExist) { // version 2 before Linux 5.19
		peak, peakErr = group.Usage()
	}
	killed, killErr := group.Killed()
	t.Logf("control group: %.1f MB at most with page cache and kernel memory, of %.1f", float64(peak)/1e6, float64(limit)/1e6)
	if err := errors.Join(limitErr, peakErr, killErr); err != nil || limit > confinedLimit || peak > limit+unrefused || killed > 0 {
		t.Errorf("limit %d, peak %d, killed %d, %v", limit, peak, killed, err)
	}
}

// GPUs that come later take their share, and it is said then.
func TestMemoryLimitOfGPUsThatComeLater(t *testing.T) {
	script := restless(time.Now())
	library, err := nvmldouble.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file, later := filepath.Join(t.TempDir(), "nvml.script"), filepath.Join(t.TempDir(), "libnvidia-ml.so.1")
	if err := script.Write(file); err != nil {
		t.Fatal(err)
	}
	d := serve(t, []string{nvmldouble.ScriptVariable + "=" + file, "GOMEMLIMIT=30000000"}, "--nvml-library", later,
		"--sysfs-root", t.TempDir(), "--amdsmi-library", "/nowhere/libamd_smi.so")
	if kept, problems := d.kept(); kept != 24*time.Hour || strings.Contains(problems, "memory") {
		t.Errorf("without a GPU readings are kept for %v: %s", kept, problems)
	}
	if err := os.Symlink(library, later); err != nil {
		t.Fatal(err)
	}
	d.ready()
	if kept, problems := d.kept(); kept > 12*time.Hour || kept < time.Hour || !strings.Contains(problems, kept.String()) {
		t.Errorf("kept for %v: %s", kept, problems)
	}
	if n := strings.Count(d.log.String(), shortened); n != 1 {
		t.Errorf("said %d times:\n%s", n, d.log)
	}
}
