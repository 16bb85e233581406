package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "b.json", `{"completed": 1, "total_input_tokens": 1, "total_output_tokens": 1}`)
	write(t, dir, "huge.json", "")
	if err := os.Truncate(filepath.Join(dir, "huge.json"), 1.2e9); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want int
		says string // on stdout or stderr
	}{
		{"no command", nil, 2, "expected one of"},
		{"help", []string{"--help"}, 0, "mark-start"},
		{"help of a command", []string{"serve", "--help"}, 0, "WATTMARK_LISTEN"},
		{"version", []string{"--version"}, 0, "."},
		{"unknown flag", []string{"serve", "--frequency=5"}, 2, "unknown flag"},
		{"interval too short", []string{"serve", "--interval=1ms"}, 2, "10ms to 60s"},
		{"retention under interval", []string{"serve", "--retention=1ms"}, 2, "--retention"},
		{"unknown backend", []string{"serve", "--backend=tpu"}, 2, "--backend"},
		{"unknown model", []string{"serve", "--backend=sim", "--sim=8xTPU"}, 2, "--sim"},
		{"unknown GPU", []string{"serve", "--backend=sim", "--gpus=9"}, 2, "--gpus"},
		{"bad address", []string{"serve", "--backend=none", "--listen=nowhere"}, 1, "--listen"},
		{"no daemon", []string{"mark-end", "--addr=127.0.0.1:1"}, 1, "no answer from the daemon"},
		{"no daemon, best effort", []string{"mark-end", "--addr=127.0.0.1:1", "--best-effort"}, 0, "warning"},
		{"not ready", []string{"ready", "--addr=127.0.0.1:1", "--wait=100ms"}, 1, "no answer"},
		{"no window file", []string{"aggregate", "--window=w.json", "--bench-result=b.json", "--agg-result=a.json"}, 1, "w.json"},
		{"not a window file", []string{"aggregate", "--window=b.json", "--bench-result=b.json", "--agg-result=a.json"}, 1, "not a window file"},
		{"window file of 1.2 GB", []string{"aggregate", "--window=huge.json", "--bench-result=b.json", "--agg-result=a.json"}, 1, "too large"},
		{"aggregate without files", []string{"aggregate"}, 2, "--window"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, errs, code := wattmark(t, dir, nil, tt.args...)
			if code != tt.want || !strings.Contains(out+errs, tt.says) {
				t.Errorf("exit code %d, want %d; output lacks %q:\n%s%s", code, tt.want, tt.says, out, errs)
			}
		})
	}
}

// Every flag is an environment variable too, and the flag wins.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	d := serve(t, []string{"WATTMARK_BACKEND=sim", "WATTMARK_SIM=3xA100", "WATTMARK_GPUS=1,2"}, "--gpus", "0,2").ready()
	gpus := decode(t, d.get("/v1/gpus")).gpus(t)
	if len(gpus) != 2 || gpus[0]["index"] != 0.0 || gpus[1]["index"] != 2.0 || gpus[0]["model"] != "NVIDIA A100-SXM4-80GB" {
		t.Errorf("GPUs = %v", gpus)
	}
}

// A wrong value is reported with where it comes from.
func TestWrongVariable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		variable string
		args     []string
		says     string // "": no variable is named
	}{
		{variable: "WATTMARK_BACKEND=tpu", says: `--backend must be one of`},
		{variable: "WATTMARK_INTERVAL=often", says: `--interval: expected duration`}, // kong's own words
		{variable: "WATTMARK_INTERVAL=1h", says: `--interval is 10ms to 60s`},
		{variable: "WATTMARK_CSV_TIME=mars", args: []string{"--csv=f.csv"}, says: `--csv-time must be one of`},
		{variable: "WATTMARK_BACKEND=none", args: []string{"--backend=tpu"}},
		{variable: "WATTMARK_CSV=f.csv", args: []string{"--csv-time=mars"}},
	} {
		name, value, _ := strings.Cut(tt.variable, "=")
		_, errs, code := wattmark(t, t.TempDir(), []string{tt.variable}, append([]string{"serve"}, tt.args...)...)
		from := fmt.Sprintf("(from envar %s=%q)", name, value)
		if code != 2 || !strings.Contains(errs, tt.says) || strings.Contains(errs, from) != (tt.says != "") || strings.Count(errs, "envar") > 1 {
			t.Errorf("%s %q: exit %d, %s", tt.variable, tt.args, code, errs)
		}
	}
}

