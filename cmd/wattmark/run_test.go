package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wattmark/internal/nvmldouble"
)

// scriptedRun returns the flags and environment that make wattmark run measure the scripted GPUs by itself.
func scriptedRun(t *testing.T, script nvmldouble.Script) (flags, env []string) {
	t.Helper()
	flags, env = scripted(t, script)
	return append([]string{"run", "--addr", "none"}, flags...), env
}

// Alone, on the true driver path: the energy is the true one within its bound, the command's streams and exit code are
// its own, and the files are there.
func TestRunAlone(t *testing.T) {
	t.Parallel()
	script := decoding(time.Now())
	flags, env := scriptedRun(t, script)
	dir := t.TempDir()
	command := exec.Command(program(t), append(flags, "--json", "r.json", "--csv", "r.csv", "--bench-result", "bench.json",
		"--expected-num-gpus", "8", "--",
		"sh", "-c", `cat; sleep 3.2; echo '{"completed":2,"total_input_tokens":100,"total_output_tokens":50}' > bench.json; exit 7`)...)
	command.Dir, command.Env = dir, append(os.Environ(), env...)
	var out, errs bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader("in\x00put"), &out, &errs
	if _ = command.Run(); command.ProcessState.ExitCode() != 7 {
		t.Fatalf("exit code %d, want the command's 7\n%s", command.ProcessState.ExitCode(), &errs)
	}
	if out.String() != "in\x00put" {
		t.Errorf("stdout = %q, want the command's alone", &out)
	}
	r := decode(t, []byte(read(t, dir, "r.json")))
	checkTruth(t, script, r)
	if d := r.number(t, "duration_s"); r["power_valid"] != true || d < 3.2 || d > 4 {
		t.Errorf("power_valid %v, duration_s %v, reasons %v; want true, 3.2 to 4", r["power_valid"], d, r["reasons"])
	}
	if got, want := r.number(t, "joules_per_output_token"), r.number(t, "total_gpu_energy_j")/50; got < want*0.999 || got > want*1.001 {
		t.Errorf("joules_per_output_token = %v, want %v", got, want)
	}
	for _, word := range []string{"wattmark: valid", "NVIDIA H200", "average W", "peak W", "exit code 7", "per output token"} {
		if !strings.Contains(errs.String(), word) {
			t.Errorf("stderr has no %q:\n%s", word, &errs)
		}
	}
	checkRunCSV(t, dir, r)
	checkRunWindow(t, dir, r)
}

// checkRunWindow holds the file of --json to what report and aggregate --window make of it: the same energy again.
func checkRunWindow(t *testing.T, dir string, r answerJSON) {
	t.Helper()
	text, errs, code := wattmark(t, dir, nil, "report", "r.json", "--format", "md")
	if !strings.Contains(text, "valid") {
		t.Errorf("report: exit code %d\n%s%.600s", code, errs, text)
	}
	write(t, dir, "agg_window.json", "{}")
	out, errs, _ := wattmark(t, dir, nil, "aggregate", "--window", "r.json", "--bench-result", "bench.json", "--agg-result", "agg_window.json",
		"--require-power", "--json")
	again := decode(t, []byte(out))
	if again["power_valid"] != true || again["total_gpu_energy_j"] != r["total_gpu_energy_j"] || again["energy_bound_j"] != r["energy_bound_j"] {
		t.Errorf("aggregate --window: valid %v, %v J ± %v, reasons %v; want true, %v ± %v\n%s", again["power_valid"], again["total_gpu_energy_j"],
			again["energy_bound_j"], again["reasons"], r["total_gpu_energy_j"], r["energy_bound_j"], errs)
	}
}

