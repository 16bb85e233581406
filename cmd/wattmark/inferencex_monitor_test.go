package main

import (
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wattmark/internal/nvmldouble"
)

// benchmark is a script that measures for some seconds, between a start-up and an end that are not to be counted, and
// leaves a result as InferenceX's client does.
const benchmark = `
source "$MONITOR"
start_gpu_monitor --output "$WORKSPACE/gpu_metrics.csv" --interval 0.5
sleep 0.7
start=$(date +%s.%N)
sleep 2
end=$(date +%s.%N)
echo "{\"benchmark_start_time_unix\": $start, \"benchmark_end_time_unix\": $end, \"duration\": $(python3 -c "print($end - $start)"),
  \"completed\": 10, \"total_input_tokens\": 1000, \"total_output_tokens\": 500}" > "$RESULT_FILENAME.json"
sleep 0.7
stop_gpu_monitor
`

// The whole of a fixed-sequence run: the monitor in the container, which then is gone; the aggregate and the finalize
// step on the host, twice.
func TestInferenceXMonitor(t *testing.T) {
	t.Parallel()
	j := newJob(t, simulatedPair()...)
	out, err := j.container(benchmark)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rows := strings.Split(read(t, j.workspace, "gpu_metrics.csv"), "\n")
	if len(rows) < 12 || !strings.HasPrefix(rows[0], "timestamp, index, power.draw [W], temperature.gpu,") || rows[len(rows)-1] != "" {
		t.Errorf("gpu_metrics.csv:\n%s", strings.Join(rows, "\n"))
	}
	name := j.aggregate()
	// What process_result.py itself finds in the CSV: it is there when the finalize step comes.
	const fromCSV = `wattmark aggregate --csv gpu_metrics.csv --csv-zone UTC --bench-result "$RESULT_FILENAME.json" \
		--agg-result "agg_$RESULT_FILENAME.json" --expected-num-gpus 2 --require-power`
	if out, err := j.bash(fromCSV, j.host); err != nil {
		t.Fatalf("from the CSV: %v\n%s", err, out)
	}
	upstream := decode(t, []byte(read(t, j.workspace, name))).number(t, "total_gpu_energy_j")
	if out, err := j.finalize("--require-power"); err != nil {
		t.Fatalf("finalize: %v\n%s", err, out)
	}
	v := decode(t, []byte(read(t, j.workspace, "power_validation_dsr1_tp2_conc4.json")))
	if v["integration_method"] != "hardware_energy_counter_with_edge_correction" || j.off(upstream, "dsr1_tp2_conc4.json") > 0.03 {
		t.Errorf("method %v; from the CSV %v J, want about 2000", v["integration_method"], upstream)
	}
	text := read(t, j.workspace, name)
	a := decode(t, []byte(text))
	if joules := a.number(t, "total_gpu_energy_j"); a["power_valid"] != 1.0 || j.off(joules, "dsr1_tp2_conc4.json") > 0.03 || math.Abs(a.number(t, "joules_per_output_token")-joules/500) > 1e-5 {
		t.Errorf("aggregate %s: want 2 GPUs at 500 W for about 2 s, 500 tokens", text)
	}
	before, err := os.Stat(filepath.Join(j.workspace, name))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := j.finalize("--require-power"); err != nil {
		t.Fatalf("finalize again: %v\n%s", err, out)
	}
	after, err := os.Stat(filepath.Join(j.workspace, name))
	if err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) || read(t, j.workspace, name) != text {
		t.Errorf("the second time it was written again: %v", err)
	}
	j.checkFiles()
}