// The commands do what curl does, over a unix socket as well.
func TestCommandsOverUnixSocket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr := "unix:" + filepath.Join(dir, "wattmark.sock")
	d := served{t: t, log: &logBuffer{}}
	port := filepath.Join(dir, "port") // a socket has none
	daemon := serveCommand(t, &d, "--backend", "sim", "--sim", "2xH200", "--allow-simulated", "--results-dir", dir,
		"--listen", addr, "--port-file", port)
	waitFor(t, "the socket", func() bool { _, err := os.Stat(filepath.Join(dir, "wattmark.sock")); return err == nil })
	if _, errs, code := wattmark(t, dir, nil, "ready", "--addr", addr, "--wait", "20s"); code != 0 {
		t.Fatalf("ready: %d %s", code, errs)
	}
	if info, err := os.Stat(filepath.Join(dir, "wattmark.sock")); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket %v %v, want mode 0660", info.Mode(), err)
	}
	if out, errs, code := wattmark(t, dir, nil, "mark-start", "--addr", addr, "--run", "r1", "--expected-num-gpus", "2"); code != 0 {
		t.Fatalf("mark-start: %d %s %s", code, out, errs)
	}
	write(t, dir, "b.json", `{"completed": 10, "total_input_tokens": 100, "total_output_tokens": 50}`)
	write(t, dir, "agg_b.json", "{}")
	out, errs, code := wattmark(t, dir, []string{"WATTMARK_ADDR=" + addr}, "mark-end", "--run", "r1",
		"--benchmark-result", "b.json", "--agg-result", "agg_b.json")
	if code != 0 {
		t.Fatalf("mark-end: %d %s", code, errs)
	}
	r := decode(t, []byte(out))
	if r["power_valid"] != true || r.number(t, "joules_per_output_token") <= 0 {
		t.Errorf("result = %s", out)
	}
	if !strings.Contains(read(t, dir, "agg_b.json"), `"power_valid": 1`) {
		t.Errorf("aggregate = %s", read(t, dir, "agg_b.json"))
	}
	if err := daemon.stop(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}

// The aggregate is made after the daemon is gone: the window's file alone gives the same numbers.
func TestAggregateLater(t *testing.T) {
	t.Parallel()
	d := serve(t, nil, "--backend", "sim", "--sim", "4xH200", "--allow-simulated").ready()
	const benchmark = `{"completed": 64, "total_input_tokens": 65536, "total_output_tokens": 16384}`
	write(t, d.results, "r1.json", benchmark)
	d.must("/v1/mark-start", "run", "r1", "expected_num_gpus", "4")
	time.Sleep(1200 * time.Millisecond)
	r := d.must("/v1/mark-end", "run", "r1", "benchmark_result", "r1.json", "agg_result", "agg_r1.json")
	if status := r["agg_result"].(map[string]any)["status"]; status != "pending" {
		t.Fatalf("agg_result.status = %v, want pending", status)
	}
	if took, _ := d.stop(); took > 2*time.Second {
		t.Errorf("SIGTERM took %v", took)
	}
	write(t, d.results, "agg_r1.json", "{\n  \"hw\": \"h200\"\n}")
	args := []string{
		"aggregate", "--window", "power_window_r1.json", "--bench-result", "r1.json", "--agg-result", "agg_r1.json",
		"--expected-num-gpus", "4", "--json", "--require-power",
	}
	out, errs, code := wattmark(t, d.results, nil, args...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	later := decode(t, []byte(out))
	for _, key := range []string{
		"total_gpu_energy_j", "energy_bound_j", "avg_power_w", "avg_total_gpu_power_w", "joules_per_successful_query",
		"joules_per_input_token", "joules_per_output_token", "joules_per_total_token", "duration_s",
	} {
		if later.number(t, key) != r.number(t, key) {
			t.Errorf("%s = %v later, %v at mark-end", key, later[key], r[key])
		}
	}
	patched := read(t, d.results, "agg_r1.json")
	var numbers map[string]any
	if err := json.Unmarshal([]byte(patched), &numbers); err != nil || numbers["power_valid"] != 1.0 || len(numbers) != 10 {
		t.Errorf("aggregate = %s %v", patched, err)
	}
	if wattmark(t, d.results, nil, args...); read(t, d.results, "agg_r1.json") != patched {
		t.Error("running it twice changed the aggregate")
	}
	if _, _, code := wattmark(t, d.results, []string{"REQUIRE_POWER=yes"}, "aggregate", "--window", "power_window_r1.json",
		"--bench-result", "r1.json", "--agg-result", "agg_r1.json", "--expected-num-gpus", "8"); code != 1 {
		t.Errorf("8 GPUs expected, 4 there, REQUIRE_POWER: exit code %d, want 1", code)
	}
	if got := read(t, d.results, "agg_r1.json"); !strings.Contains(got, `"power_valid": 0`) || strings.Contains(got, "total_gpu_energy_j") {
		t.Errorf("invalid: aggregate = %s", got)
	}
}

// SIGTERM in mid-window: what was measured so far is on disk, marked as interrupted.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	d := serve(t, nil, "--backend", "sim", "--sim", "2xH200", "--allow-simulated").ready()
	d.must("/v1/mark-start", "run", "r1")
	time.Sleep(300 * time.Millisecond)
	if took, err := d.stop(); err != nil || took > 2*time.Second {
		t.Errorf("SIGTERM: %v after %v, want exit 0 within 2 s", err, took)
	}
	r := decode(t, []byte(read(t, d.results, "power_window_r1.json")))
	if reasons := r["reasons"].([]any); r["power_valid"] != false || len(reasons) != 1 || reasons[0] != "window_interrupted" {
		t.Errorf("power_valid, reasons = %v, %v", r["power_valid"], reasons)
	}
	if r.number(t, "total_gpu_energy_j") <= 0 {
		t.Error("the interrupted window has no energy")
	}
}