// checkRunCSV holds the CSV of a run to what aggregate --csv makes of it: the energy by the benchmark's arithmetic.
func checkRunCSV(t *testing.T, dir string, r answerJSON) {
	t.Helper()
	start, end := r.number(t, "start_unix"), r.number(t, "end_unix")
	write(t, dir, "csv.json", fmt.Sprintf(`{"benchmark_start_time_unix": %.6f, "benchmark_end_time_unix": %.6f, "duration": %.6f, "completed": 2, "total_input_tokens": 100, "total_output_tokens": 50}`, start, end, end-start))
	write(t, dir, "agg_csv.json", "{}")
	out, errs, code := wattmark(t, dir, nil, "aggregate", "--csv", "r.csv", "--bench-result", "csv.json", "--agg-result", "agg_csv.json",
		"--expected-num-gpus", "8", "--require-power", "--json")
	if code != 0 {
		t.Fatalf("%s\n%s\n%.500s", errs, out, read(t, dir, "r.csv"))
	}
	if got, want := decode(t, []byte(out)).number(t, "total_gpu_energy_j"), r.number(t, "total_gpu_energy_j"); got < 0.85*want || got > 1.15*want {
		t.Errorf("the CSV's energy is %.1f J, that of the counters %.1f J", got, want)
	}
}

// With a daemon: its window, its GPUs, the benchmark's own stamps.
func TestRunWithADaemon(t *testing.T) {
	t.Parallel()
	d := serve(t, nil, "--backend", "sim", "--sim", "4xH200,load=decode", "--allow-simulated").ready()
	dir := t.TempDir()
	_, errs, code := wattmark(t, dir, nil, "run", "--addr", d.base, "--run", "named", "--gpus", "1,3", "--json", "r.json",
		"--csv", "r.csv", "--bench-result", "bench.json", "sh", "-c", `
sleep 0.5; a=$(date +%s.%N); sleep 1; b=$(date +%s.%N)
echo "{\"benchmark_start_time_unix\": $a, \"benchmark_end_time_unix\": $b, \"duration\": 1.0, \"completed\": 2, \"total_input_tokens\": 100, \"total_output_tokens\": 50}" > bench.json`)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, errs)
	}
	r := decode(t, []byte(read(t, dir, "r.json")))
	if d := r.number(t, "duration_s"); r["run"] != "named" || len(r.gpus(t)) != 2 || r["power_valid"] != true || d < 0.95 || d > 1.3 {
		t.Errorf("run %v, %d GPUs, power_valid %v, reasons %v, duration_s %v; want named, 2, true, the benchmark's second", r["run"], len(r.gpus(t)), r["power_valid"], r["reasons"], d)
	}
	if !strings.Contains(errs, "the benchmark's own window") {
		t.Errorf("stderr does not say what the window is:\n%s", errs)
	}
	if csv := read(t, dir, "r.csv"); strings.Contains(csv, ", 0, ") || !strings.Contains(csv, ", 3, ") || !strings.HasPrefix(csv, "timestamp, index, power.draw [W]") {
		t.Errorf("--csv has\n%s\nwant readings of GPUs 1 and 3", csv)
	}
	if _, err := os.Stat(filepath.Join(d.results, "power_window_named.json")); err != nil {
		t.Error("the daemon did not measure it:", err)
	}
	checkRunWindow(t, dir, r)
	var open struct{ Open []any }
	if err := json.Unmarshal(d.get("/v1/windows"), &open); err != nil || len(open.Open) > 0 {
		t.Errorf("windows left open: %v, %v", open, err)
	}
}

// A daemon that refuses the mark is no reason not to measure.
func TestRunWhereTheDaemonRefuses(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a-token-of-some-length-0123456789\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := serve(t, nil, "--backend", "sim", "--sim", "2xH200", "--allow-simulated", "--write-token-file", token).ready()
	base := []string{"run", "--addr", d.base, "--backend", "sim", "--sim", "3xH200", "--allow-simulated", "--json", "r.json"}
	for _, test := range []struct {
		flags []string
		gpus  int
		says  string
	}{{nil, 3, "this process measures by itself"}, {[]string{"--token-file", token}, 2, "wattmark: valid"}} {
		dir := t.TempDir()
		_, errs, code := wattmark(t, dir, nil, append(append(base, test.flags...), "--", "sh", "-c", "sleep 0.5; exit 4")...)
		if code != 4 || !strings.Contains(errs, test.says) {
			t.Fatalf("%q: exit code %d, want 4 and %q\n%s", test.flags, code, test.says, errs)
		}
		if n := len(decode(t, []byte(read(t, dir, "r.json"))).gpus(t)); n != test.gpus {
			t.Errorf("%q: %d GPUs, want %d", test.flags, n, test.gpus)
		}
	}
}

