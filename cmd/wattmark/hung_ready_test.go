//go:build linux

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"wattmark/internal/nvmldouble"
)

// Who waits for a daemon need not wait for a GPU that hangs: the others are ready, the GPU is named, marks have its reason.
func TestReadyWithAHungGPU(t *testing.T) {
	t.Parallel()
	script := twoGPUs(0)
	l := newLives(t, script, "--interval", "100ms")
	d := l.next().ready()
	addr := strings.TrimPrefix(d.base, "http://")
	if out, errs, code := wattmark(t, l.dir, nil, "ready", "--addr", addr, "--allow-degraded"); code != 0 || out+errs != "" {
		t.Errorf("all GPUs are read: exit %d, %q", code, out+errs)
	}
	script.GPUs[1].Faults = []nvmldouble.Fault{nvmldouble.Hangs("*")}
	l.play(script)
	waitFor(t, "/readyz to see it", func() bool { return d.status("/readyz") == 503 })
	const says = "GPU 1 ("
	if _, errs, code := wattmark(t, l.dir, nil, "ready", "--addr", addr, "--allow-degraded", "--wait", "1s"); code != 1 || !strings.Contains(errs, says) {
		t.Errorf("a call that takes a second does not hang: exit %d, %s", code, errs)
	}
	began := time.Now()
	_, errs, code := wattmark(t, l.dir, nil, "ready", "--addr", addr, "--allow-degraded", "--wait", "60s")
	if took := time.Since(began); code != 0 || took > 10*time.Second || !strings.Contains(errs, "warning: going on without what hangs: "+addr) ||
		!strings.Contains(errs, says) || !strings.Contains(errs, "a driver call has not returned for") || strings.Contains(errs, "GPU 0") {
		t.Errorf("--allow-degraded: exit %d after %v, %s", code, took, errs)
	}
	if _, errs, code := wattmark(t, l.dir, nil, "ready", "--addr", addr, "--wait", "300ms"); code != 1 || !strings.Contains(errs, says) {
		t.Errorf("without: exit %d, %s", code, errs)
	}
	if body := d.fetch("/readyz"); d.status("/readyz") != 503 || !strings.Contains(body, `"degraded":true`) {
		t.Errorf("/readyz: %s", body)
	}
	d.must("/v1/mark-start", "run", "r")
	time.Sleep(300 * time.Millisecond)
	gpus := d.must("/v1/mark-end", "run", "r").gpus(t)
	if fmt.Sprint(gpus[0]["reasons"]) != "[]" || fmt.Sprint(gpus[1]["reasons"]) != "[no_usable_power_samples]" { // its last reading is long ago
		t.Errorf("reasons %v, %v", gpus[0]["reasons"], gpus[1]["reasons"])
	}
}

// Without a daemon and with a GPU that hangs from the start the command runs within seconds and is measured on the other
// GPUs. Its result has the reason, unless the command was to be measured on those alone.
func TestRunWhileAGPUHangsAtTheStart(t *testing.T) {
	t.Parallel()
	const kept = 4 * time.Second // that the command is kept waiting
	for _, c := range []struct {
		name, gpus string
		hung       []int
		measured   int
		reasons    string
		says       string
	}{
		{"all", "", []int{1}, 3, "[expected_gpu_count_mismatch]", "GPU 1: a driver call has not returned for"},
		{"the others", "0,2", []int{1}, 2, "[]", "valid"},
		{"none answers", "", []int{0, 1, 2, 3}, 0, "[no_usable_power_samples]", "nothing is measured: no GPU has answered: GPU 0: a driver call"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			script := restless(time.Now())
			for _, i := range c.hung {
				script.GPUs[i].Faults = []nvmldouble.Fault{nvmldouble.Hangs("*")}
			}
			flags, env := scriptedRun(t, script)
			if c.gpus != "" {
				flags = append(flags, "--gpus", c.gpus)
			}
			dir := t.TempDir()
			began := time.Now()
			_, errs, code := wattmark(t, dir, env, append(flags, "--json", "r.json", "--", "sh", "-c", "sleep 1; exit 5")...)
			if took := time.Since(began); code != 5 || took > kept+time.Second+4*time.Second { // other tests run meanwhile
				t.Errorf("exit code %d after %v, want 5 after %v\n%s", code, took, kept+time.Second, errs)
			}
			r := decode(t, []byte(read(t, dir, "r.json")))
			if len(r.gpus(t)) != c.measured || fmt.Sprint(r["reasons"]) != c.reasons || !strings.Contains(errs, c.says) {
				t.Errorf("%d GPUs, reasons %v; want %d, %s and %q\n%s", len(r.gpus(t)), r["reasons"], c.measured, c.reasons, c.says, errs)
			}
			if c.measured > 0 {
				checkTruth(t, script, r)
			}
			if c.name == "all" && r.number(t, "expected_gpu_count") != 4 {
				t.Errorf("expected_gpu_count %v", r["expected_gpu_count"])
			}
		})
	}
}
