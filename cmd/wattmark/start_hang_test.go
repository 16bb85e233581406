//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wattmark/internal/amdsmidouble"
	"wattmark/internal/nvmldouble"
)

// A GPU's driver call hangs when the daemon starts: HTTP opens at once, the other GPUs are measured, /readyz says which
// one hangs, and it joins when its call returns.
func TestStartWhileAGPUHangs(t *testing.T) {
	script := restless(time.Now())
	script.GPUs[2].Faults = []nvmldouble.Fault{nvmldouble.Hangs("*")}
	l := newLives(t, script, "--interval", "100ms")
	program(t)
	began := time.Now()
	d := l.next()
	opened := time.Since(began)
	if opened > 1900*time.Millisecond { // 1.0 s on a machine that does nothing else
		t.Errorf("HTTP opened after %v", opened)
	}
	if body := d.fetch("/healthz"); !strings.Contains(body, "ok") {
		t.Errorf("/healthz: %s", body)
	}
	waitFor(t, "the other GPUs", func() bool {
		return strings.Contains(d.fetch("/readyz"), `"gpus":3`) && !strings.Contains(d.fetch("/readyz"), "no reading")
	})
	if body := d.fetch("/readyz"); d.status("/readyz") != 503 || !strings.Contains(body, "GPU 2: a driver call has not returned for") || strings.Contains(body, "GPU 1") {
		t.Errorf("/readyz: %s", body)
	}
	if list := string(d.get("/v1/gpus")); !strings.Contains(list, "GPU 2: a driver call has not returned for") {
		t.Errorf("/v1/gpus: %s", list)
	}

	if status, body := d.post("/v1/mark-start", "run", "all"); status != 503 || !strings.Contains(string(body), "gpu_waking") {
		t.Errorf("mark-start without GPU 2, which may come: %d %s", status, body)
	}
	d.must("/v1/mark-start", "run", "others", "gpus", "0,1,3")
	time.Sleep(500 * time.Millisecond)
	others := d.must("/v1/mark-end", "run", "others")
	checkTruth(t, script, others)
	if others["power_valid"] != true {
		t.Errorf("the window without the GPU: reasons %v", others["reasons"])
	}

	script.GPUs[2].Faults = nil
	l.play(script)
	lifted := time.Now()
	d.ready()
	t.Logf("HTTP after %v; the GPU joined %v after its call returned", opened, time.Since(lifted))
	d.must("/v1/mark-start", "run", "all", "expected_num_gpus", "4")
	time.Sleep(500 * time.Millisecond)
	all := d.must("/v1/mark-end", "run", "all")
	checkTruth(t, script, all)
	if all["power_valid"] != true {
		t.Errorf("with the GPU: reasons %v", all["reasons"])
	}
	if took, err := d.stop(); err != nil || took > 2*time.Second {
		t.Errorf("SIGTERM: %v after %v", err, took)
	}
}

// slowStart is more than the 1 or 2 s in which HTTP opens, for other tests run meanwhile, and less than what the drivers
// were waited for before.
const slowStart = 6 * time.Second

// All calls hang when the daemon starts, of the library or of each GPU: it answers, says so, ends within 2 s, and takes
// the GPUs in when the calls return.
func TestStartWhileTheDriverHangs(t *testing.T) {
	t.Parallel()
	for name, hang := range map[string]func(*nvmldouble.Script){
		"library": func(s *nvmldouble.Script) { s.InitHangs = true },
		"GPUs": func(s *nvmldouble.Script) {
			for i := range s.GPUs {
				s.GPUs[i].Faults = []nvmldouble.Fault{nvmldouble.Hangs("*")}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good, stuck := restless(time.Now()), restless(time.Now())
			hang(&stuck)
			l := newLives(t, stuck, "--interval", "100ms", "--gpus", "1,3")
			l.args = append(l.args, "--csv", filepath.Join(l.dir, "gpu_metrics.csv"))
			program(t)
			began := time.Now()
			d := l.next()
			opened := time.Since(began)
			if body := d.fetch("/readyz"); opened > slowStart || d.status("/healthz") != 200 || d.status("/readyz") != 503 || !strings.Contains(body, "a driver call h") || strings.Contains(body, "no GPU") {
				t.Errorf("opened after %v; /readyz: %s", opened, body)
			}
			if status, body := d.post("/v1/mark-start", "run", "r"); status != 503 || !strings.Contains(string(body), "a driver call h") || !strings.Contains(string(body), "gpu_waking") {
				t.Errorf("mark-start: %d %s", status, body)
			}
			if took, err := d.stop(); err != nil || took > 2*time.Second {
				t.Errorf("SIGTERM meanwhile: %v after %v", err, took)
			}

			d = l.next()
			time.Sleep(3 * time.Second) // it has looked again
			threads := d.statusField("Threads")
			l.play(good)
			lifted := time.Now()
			d.ready()
			joined := time.Since(lifted)
			d.must("/v1/mark-start", "run", "r", "expected_num_gpus", "2")
			time.Sleep(500 * time.Millisecond)
			r := d.must("/v1/mark-end", "run", "r")
			if r["power_valid"] != true {
				t.Errorf("reasons %v", r["reasons"])
			}
			if got := indices(t, r); len(got) != 2 || got[0] != 1 || got[1] != 3 {
				t.Errorf("GPUs %v, want 1 and 3", got)
			}
			if csv := read(t, l.dir, "gpu_metrics.csv"); !strings.HasPrefix(csv, "timestamp") || strings.Count(csv, "\n") < 9 {
				t.Errorf("--csv: %s", csv)
			}
			t.Logf("HTTP after %v; ready %v after the calls returned; %v threads meanwhile", opened, joined, threads)
			if took, err := d.stop(); err != nil || took > 2*time.Second {
				t.Errorf("SIGTERM: %v after %v", err, took)
			}
		})
	}
}

// The same of AMD's library. The header of --csv waits for the vendor.
func TestStartWhileAMDHangs(t *testing.T) {
	t.Parallel()
	good := amdsmidouble.New(2)
	stuck := good
	stuck.InitHang = true
	library, env := amdLibrary(t, 26, stuck)
	csv := filepath.Join(t.TempDir(), "gpu_metrics.csv")
	program(t)
	began := time.Now()
	d := serve(t, env, "--backend", "amd", "--amdsmi-library", library, "--sysfs-root", t.TempDir(), "--interval", "100ms", "--csv", csv)
	opened := time.Since(began)
	if body := d.fetch("/readyz"); opened > slowStart || d.status("/healthz") != 200 || !strings.Contains(body, "has not come up") {
		t.Errorf("opened after %v; /readyz: %s", opened, body)
	}
	_, file, _ := strings.Cut(env[0], "=")
	if err := good.Write(file); err != nil {
		t.Fatal(err)
	}
	lifted := time.Now()
	d.ready()
	t.Logf("HTTP after %v; ready %v after the call returned", opened, time.Since(lifted))
	var text []byte
	waitFor(t, "rows of --csv", func() bool {
		text, _ = os.ReadFile(csv)
		return strings.Count(string(text), "\n") > 2
	})
	if !strings.HasPrefix(string(text), "timestamp,gpu,") {
		t.Errorf("--csv: %.200s", text)
	}
	if took, err := d.stop(); err != nil || took > 2*time.Second {
		t.Errorf("SIGTERM: %v after %v", err, took)
	}
}
