package main

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/internal/nvmldouble"
)

// nvmlDaemon starts the daemon on a scripted driver library.
func nvmlDaemon(t *testing.T, script nvmldouble.Script, args ...string) (*served, string) {
	t.Helper()
	library, file := nvmlLibrary(t, script)
	args = append([]string{"--backend", "nvidia", "--nvml-library", library}, args...)
	return serve(t, []string{nvmldouble.ScriptVariable + "=" + file}, args...).ready(), file
}

// nvmlLibrary builds a scripted driver library and returns its path and that of its script.
func nvmlLibrary(t *testing.T, script nvmldouble.Script) (library, file string) {
	t.Helper()
	library, err := nvmldouble.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "nvml.script")
	if err := script.Write(file); err != nil {
		t.Fatal(err)
	}
	return library, file
}

// decoding are eight GPUs at work, each a little different, whose counters tick at different moments.
func decoding(origin time.Time) nvmldouble.Script {
	script := nvmldouble.Script{Origin: origin}
	for i := range 8 {
		gpu := nvmldouble.H200(nvmldouble.Trace{Decode: nvmldouble.Decode{
			Idle: 80, Prefill: 690, Plateau: 520 + 5*float64(i), PrefillTime: 400 * time.Millisecond,
			BusyTime: 3 * time.Second, Period: 3 * time.Second,
		}})
		gpu.CounterPhase = time.Duration(i) * 12 * time.Millisecond
		script.GPUs = append(script.GPUs, gpu)
	}
	return script
}

// The main job through the true driver path: NVML by go-nvml, the built daemon, marks over HTTP, the patched file.
func TestMarkedWindowOnNVML(t *testing.T) {
	script := decoding(time.Now())
	d, _ := nvmlDaemon(t, script)
	const before = `{"hw": "h200", "big": 12345678901234567890, "nan": NaN}`
	write(t, d.results, "agg_r1.json", before)
	write(t, d.results, "r1.json", `{"completed": 64, "total_input_tokens": 65536, "total_output_tokens": 16384}`)

	d.must("/v1/mark-start", "run", "r1", "expected_num_gpus", "8")
	d.must("/v1/mark-start", "run", "overlapping", "gpus", "0,1")
	time.Sleep(1300 * time.Millisecond) // the benchmark: the scripted driver keeps real time
	d.must("/v1/mark-start", "run", "nested")
	time.Sleep(1500 * time.Millisecond)
	nested := d.must("/v1/mark-end", "run", "nested")
	r := d.must("/v1/mark-end", "run", "r1", "benchmark_result", "r1.json", "agg_result", "agg_r1.json")
	overlapping := d.must("/v1/mark-end", "run", "overlapping")

	for _, result := range []answerJSON{r, nested, overlapping} {
		checkTruth(t, script, result)
	}
	if r["power_valid"] != true || r["simulated"] != false || r["backend"] != "nvidia" {
		t.Errorf("power_valid, simulated, backend = %v, %v, %v; reasons %v", r["power_valid"], r["simulated"], r["backend"], r["reasons"])
	}
	checkAggregate(t, before, read(t, d.results, "agg_r1.json"), r)

	// The same span once more, as a time that has passed.
	start, end := fmt.Sprintf("%.6f", r.number(t, "start_unix")), fmt.Sprintf("%.6f", r.number(t, "end_unix"))
	again := decode(t, d.get("/v1/energy", "start", start, "end", end))
	difference := math.Abs(again.number(t, "total_gpu_energy_j") - r.number(t, "total_gpu_energy_j"))
	if bound := r.number(t, "energy_bound_j"); difference > bound {
		t.Errorf("measured afterwards it differs by %.1f J, bound %.1f J", difference, bound)
	}
	if took, err := d.stop(); err != nil || took > 2*time.Second {
		t.Errorf("SIGTERM: %v after %v, want exit 0 within 2 s", err, took)
	}
}

