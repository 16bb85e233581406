package main

import (
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wattmark/internal/amdsmidouble"
	"wattmark/internal/nvmldouble"
	"wattmark/internal/sysfsdouble"
)

// amdLibrary builds a scripted libamd_smi and returns its path and the environment that scripts it.
func amdLibrary(t *testing.T, abi int, script amdsmidouble.Script) (library string, env []string) {
	t.Helper()
	library, err := amdsmidouble.Build(t.TempDir(), abi)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "amdsmi.script")
	if err := script.Write(file); err != nil {
		t.Fatal(err)
	}
	return library, []string{amdsmidouble.ScriptEnv + "=" + file}
}

// amdSysfs makes a tree of the kernel's files that is kept up to date while the test runs.
func amdSysfs(t *testing.T, script amdsmidouble.Script, revision int) (root string) {
	t.Helper()
	root = t.TempDir()
	tree, err := sysfsdouble.New(root, script, revision)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tree.Run(ctx, 2*time.Millisecond)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return root
}

// checkAMDTruth compares each GPU's energy with the integral of its scripted load.
func checkAMDTruth(t *testing.T, script amdsmidouble.Script, r answerJSON) {
	t.Helper()
	start, end := r.edges(t)
	from := amdsmidouble.AtUnix(float64(start.UnixNano()) / 1e9)
	to := from + end.Sub(start).Nanoseconds()
	gpus := r.gpus(t)
	if len(gpus) != len(script.GPUs) {
		t.Errorf("%d GPUs, want %d", len(gpus), len(script.GPUs))
	}
	for i, gpu := range gpus {
		truth := script.TrueJoules(i, from, to)
		energy, bound := gpu.number(t, "energy_j"), gpu.number(t, "bound_j")
		if math.Abs(energy-truth) > bound {
			t.Errorf("GPU %d: %.2f J ± %.2f, truth %.2f J", i, energy, bound, truth)
		}
		if gpu["method"] != "counter" || gpu["vendor"] != "amd" {
			t.Errorf("GPU %d: method %v, vendor %v; want counter, amd; notes %v", i, gpu["method"], gpu["vendor"], gpu["notes"])
		}
	}
	if r["power_valid"] != true {
		t.Errorf("reasons %v", r["reasons"])
	}
}

// The main job on AMD, through the library and through the kernel's files, for a first and a last version of each.
func TestMarkedWindowOnAMD(t *testing.T) {
	for _, tt := range []struct {
		name, backend string
		abi, revision int
	}{
		{"libamd_smi of ROCm 6.3", "amd", 24, 0},
		{"libamd_smi of ROCm 10", "amd", 27, 0},
		{"sysfs table v1.3, library absent", "amd", 0, 3},
		{"sysfs table v1.9", "amd-sysfs", 0, 9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			script := amdsmidouble.New(4)
			args := []string{"--backend", tt.backend, "--sysfs-root", filepath.Join(t.TempDir(), "empty")}
			var env []string
			want := "amd"
			if tt.abi > 0 {
				var library string
				library, env = amdLibrary(t, tt.abi, script)
				args = append(args, "--amdsmi-library", library)
			} else {
				args[3] = amdSysfs(t, script, tt.revision)
				args = append(args, "--amdsmi-library", "/nonexistent/libamd_smi.so")
				want = "amd-sysfs"
			}
			d := serve(t, env, args...).ready()
			d.must("/v1/mark-start", "run", "r1", "expected_num_gpus", "4")
			time.Sleep(1200 * time.Millisecond) // the benchmark: the scripted GPUs keep real time
			r := d.must("/v1/mark-end", "run", "r1")
			checkAMDTruth(t, script, r)
			if r["backend"] != want {
				t.Errorf("backend %v, want %s", r["backend"], want)
			}
			if took, err := d.stop(); err != nil || took > 2*time.Second {
				t.Errorf("SIGTERM: %v after %v, want exit 0 within 2 s", err, took)
			}
		})
	}
}

// Both vendors' doubles are there: auto measures NVIDIA and says that there is AMD too.
func TestBothVendors(t *testing.T) {
	nvml, err := nvmldouble.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	script := amdsmidouble.New(2)
	library, env := amdLibrary(t, 26, script)
	root := amdSysfs(t, script, 7)
	out, errs, code := wattmark(t, t.TempDir(), env, "gpus", "--nvml-library", nvml, "--amdsmi-library", library, "--sysfs-root", root)
	if code != 0 || !strings.Contains(out, "backend: nvidia") || !strings.Contains(out, "2 of AMD's as well") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	out, errs, code = wattmark(t, t.TempDir(), env, "gpus", "--nvml-library", "/nonexistent/nvml", "--amdsmi-library", library, "--sysfs-root", root)
	if code != 0 || !strings.Contains(out, "backend: amd") || !strings.Contains(out, library) || !strings.Contains(out, "process of its own") {
		t.Errorf("without NVIDIA: exit code %d\n%s%s", code, out, errs)
	}
}

// --gpus visible follows HIP's order, which is the kernel's and not the library's.
func TestVisibleOnAMD(t *testing.T) {
	script := amdsmidouble.New(4)
	root := amdSysfs(t, script, 7)
	env := []string{"ROCR_VISIBLE_DEVICES=1,3"}
	d := serve(t, env, "--backend", "amd-sysfs", "--sysfs-root", root, "--gpus", "visible").ready()
	if gpus := decode(t, d.get("/v1/gpus")).gpus(t); len(gpus) != 2 {
		t.Errorf("%d GPUs, want the 2 of ROCR_VISIBLE_DEVICES", len(gpus))
	}
}

// The library hangs in a read for ever: the kernel's files take over, the window stands, the daemon ends in time.
func TestHungLibraryOnAMD(t *testing.T) {
	script := amdsmidouble.New(2)
	library, env := amdLibrary(t, 25, script)
	root := amdSysfs(t, script, 7)
	d := serve(t, env, "--backend", "amd", "--amdsmi-library", library, "--sysfs-root", root).ready()
	d.must("/v1/mark-start", "run", "r1")
	hung := script
	hung.GPUs = append([]amdsmidouble.GPU{}, script.GPUs...)
	hung.GPUs[1].Hang = true
	file := strings.TrimPrefix(env[0], amdsmidouble.ScriptEnv+"=")
	if err := hung.Write(file); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2500 * time.Millisecond) // the library hangs, is killed, and hangs again
	begin := time.Now()
	r := d.must("/v1/mark-end", "run", "r1")
	if took := time.Since(begin); took > 2500*time.Millisecond {
		t.Errorf("mark-end took %v, want at most 2.5 s", took)
	}
	checkAMDTruth(t, script, r)
	if took, err := d.stop(); err != nil || took > 2*time.Second {
		t.Errorf("SIGTERM: %v after %v, want exit 0 within 2 s", err, took)
	}
}
