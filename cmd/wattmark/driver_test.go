package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wattmark/internal/nvmldouble"
)

// play makes the scripted driver follow another script.
func (l *lives) play(script nvmldouble.Script) {
	l.Helper()
	_, file, _ := strings.Cut(l.env[0], "=")
	if err := script.Write(file); err != nil {
		l.Fatal(err)
	}
}

// The driver's library is not there when the daemon starts: it is found later, and measures.
func TestLibraryAppearsLater(t *testing.T) {
	script := restless(time.Now())
	library, err := nvmldouble.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "nvml.script")
	if err := script.Write(file); err != nil {
		t.Fatal(err)
	}
	later := filepath.Join(t.TempDir(), "libnvidia-ml.so.1")
	d := serve(t, []string{nvmldouble.ScriptVariable + "=" + file},
		"--nvml-library", later, "--sysfs-root", t.TempDir(), "--amdsmi-library", "/nowhere/libamd_smi.so", "--interval", "100ms")
	if status := d.status("/readyz"); status != 503 {
		t.Errorf("/readyz = %d without a GPU", status)
	}
	if status, body := d.post("/v1/mark-start", "run", "early"); status != 503 || !strings.Contains(string(body), later) {
		t.Errorf("mark-start = %d %s", status, body)
	}
	text, err := os.ReadFile(library)
	if err == nil {
		err = os.WriteFile(later+".new", text, 0o755)
	}
	if err == nil {
		err = os.Rename(later+".new", later)
	}
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	d.ready()
	t.Logf("ready %.1f s after the library came", time.Since(began).Seconds())
	d.must("/v1/mark-start", "run", "r", "expected_num_gpus", "4")
	time.Sleep(500 * time.Millisecond)
	r := d.must("/v1/mark-end", "run", "r")
	checkTruth(t, script, r)
	if r["power_valid"] != true || r["backend"] != "nvidia" {
		t.Errorf("backend %v, reasons %v", r["backend"], r["reasons"])
	}
	if metrics := string(d.get("/metrics")); !strings.Contains(metrics, "wattmark_backend_up{backend=\"nvidia\"} 1") {
		t.Error("/metrics does not say that the backend is up")
	}
	if took, err := d.stop(); err != nil || took > 2*time.Second {
		t.Errorf("SIGTERM: %v after %v", err, took)
	}
}

// The driver is unloaded and loaded anew, and its counters start again: the daemon goes on, the window over it says
// what happened, the next one is good.
func TestDriverGoesAway(t *testing.T) {
	script := restless(time.Now())
	for i := range script.GPUs {
		script.GPUs[i].CounterBaseJoules = 1e6 // the driver has run for a while
	}
	l := newLives(t, script, "--interval", "100ms", "--max-gap", "1s")
	d := l.next().ready()
	d.must("/v1/mark-start", "run", "over")
	time.Sleep(300 * time.Millisecond)

	gone := script
	gone.DriverLoad, gone.InitReturns = 1, 9
	l.play(gone)
	waitFor(t, "/readyz to say so", func() bool {
		body := d.fetch("/readyz")
		return strings.Contains(body, "driver not loaded")
	})
	for i := range script.GPUs { // of the same GPUs, whose counters have begun anew
		script.GPUs[i].Faults = []nvmldouble.Fault{nvmldouble.CounterReset(time.Since(script.Origin))}
	}
	script.DriverLoad = 1
	l.play(script)
	back := time.Now()
	d.ready()
	t.Logf("back %.1f s after the driver", time.Since(back).Seconds())
	r := d.must("/v1/mark-end", "run", "over")
	for _, gpu := range r.gpus(t) {
		if reasons, notes := fmt.Sprint(gpu["reasons"]), fmt.Sprint(gpu["notes"]); reasons != "[sampling_gap_exceeded]" || !strings.Contains(notes, "energy_counter_fell") {
			t.Errorf("GPU %v: reasons %s, notes %s", gpu["index"], reasons, notes)
		}
	}
	d.must("/v1/mark-start", "run", "after")
	time.Sleep(500 * time.Millisecond)
	after := d.must("/v1/mark-end", "run", "after")
	if after["power_valid"] != true {
		t.Errorf("after: reasons %v", after["reasons"])
	}
	checkTruth(t, script, after)
	for _, say := range []string{"read failing", "NVML initialised anew", "read recovered"} {
		if !strings.Contains(d.log.String(), say) {
			t.Errorf("the log lacks %q", say)
		}
	}
}