// The same through the NVIDIA driver's library, of which the true energy of the benchmark's phase is known. It takes 3 s to
// come up: the benchmark waits for it.
func TestInferenceXMonitorOnNVML(t *testing.T) {
	t.Parallel()
	script := nvmldouble.Script{Origin: time.Now()}
	for range 2 {
		script.GPUs = append(script.GPUs, nvmldouble.H200(nvmldouble.Trace{Decode: nvmldouble.Decode{
			Idle: 80, Prefill: 690, Plateau: 560, PrefillTime: 100 * time.Millisecond, BusyTime: time.Hour, Period: 2 * time.Hour,
		}}))
	}
	script.InitHangs = true
	library, file := nvmlLibrary(t, script)
	script.InitHangs = false
	up := time.AfterFunc(3*time.Second, func() {
		if err := script.Write(file); err != nil {
			t.Error(err)
		}
	})
	defer up.Stop()
	j := newJob(t, "WATTMARK_BACKEND=nvidia", "WATTMARK_NVML_LIBRARY="+library, nvmldouble.ScriptVariable+"="+file, "WATTMARK_LISTEN=127.0.0.1:0")
	if out, err := j.container(benchmark); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	j.aggregate()
	if out, err := j.finalize("--require-power"); err != nil {
		t.Fatalf("finalize: %v\n%s", err, out)
	}
	v := decode(t, []byte(read(t, j.workspace, "power_validation_dsr1_tp2_conc4.json")))
	w := answerJSON(v["benchmark_window"].(map[string]any))
	at := func(key string) time.Time { return time.UnixMicro(int64(w.number(t, key) * 1e6)) }
	truth := 0.0
	for i := range script.GPUs {
		truth += script.TrueJoules(i, at("start_time_unix"), at("end_time_unix"))
	}
	a := decode(t, []byte(read(t, j.workspace, "agg_dsr1_tp2_conc4.json")))
	if v["integration_method"] != "hardware_energy_counter_with_edge_correction" {
		t.Errorf("method %v", v["integration_method"])
	}
	if joules, bound := a.number(t, "total_gpu_energy_j"), v.number(t, "energy_bound_j"); math.Abs(joules-truth) > 2*bound || bound > 0.1*truth { // 4 σ: once in 16,000 runs
		t.Errorf("%v J, want %v ± %v", joules, truth, bound)
	}
}

// A GPU whose driver call hangs holds the benchmark up for some seconds; its window has the other GPU, and the reason.
func TestInferenceXMonitorWithAHungGPU(t *testing.T) {
	t.Parallel()
	script := twoGPUs(0)
	script.GPUs[1].Faults = []nvmldouble.Fault{nvmldouble.Hangs("nvmlDeviceGetUtilizationRates")} // who it is, it says
	library, file := nvmlLibrary(t, script)
	j := newJob(t, "WATTMARK_BACKEND=nvidia", "WATTMARK_NVML_LIBRARY="+library, nvmldouble.ScriptVariable+"="+file, "WATTMARK_LISTEN=127.0.0.1:0")
	began := time.Now()
	out, err := j.container(benchmark)
	if took := time.Since(began); err != nil || took > 20*time.Second { // 10 s, 3.4 s of them the benchmark's
		t.Errorf("%v after %v", err, took)
	}
	if !strings.Contains(out, "[GPU Monitor] warning: going on without what hangs: ") || !strings.Contains(out, "GPU 1 (") || strings.Contains(out, "GPU 0 (") {
		t.Errorf("it says\n%s", out)
	}
	w := decode(t, []byte(read(t, j.workspace, "power_window_monitor-dsr1_tp2_conc4.json")))
	gpus := w.gpus(t)
	if len(gpus) != 2 || fmt.Sprint(gpus[0]["reasons"]) != "[]" || fmt.Sprint(gpus[1]["reasons"]) != "[no_usable_power_samples]" {
		t.Errorf("%d GPUs, reasons %v, %v", len(gpus), gpus[0]["reasons"], gpus[1]["reasons"])
	}
}

// Where nothing can be measured, nothing happens to the benchmark: no failure, no delay, one line.
func TestInferenceXMonitorDoesNoHarm(t *testing.T) {
	t.Parallel()
	const plain = `
source "$MONITOR"
source "$MONITOR"
trap stop_gpu_monitor EXIT
stop_gpu_monitor
start_gpu_monitor --output "$WORKSPACE/gpu_metrics.csv" --interval 1 --what
stop_gpu_monitor
stop_gpu_monitor
echo done
`
	const former = `
start_gpu_monitor() { echo "former start $*"; false; }
stop_gpu_monitor() { echo "former stop"; false; }
` + plain
	for _, test := range []struct {
		name, script string
		env          []string
		want         []string // lines of output
	}{
		{"no GPU", plain, []string{"WATTMARK_BACKEND=none", "WATTMARK_LISTEN=127.0.0.1:0"}, []string{"[GPU Monitor] no GPU: skipping (wattmark gpus says why)", "done"}},
		{"no wattmark", plain, []string{"WATTMARK_BIN=no-such-wattmark"}, []string{"[GPU Monitor] no wattmark here: skipping", "done"}},
		{"no wattmark, but the monitor of before", former, []string{"WATTMARK_BIN=no-such-wattmark", "WORKSPACE=/w"}, []string{
			"former stop", "[GPU Monitor] no wattmark here: the monitor of before",
			"former start --output /w/gpu_metrics.csv --interval 1 --what", "former stop", "former stop", "done", "former stop",
		}},
		{"bad settings", plain, append(simulatedPair(), "WATTMARK_INTERVAL=1s", "WATTMARK_SIM=8xTPU"), []string{
			`[GPU Monitor] wattmark has ended: wattmark: --sim: simulated GPUs "8xTPU": unknown model "TPU"; known are`, "done",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, test.env...)
			begin := time.Now()
			out, err := j.container(test.script)
			if took := time.Since(begin); err != nil || took > 10*time.Second {
				t.Fatalf("after %v: %v\n%s", took, err, out)
			}
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if len(lines) != len(test.want) {
				t.Fatalf("printed %q, want %q", lines, test.want)
			}
			for i, want := range test.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("line %d: %q, want %q", i, lines[i], want)
				}
			}
			if j.has("gpu_metrics.csv") {
				t.Error("a CSV is left")
			}
		})
	}
}

