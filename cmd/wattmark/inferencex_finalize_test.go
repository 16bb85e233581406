package main

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the host's step exits with.
func TestInferenceXFinalizeExit(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	for _, test := range []struct {
		name string
		env  []string
		args []string
		want int
	}{
		{"nothing there", nil, nil, 0},
		{"bad flag", nil, []string{"--frequency"}, 2},
		{"half a pair", nil, []string{"--agg-result", "x"}, 2},
		{"no wattmark", []string{"WATTMARK_BIN=no-such"}, nil, 0},
		{"no wattmark, and it is required", []string{"WATTMARK_BIN=no-such"}, []string{"--require-power"}, 1},
		{"no power", []string{"AGG=1"}, nil, 0},
		{"no power, and it is required", []string{"AGG=1", "REQUIRE_POWER=True"}, nil, 1},
		{"neither window nor count", []string{"AGG=1", "GPU_COUNT="}, nil, 0},
	} {
		one := *j
		one.env = append(append([]string{}, j.env...), test.env...)
		if strings.Contains(strings.Join(test.env, " "), "AGG=1") {
			write(t, j.workspace, "dsr1_tp2_conc4.json", `{"completed": 1}`)
			one.aggregate()
		}
		out, err := one.finalize(test.args...)
		code := 0
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			code = exit.ExitCode()
		}
		if code != test.want {
			t.Errorf("%s: exit code %d, want %d\n%s", test.name, code, test.want, out)
		}
	}
}

// AgentX writes its aggregate inside the container, without agg_ in its name, after the monitor has stopped; the window is
// in a file of the adapter's.
func TestInferenceXAgentX(t *testing.T) {
	t.Parallel()
	j := newJob(t, simulatedPair()...)
	out, err := j.container(benchmark + `
mv "$RESULT_FILENAME.json" agentic_power_window.json
printf '{"hw": "h200"}' > "$RESULT_FILENAME.json"
bash "$(dirname "$MONITOR")/wattmark_finalize.sh" --require-power --bench-result agentic_power_window.json --agg-result "$RESULT_FILENAME.json"
`)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a := decode(t, []byte(read(t, j.workspace, "dsr1_tp2_conc4.json")))
	if joules := a.number(t, "total_gpu_energy_j"); a["power_valid"] != 1.0 || a["hw"] != "h200" || j.off(joules, "agentic_power_window.json") > 0.03 {
		t.Errorf("aggregate %v", a)
	}
}

// Two nodes that share the workspace, one for prefill and one for decode, each with its monitor; several results of one job.
func TestInferenceXNodes(t *testing.T) {
	t.Parallel()
	j := newJob(t, append(simulatedPair(), "PREFILL_GPUS=2", "DECODE_GPUS=2", "GPU_COUNT=")...)
	out, err := j.container(`
node() {
    export WATTMARK_NODE=$1 WATTMARK_ROLE=$2 WATTMARK_SIM="2xH200,load=constant,watts=$3,host=$1"
    source "$MONITOR"
    start_gpu_monitor --output "$1.csv"
    touch "$1.up"
    while [ ! -e done ]; do sleep 0.1; done
    stop_gpu_monitor
    rm "$1.up"
}
node n1 prefill 600 &
node n2 decode 400 &
while [ ! -e n1.up ] || [ ! -e n2.up ]; do sleep 0.1; done
for conc in 4 8; do
    sleep 0.3
    start=$(date +%s.%N)
    sleep 1.2
    end=$(date +%s.%N)
    echo "{\"benchmark_start_time_unix\": $start, \"benchmark_end_time_unix\": $end, \"duration\": $(python3 -c "print($end - $start)"), \"completed\": 1,
      \"total_input_tokens\": 1000, \"total_output_tokens\": 500}" > "${RESULT_FILENAME}_conc$conc.json"
done
touch done
wait
`)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, conc := range []string{"4", "8"} {
		write(t, j.workspace, "agg_dsr1_tp2_conc4_conc"+conc+".json", `{"hw": "gb200"}`)
	}
	if err := os.Chmod(j.workspace, 0o777); err != nil { // the test's own aggregates are root's
		t.Fatal(err)
	}
	if out, err := j.finalize("--require-power"); err != nil {
		t.Fatalf("finalize: %v\n%s", err, out)
	}
	for _, conc := range []string{"4", "8"} {
		a := decode(t, []byte(read(t, j.workspace, "agg_dsr1_tp2_conc4_conc"+conc+".json")))
		if a["power_valid"] != 1.0 || math.Abs(a.number(t, "prefill_avg_power_w")-600) > 30 || math.Abs(a.number(t, "decode_avg_power_w")-400) > 20 {
			t.Errorf("concurrency %s: %v, want prefill GPUs at 600 W and decode GPUs at 400 W", conc, a)
		}
	}
}

// The three lines of Python, as deploy/inferencex/README.md has them: in a client they mark; without a daemon they do
// nothing.
func TestInferenceXPython(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/inferencex/README.md")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile("(?s)```python\n(.*?)```").FindSubmatch(text)
	if match == nil {
		t.Fatal("no Python in the README")
	}
	lines := strings.Split(strings.TrimSpace(string(match[1])), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines of Python, want 3", len(lines))
	}
	client := lines[0] + "\nimport time, json\n" + lines[1] + "\nstart = time.time()\ntime.sleep(1.5)\nend = time.time()\n" + lines[2] + `
json.dump({"benchmark_start_time_unix": start, "benchmark_end_time_unix": end, "duration": end - start, "completed": 10,
           "total_input_tokens": 1000, "total_output_tokens": 500}, open(os.environ["RESULT_FILENAME"] + ".json", "w"))
`
	j := newJob(t, simulatedPair()...)
	write(t, j.workspace, "client.py", client)
	out, err := j.container(`
source "$MONITOR"
start_gpu_monitor
sleep 3 # until it is known how the counters tick
python3 client.py
stop_gpu_monitor
rm client.py
`)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	name := j.aggregate()
	if out, err := j.finalize("--require-power"); err != nil {
		t.Fatalf("finalize: %v\n%s", err, out)
	}
	v := decode(t, []byte(read(t, j.workspace, "power_validation_dsr1_tp2_conc4.json")))
	if v["run"] != "dsr1_tp2_conc4" {
		t.Errorf("measured from the window of %v, want that of the marks", v["run"])
	}
	a := decode(t, []byte(read(t, j.workspace, name)))
	if joules, bound := a.number(t, "total_gpu_energy_j"), v.number(t, "energy_bound_j"); j.off(joules, "dsr1_tp2_conc4.json") > bound/joules+0.01 || bound > 0.05*joules {
		t.Errorf("%v J ± %v, want 1000 W for about 1.5 s", joules, bound)
	}
	write(t, j.workspace, "client.py", client)
	if out, err := j.container("WATTMARK_ADDR=127.0.0.1:1 python3 client.py; unset WATTMARK_ADDR; python3 client.py"); err != nil || out != "" {
		t.Errorf("without a daemon: %v\n%s", err, out)
	}
}

// The scripts pass shellcheck, where it is installed; .ci/run installs it.
func TestShellScripts(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("../../deploy/inferencex/*.sh")
	if err != nil || len(scripts) < 2 {
		t.Fatalf("%v, %v", scripts, err)
	}
	for _, script := range scripts {
		if out, err := exec.Command("bash", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("bash -n %s: %v\n%s", script, err, out)
		}
	}
	path, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("no shellcheck here")
	}
	if out, err := exec.Command(path, scripts...).CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}