// checkTruth compares each GPU's energy with the integral of its scripted power.
func checkTruth(t *testing.T, script nvmldouble.Script, r answerJSON) {
	t.Helper()
	start, end := r.edges(t)
	total := 0.0
	for _, gpu := range r.gpus(t) {
		truth := script.TrueJoules(int(gpu.number(t, "index")), start, end)
		total += truth
		energy, bound := gpu.number(t, "energy_j"), gpu.number(t, "bound_j")
		// bound_j is 2 σ; with two dozen GPUs one may lie beyond it, none beyond 4 σ.
		if math.Abs(energy-truth) > 2*bound {
			t.Errorf("%v GPU %v: %.1f J ± %.1f, truth %.1f J", r["run"], gpu["index"], energy, bound, truth)
		}
		if gpu["method"] != "counter" {
			t.Errorf("%v GPU %v: method %v, want counter; notes %v", r["run"], gpu["index"], gpu["method"], gpu["notes"])
		}
	}
	energy, bound := r.number(t, "total_gpu_energy_j"), r.number(t, "energy_bound_j")
	if math.Abs(energy-total) > 2*bound {
		t.Errorf("%v: %.1f J ± %.1f, truth %.1f J", r["run"], energy, bound, total)
	}
}

// checkAggregate wants the benchmark's bytes, then exactly the contract's keys with their decimals.
func checkAggregate(t *testing.T, before, after string, r answerJSON) {
	t.Helper()
	if prefix := strings.TrimSuffix(before, "}"); !strings.HasPrefix(after, prefix) {
		t.Fatalf("aggregate = %s, want it to begin with %s", after, prefix)
	}
	added := "{" + strings.TrimPrefix(after[len(before)-1:], ",")
	var numbers map[string]json.Number
	if err := json.Unmarshal([]byte(added), &numbers); err != nil {
		t.Fatalf("%v in %s", err, added)
	}
	keys := []string{
		"avg_power_w", "avg_total_gpu_power_w", "total_gpu_energy_j", "joules_per_successful_query",
		"joules_per_input_token", "joules_per_output_token", "joules_per_total_token",
	}
	if numbers["power_metric_schema_version"] != "2" || numbers["power_valid"] != "1" || len(numbers) != len(keys)+2 {
		t.Errorf("added keys %v", numbers)
	}
	for _, key := range keys {
		decimals := 6
		if strings.HasSuffix(key, "_w") || strings.HasSuffix(key, "_j") {
			decimals = 3
		}
		_, fraction, _ := strings.Cut(numbers[key].String(), ".")
		if len(fraction) > decimals {
			t.Errorf("%s = %s, want at most %d decimals", key, numbers[key], decimals)
		}
		x, err := numbers[key].Float64()
		if full := r.number(t, key); err != nil || math.Abs(x-full) > 0.5*math.Pow10(-decimals)+1e-9 {
			t.Errorf("%s = %s, want %v rounded", key, numbers[key], full)
		}
	}
}

// A driver call that never returns: the other GPUs are measured, the marks answer, SIGTERM ends the daemon.
func TestHungGPUOnNVML(t *testing.T) {
	script := decoding(time.Now())
	d, file := nvmlDaemon(t, script)
	d.must("/v1/mark-start", "run", "r1")
	script.GPUs[3].Faults = []nvmldouble.Fault{nvmldouble.Hangs("*")}
	if err := script.Write(file); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "/readyz to name the GPU", func() bool { return d.status("/readyz") == 503 })
	begin := time.Now()
	r := d.must("/v1/mark-end", "run", "r1")
	if took := time.Since(begin); took > 2500*time.Millisecond {
		t.Errorf("mark-end took %v, want at most 2.5 s", took)
	}
	for i, gpu := range r.gpus(t) {
		reasons, _ := gpu["reasons"].([]any)
		if i == 3 && !slices.Contains(reasons, any("benchmark_window_not_bracketed")) {
			t.Errorf("GPU 3: reasons %v", reasons)
		}
		if i != 3 && len(reasons) > 0 {
			t.Errorf("GPU %d: reasons %v, want none", i, reasons)
		}
	}
	if r["power_valid"] != false || r["total_gpu_energy_j"] != nil {
		t.Errorf("power_valid, total_gpu_energy_j = %v, %v; want false, null", r["power_valid"], r["total_gpu_energy_j"])
	}
	if took, err := d.stop(); err != nil || took > 2*time.Second {
		t.Errorf("SIGTERM: %v after %v, want exit 0 within 2 s", err, took)
	}
}
