package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A fixed-sequence run of InferenceX: the daemon runs as root in a container that is killed right after mark-end, in a
// workspace of the runner's user; that user then makes the aggregate and finishes it, and can replace every file.
func TestContainerAndRunnerAreTwoUsers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root to be two users; atomicfile's tests have the rules")
	}
	const runner = 12345
	dir := t.TempDir()
	for folder := dir; folder != os.TempDir() && folder != "/"; folder = filepath.Dir(folder) {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, runner, runner); err != nil {
		t.Fatal(err)
	}
	// A binary that the runner may start: the test's own lies in a folder of root's.
	tool := filepath.Join(dir, "tool")
	content, err := os.ReadFile(program(t))
	if err == nil {
		err = os.WriteFile(tool, content, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	as := func(user uint32, name string, args ...string) (*exec.Cmd, *bytes.Buffer) {
		command := exec.Command(name, args...)
		command.Dir, command.Env = dir, append(os.Environ(), "HOME="+dir, "NAME=exp_tp4_conc8")
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		var out bytes.Buffer
		command.Stdout, command.Stderr = &out, &out
		return command, &out
	}
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}

	daemon, log := as(0, "sh", "-c", `umask 077; exec ./tool serve --listen unix:sock --backend sim --sim 4xH200 --allow-simulated --csv gpu_metrics.csv`)
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = daemon.Process.Kill() }()
	inContainer, out := as(0, "sh", "-euc", `
		./tool ready --addr unix:sock
		./tool mark-start --addr unix:sock --run $NAME --expected-num-gpus 4
		sleep 1.2
		echo '{"completed": 64, "total_input_tokens": 65536, "total_output_tokens": 16384}' > $NAME.json
		./tool mark-end --addr unix:sock --run $NAME --benchmark-result $NAME.json --agg-result agg_$NAME.json`)
	if err := inContainer.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, log)
	}
	if err := daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = daemon.Wait()

	// What the collectors of InferenceX would take for theirs (facts/inferencex.md, requirement 17).
	after, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	for _, entry := range after {
		made[entry.Name()] = true
	}
	for _, entry := range before {
		delete(made, entry.Name())
	}
	delete(made, "exp_tp4_conc8.json") // the benchmark's own
	for _, name := range []string{"gpu_metrics.csv", "power_window_exp_tp4_conc8.json", "power_validation_exp_tp4_conc8.json"} {
		if !made[name] {
			t.Errorf("no %s among %v", name, made)
		}
	}
	for name := range made {
		for _, pattern := range []string{"agg_*", "exp_tp4_conc8_*", "results*.json", "sample*.jsonl", "meta_env.json"} {
			if match, _ := filepath.Match(pattern, name); match {
				t.Errorf("%s matches %s", name, pattern)
			}
		}
	}

	onHost, out := as(runner, "sh", "-euc", `
		printf '{\n  "hw": "h200"\n}' > agg_$NAME.json
		./tool aggregate --window power_window_$NAME.json --bench-result $NAME.json --agg-result agg_$NAME.json \
			--expected-num-gpus 4 --require-power --allow-simulated
		cp agg_$NAME.json once
		./tool aggregate --window power_window_$NAME.json --bench-result $NAME.json --agg-result agg_$NAME.json \
			--expected-num-gpus 4 --require-power --allow-simulated
		cmp agg_$NAME.json once
		for file in gpu_metrics.csv power_validation_$NAME.json power_window_$NAME.json; do
			cat $file > copy; cat copy > $file; rm $file
		done`)
	if err := onHost.Run(); err != nil {
		t.Fatalf("on the host: %v\n%s", err, out)
	}
	var aggregate map[string]any
	if err := json.Unmarshal([]byte(read(t, dir, "agg_exp_tp4_conc8.json")), &aggregate); err != nil || aggregate["power_valid"] != 1.0 ||
		!strings.Contains(fmt.Sprint(aggregate), "joules_per_output_token") {
		t.Errorf("aggregate %v %v", aggregate, err)
	}
}

// An AgentX run has its aggregate in the container: mark-end patches it, and the later writer is another user again.
func TestAggregateInTheContainer(t *testing.T) {
	t.Parallel()
	d := serve(t, nil, "--backend", "sim", "--sim", "4xH200", "--allow-simulated").ready()
	d.must("/v1/mark-start", "run", "replay")
	time.Sleep(1100 * time.Millisecond)
	r := d.must("/v1/mark-end", "run", "replay")
	// As the benchmark writes it, after the window: it has no agg_ prefix there.
	write(t, d.results, "exp.json", "{\n  \"hw\": \"h200\",\n  \"tput\": 1234.5678901234567\n}")
	write(t, d.results, "agentic_power_window.json", `{"completed": 8, "total_input_tokens": 65536, "total_output_tokens": 16384}`)
	if err := os.Chmod(filepath.Join(d.results, "exp.json"), 0o664); err != nil {
		t.Fatal(err)
	}
	again := d.must("/v1/mark-end", "run", "replay", "benchmark_result", "agentic_power_window.json", "agg_result", "exp.json",
		"validation_result", "power_validation.json")
	if got := again["agg_result"].(map[string]any)["status"]; got != "patched" || again.number(t, "total_gpu_energy_j") != r.number(t, "total_gpu_energy_j") {
		t.Errorf("status %v, %v J; want patched, %v J", got, again["total_gpu_energy_j"], r["total_gpu_energy_j"])
	}
	const kept = "{\n  \"hw\": \"h200\",\n  \"tput\": 1234.5678901234567,\n  \"power_metric_schema_version\": 2,\n  \"power_valid\": 1,\n"
	if got := read(t, d.results, "exp.json"); !strings.HasPrefix(got, kept) {
		t.Errorf("aggregate %s", got)
	}
	info, err := os.Stat(filepath.Join(d.results, "exp.json"))
	if err != nil || info.Mode().Perm() != 0o664 {
		t.Errorf("mode %v, %v, want what it was", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(d.results, "power_validation.json")); err != nil {
		t.Error(err)
	}
}