func TestRunWithoutAGPU(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, errs, code := wattmark(t, dir, nil, "run", "--addr", "none", "--backend", "none", "--json", "r.json", "--", "sh", "-c", "echo out; exit 3")
	if code != 3 || out != "out\n" || !strings.Contains(errs, "there is no GPU") || !strings.Contains(errs, "exit code 3") {
		t.Errorf("exit code %d, stdout %q, stderr:\n%s\nwant 3, the command's, and that there is no GPU", code, out, errs)
	}
	r := decode(t, []byte(read(t, dir, "r.json")))
	if r["power_valid"] != false || r["total_gpu_energy_j"] != nil || !strings.Contains(read(t, dir, "r.json"), "no_usable_power_samples") {
		t.Errorf("got %v, want no energy, and the reason", r)
	}
	if text, errs, code := wattmark(t, dir, nil, "report", "r.json", "--format", "md"); code != 0 || !strings.Contains(text, "not valid") {
		t.Errorf("report: exit code %d\n%s%.600s", code, errs, text)
	}
}

func TestRunExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "plain", "no program")
	base := []string{"run", "--addr", "none", "--backend", "none"}
	for _, test := range []struct {
		args []string
		want int
	}{
		{[]string{"--", "true"}, 0},
		{[]string{"false"}, 1},
		{[]string{"sh", "-c", "exit 255"}, 255},
		{[]string{"sh", "-c", "kill -9 $$"}, 137},
		{[]string{"sh", "-c", "kill -TERM $$"}, 143},
		{[]string{"no-such-program"}, 127},
		{[]string{"./plain"}, 126},
		{[]string{}, 2},
		{[]string{"--addr", "n1:9844,n2:9844", "true"}, 2},
		{[]string{"--"}, 2},
		{[]string{"--interval", "1ms", "true"}, 2},
		{[]string{"--bench-result", "missing.json", "--", "true"}, 0},
		{[]string{"--json", "/no/such/folder/r.json", "--", "true"}, 0},
	} {
		_, errs, code := wattmark(t, dir, nil, append(base, test.args...)...)
		if code != test.want {
			t.Errorf("%q: exit code %d, want %d\n%s", test.args, code, test.want, errs)
		}
	}
}

// A driver that hangs while the command runs costs its exit half a second, and that GPU's energy; nothing else.
func TestRunWithAHungDriver(t *testing.T) {
	t.Parallel()
	script := twoGPUs(0)
	const hangs = 4 * time.Second
	script.GPUs[0].Faults = []nvmldouble.Fault{nvmldouble.Hangs("nvmlDeviceGetFieldValues").From(hangs)}
	flags, env := scriptedRun(t, script)
	dir := t.TempDir()
	long := time.Until(script.Origin.Add(hangs + time.Second)).Seconds()
	began := time.Now()
	_, errs, code := wattmark(t, dir, env, append(flags, "--json", "r.json", "--", "sh", "-c", fmt.Sprintf("sleep %.3f; exit 5", long))...)
	if took := time.Since(began).Seconds(); code != 5 || took > long+3 {
		t.Errorf("exit code %d after %.1f s, want 5 after %.1f s and a little\n%s", code, took, long, errs)
	}
	gpus := decode(t, []byte(read(t, dir, "r.json"))).gpus(t)
	if len(gpus) != 2 || fmt.Sprint(gpus[0]["reasons"]) != "[benchmark_window_not_bracketed]" || fmt.Sprint(gpus[1]["reasons"]) != "[]" {
		t.Errorf("%d GPUs, reasons %v, %v; want the first not bracketed\n%s", len(gpus), gpus[0]["reasons"], gpus[1]["reasons"], errs)
	}
}

// The command starts at once: nothing waits for the calibration of the counters.
func TestRunStartsAtOnce(t *testing.T) {
	t.Parallel()
	flags, env := scriptedRun(t, twoGPUs(0))
	best := time.Hour
	for range 3 { // other tests run beside this one
		began := time.Now()
		if _, errs, code := wattmark(t, t.TempDir(), env, append(flags, "true")...); code != 0 {
			t.Fatalf("exit code %d\n%s", code, errs)
		}
		best = min(best, time.Since(began))
	}
	if best > 1500*time.Millisecond {
		t.Errorf("true took %v, start and end of wattmark included; want less than 1.5 s", best)
	}
}