// A port that another job on the host has; a daemon that is killed; a monitor that runs twice.
func TestInferenceXMonitorTrouble(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	j := newJob(t, append(simulatedPair(), "WATTMARK_LISTEN="+l.Addr().String())...)
	out, err := j.container(`
source "$MONITOR"
start_gpu_monitor
wattmark ready
stop_gpu_monitor
start_gpu_monitor --output=gpu_metrics.csv --interval=250ms
sleep 2
kill -KILL "$GPU_MONITOR_PID"
sleep 0.2
stop_gpu_monitor
start=$(tail -n 3 gpu_metrics.csv | head -n 1 | cut -c 1-19)
end=$(date -u +%s)
[ -z "$GPU_MONITOR_PID" ]
`)
	if err != nil || strings.Contains(out, l.Addr().String()) || !strings.Contains(out, "wattmark had ended before") {
		t.Fatalf("%v\n%s", err, out)
	}
	// The last monitor left a CSV, but no window: the finalize step takes the CSV. The first one's window does not hold
	// this benchmark, so it goes first.
	if err := os.Remove(filepath.Join(j.workspace, "power_window_monitor-dsr1_tp2_conc4.json")); err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(read(t, j.workspace, "gpu_metrics.csv")), "\n")
	stamp := func(row string) float64 {
		at, err := time.Parse("2006/01/02 15:04:05.000", strings.SplitN(row, ",", 2)[0])
		if err != nil {
			t.Fatal(err)
		}
		return float64(at.UnixMilli()) / 1e3
	}
	from, to := stamp(rows[3])+0.1, stamp(rows[len(rows)-1])-0.1
	write(t, j.workspace, "dsr1_tp2_conc4.json", fmt.Sprintf(
		`{"benchmark_start_time_unix": %f, "benchmark_end_time_unix": %f, "duration": %f, "completed": 1, "total_input_tokens": 1, "total_output_tokens": 1}`,
		from, to, to-from))
	name := j.aggregate()
	if out, err := j.finalize("--require-power"); err != nil {
		t.Fatalf("finalize: %v\n%s", err, out)
	}
	if a := decode(t, []byte(read(t, j.workspace, name))); a["power_valid"] != 1.0 || math.Abs(a.number(t, "total_gpu_energy_j")-1000*(to-from)) > 5 {
		t.Errorf("from the CSV: %v, want 1000 W for %v s", a, to-from)
	}
}

// The benchmark's script is killed before it stops the monitor: the daemon does not stay behind, and what it has is on
// disk.
func TestInferenceXMonitorOutlivesNobody(t *testing.T) {
	t.Parallel()
	j := newJob(t, simulatedPair()...)
	out, err := j.container(`
source "$MONITOR"
start_gpu_monitor
echo "$GPU_MONITOR_PID" > pid
sleep 1
kill -KILL $$
`)
	if err == nil {
		t.Fatalf("the script was not killed: %s", out)
	}
	pid := strings.TrimSpace(read(t, j.workspace, "pid"))
	waitFor(t, "the daemon's end", func() bool {
		state, err := os.ReadFile("/proc/" + pid + "/stat")
		return err != nil || strings.Contains(string(state), ") Z ")
	})
	if text := read(t, j.workspace, "power_window_monitor-dsr1_tp2_conc4.json"); !strings.Contains(text, `"window_interrupted"`) {
		t.Errorf("the window's file: %.500s", text)
	}
	if _, errs, code := wattmark(t, j.workspace, nil, "serve", "--watch-pid", "4194304"); code != 2 {
		t.Errorf("no such process: %d %s", code, errs)
	}
}