// No GPU and no driver: the daemon runs, and says why there is nothing to measure.
func TestNoGPU(t *testing.T) {
	t.Parallel()
	d := serve(t, nil, "--nvml-library", "/nonexistent/libnvidia-ml.so.1")
	if got := d.status("/readyz"); got != 503 {
		t.Errorf("/readyz = %d, want 503", got)
	}
	if got := d.status("/healthz"); got != 200 {
		t.Errorf("/healthz = %d, want 200", got)
	}
	if status, body := d.post("/v1/mark-start", "run", "r1"); status != 503 || !strings.Contains(string(body), "libnvidia-ml.so.1") {
		t.Errorf("mark-start = %d %s, want 503 that names the library", status, body)
	}
	if page := string(d.get("/metrics")); !strings.Contains(page, `wattmark_backend_up{backend="none"} 0`) {
		t.Errorf("/metrics lacks backend_up 0:\n%.500s", page)
	}
	out, errs, code := wattmark(t, t.TempDir(), nil, "gpus", "--nvml-library", "/nonexistent/libnvidia-ml.so.1")
	if code != 0 || !strings.Contains(out, "no GPU to measure") || !strings.Contains(out, "/nonexistent/libnvidia-ml.so.1") {
		t.Errorf("gpus = %d\n%s%s", code, out, errs)
	}
	if took, err := d.stop(); err != nil || took > 2*time.Second {
		t.Errorf("SIGTERM: %v after %v, want exit 0 within 2 s", err, took)
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	out, errs, code := wattmark(t, t.TempDir(), nil, "demo", "--load", "2s")
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	for _, want := range []string{"true J", "verdict: valid", `"joules_per_output_token"`, "/v1/mark-end"} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
}

// What templates of containers do to the environment changes nothing.
func TestEmptyAndForeignVariables(t *testing.T) {
	t.Parallel()
	env := []string{"WATTMARK_INTERVAL=", "WATTMARK_ALLOW_SIMULATED=", "WATTMARK_LISTEN=", "WATTMARK_VERSION=1.2.3"}
	out, errs, code := wattmark(t, t.TempDir(), env, "gpus", "--backend", "none")
	if code != 0 || !strings.Contains(out, "backend: none") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	d := serve(t, env, "--backend", "sim", "--sim", "1xH200").ready()
	if !strings.Contains(d.log.String(), "address=127.0.0.1:") {
		t.Errorf("it listens elsewhere:\n%s", d.log)
	}
	if _, errs, code := wattmark(t, t.TempDir(), nil, "serve", "--listen", ""); code != 2 {
		t.Errorf("no address: exit code %d, want 2: %s", code, errs)
	}
}

// A results folder that is not there yet is made; one that cannot be is a warning, and each result says so.
func TestResultsFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "file", "")
	for name, want := range map[string]string{"new/er": "", "file": "window_file_unwritable"} {
		folder := filepath.Join(dir, name)
		d := serve(t, nil, "--backend", "sim", "--sim", "1xH200", "--allow-simulated", "--results-dir", folder).ready()
		d.must("/v1/mark-start", "run", "r1")
		time.Sleep(400 * time.Millisecond)
		_, body := d.post("/v1/mark-end", "run", "r1")
		if got := strings.Contains(string(body), "window_file_unwritable"); got != (want != "") {
			t.Errorf("%s: %s", name, body)
		}
		if _, err := os.Stat(filepath.Join(folder, "power_window_r1.json")); (err == nil) != (want == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