// The driver is upgraded under the daemon: it executes itself anew, as the same process on the same socket, and the
// window goes on.
func TestDriverUpgrade(t *testing.T) {
	script := restless(time.Now())
	l := newLives(t, script, "--interval", "100ms")
	m := newManager(t)
	l.env = append(l.env, m.env("")...)
	d := l.next().ready()
	started := d.must("/v1/mark-start", "run", "over")
	before := niceOf(t, d.command.Process.Pid)
	time.Sleep(200 * time.Millisecond)
	upgrade := time.Now()
	script.Upgraded = time.Since(script.Origin)
	l.play(script)
	waitFor(t, "the new process", func() bool { return strings.Contains(d.log.String(), "window resumed") })
	t.Logf("the next process runs %.1f s after the upgrade", time.Since(upgrade).Seconds())
	d.ready()
	r := d.must("/v1/mark-end", "id", started["id"].(string))
	checkTruth(t, script, r)
	if notes := fmt.Sprint(r["notes"]); r["power_valid"] != true || !strings.Contains(notes, "daemon_restarted") {
		t.Errorf("reasons %v, notes %s", r["reasons"], notes)
	}
	if now := niceOf(t, d.command.Process.Pid); now != before {
		t.Errorf("the priority went from %s to %s", before, now)
	}
	waitFor(t, "systemd to be told again", func() bool { n, _ := m.count("READY=1"); return n == 2 })
	if n, _ := m.count("STOPPING=1"); n > 0 { // it would kill a unit that goes on
		t.Error("systemd was told of a stop")
	}

	// Now it does not help: three times in ten minutes, and no more.
	script.InitReturns = 18
	script.DriverLoad = 1
	l.play(script)
	waitFor(t, "the daemon to give up", func() bool { return strings.Contains(d.log.String(), "did not help") })
	if n := strings.Count(d.log.String(), "executing anew, open windows go on"); n != 3 {
		t.Errorf("executed anew %d times, want 3", n)
	}
	if status := d.status("/healthz"); status != 200 {
		t.Errorf("/healthz = %d", status)
	}
	script.InitReturns = 0
	l.play(script)
	d.ready()
	if took, err := d.stop(); err != nil || took > 2*time.Second {
		t.Errorf("SIGTERM: %v after %v", err, took)
	}
}

func TestNextReexec(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	times := ""
	for i := range 3 {
		next, ok := nextReexec(times, now.Add(time.Duration(i)*time.Minute))
		if !ok {
			t.Fatalf("not a %d. time", i+1)
		}
		times = next
	}
	if next, ok := nextReexec(times, now.Add(9*time.Minute)); ok || next != times {
		t.Errorf("a fourth time within 10 minutes: %q", next)
	}
	if next, ok := nextReexec(times, now.Add(10*time.Minute)); !ok || strings.Count(next, ",") != 2 {
		t.Errorf("when the first is 10 minutes ago: %q, %v", next, ok)
	}
	if next, ok := nextReexec("rubbish,,12x", now); !ok || next != "1800000000" {
		t.Errorf("rubbish: %q, %v", next, ok)
	}
}

// niceOf returns the nice value of a process.
func niceOf(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, fields, _ := strings.Cut(string(text), ") ") // from the third on
	return strings.Fields(fields)[19-3]
}
