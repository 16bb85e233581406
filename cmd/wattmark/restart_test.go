package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/internal/nvmldouble"
)

// withoutCounter is a GPU whose energy is known from its power only.
func withoutCounter(gpu nvmldouble.GPU) nvmldouble.GPU {
	gpu.Faults = append(gpu.Faults, nvmldouble.FieldReturns(83, 3), nvmldouble.Returns("nvmlDeviceGetTotalEnergyConsumption", 3))
	return gpu
}

// More than --max-gap without a daemon: the counter bridges it, power does not. And SIGTERM: the window is written as
// interrupted, goes on in the next daemon, and ends whole.
func TestRestartInsideAWindow(t *testing.T) {
	script := decoding(time.Now())
	script.GPUs = script.GPUs[:2]
	script.GPUs[1] = withoutCounter(script.GPUs[1])
	l := newLives(t, script, "--interval", "100ms", "--max-gap", "1s")
	d := l.next().ready()
	write(t, l.dir, "agg_later.json", `{"hw":"h200"}`)
	started := d.must("/v1/mark-start", "run", "long", "expected_num_gpus", "2", "role", "decode")
	d.must("/v1/mark-start", "run", "counted", "gpus", "0")
	d.must("/v1/mark-start", "run", "later", "gpus", "0")
	time.Sleep(400 * time.Millisecond)
	d.must("/v1/mark-end", "run", "later")
	if took, err := d.stop(); err != nil || took > 2*time.Second {
		t.Errorf("SIGTERM: %v after %v", err, took)
	}
	for _, run := range []string{"long", "counted"} {
		copied := decode(t, []byte(read(t, l.dir, "power_window_"+run+".json")))
		if fmt.Sprint(copied["reasons"]) != "[window_interrupted]" || copied["total_gpu_energy_j"] == nil {
			t.Errorf("%s: reasons %v, energy %v", run, copied["reasons"], copied["total_gpu_energy_j"])
		}
	}
	time.Sleep(1200 * time.Millisecond)

	d = l.next().ready()
	counted := d.must("/v1/mark-end", "run", "counted")
	checkTruth(t, script, counted)
	if notes := fmt.Sprint(counted["notes"]); counted["power_valid"] != true || !strings.Contains(notes, "daemon_restarted") || !strings.Contains(notes, "gap_bridged_by_counter") {
		t.Errorf("counted: reasons %v, notes %v", counted["reasons"], counted["notes"])
	}
	if gap := counted.gpus(t)[0].number(t, "max_gap_s"); gap < 1.2 || gap > 3 {
		t.Errorf("longest gap %v s, want a little over 1.2", gap)
	}
	long := d.must("/v1/mark-end", "id", started["id"].(string))
	for i, want := range []string{"[]", "[sampling_gap_exceeded]"} {
		if got := fmt.Sprint(long.gpus(t)[i]["reasons"]); got != want || long.gpus(t)[i]["role"] != "decode" {
			t.Errorf("GPU %d: reasons %s, want %s", i, got, want)
		}
	}
	if long["power_valid"] != false || long.number(t, "expected_gpu_count") != 2 || long.number(t, "start_unix") != started.number(t, "start_unix") {
		t.Errorf("long: %v, %v GPUs expected, start %v", long["power_valid"], long["expected_gpu_count"], long["start_unix"])
	}
	// The benchmark's data comes after the restart that followed mark-end.
	later := d.must("/v1/mark-end", "run", "later", "completed", "10", "total_input_tokens", "100", "total_output_tokens", "50", "agg_result", "agg_later.json")
	if later["power_valid"] != true || !strings.Contains(read(t, l.dir, "agg_later.json"), `"power_valid":1`) {
		t.Errorf("later: reasons %v, aggregate %s", later["reasons"], read(t, l.dir, "agg_later.json"))
	}
	checkTruth(t, script, later)
	if _, err := d.stop(); err != nil {
		t.Error(err)
	}
}

// A GPU that is gone after the restart is a reason; one that is new is not measured in the old window.
func TestRestartWithOtherGPUs(t *testing.T) {
	script := decoding(time.Now())
	script.GPUs = script.GPUs[:3]
	l := newLives(t, script, "--interval", "50ms")
	d := l.next("--gpus", "0,1").ready()
	d.must("/v1/mark-start", "run", "r")
	d.must("/v1/mark-start", "run", "one", "gpus", "1")
	time.Sleep(300 * time.Millisecond)
	d.kill()
	d = l.next("--gpus", "1,2").ready()
	one := d.must("/v1/mark-end", "run", "one")
	checkTruth(t, script, one)
	r := d.must("/v1/mark-end", "run", "r")
	if r["power_valid"] != false || r["total_gpu_energy_j"] != nil || len(r.gpus(t)) != 2 {
		t.Errorf("valid %v, energy %v, %d GPUs; want false, null, 2", r["power_valid"], r["total_gpu_energy_j"], len(r.gpus(t)))
	}
	for _, gpu := range r.gpus(t) {
		want := "[]"
		if uuid := gpu["uuid"].(string); strings.HasSuffix(uuid, "0") {
			want = "[no_usable_power_samples]"
		} else if !strings.HasSuffix(uuid, "1") {
			t.Errorf("GPU %s was not in the window", uuid)
		}
		if got := fmt.Sprint(gpu["reasons"]); got != want {
			t.Errorf("GPU %v: reasons %s, want %s", gpu["uuid"], got, want)
		}
	}
	if !strings.Contains(d.log.String(), "of_gpus_not_here=") {
		t.Error("nothing was said of readings of a GPU that is not here")
	}
}

// The state's folder cannot be used: the daemon says what to do, and measures.
func TestWithoutState(t *testing.T) {
	script := decoding(time.Now())
	script.GPUs = script.GPUs[:1]
	l := newLives(t, script, "--interval", "50ms")
	first := l.next().ready()
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		says []string
	}{
		{"another daemon has it", nil, []string{"another wattmark keeps its state here", fmt.Sprint(first.command.Process.Pid), "--state-dir of its own"}},
		{"read-only", []string{"--state-dir", "/proc/self"}, []string{"no state", "make it writable"}},
		{"a file", []string{"--state-dir", blocked}, []string{"no state"}},
		{"off", []string{"--state-dir="}, nil},
	} {
		d := l.next(test.args...).ready()
		r := d.must("/v1/mark-start", "run", "r")
		if warnings, _ := r["warnings"].([]any); len(warnings) != 0 {
			t.Errorf("%s: warnings %v", test.name, warnings)
		}
		time.Sleep(100 * time.Millisecond)
		if r := d.must("/v1/mark-end", "run", "r"); r["power_valid"] != true {
			t.Errorf("%s: reasons %v", test.name, r["reasons"])
		}
		for _, say := range test.says {
			if !strings.Contains(d.log.String(), say) {
				t.Errorf("%s: the log lacks %q", test.name, say)
			}
		}
		if test.says == nil && strings.Contains(d.log.String(), "state") {
			t.Errorf("%s: the log speaks of state", test.name)
		}
		d.kill()
	}
}

// A disk that is full takes nothing from the measurement: the mark says that a restart would lose the window.
func TestFullDisk(t *testing.T) {
	script := decoding(time.Now())
	script.GPUs = script.GPUs[:1]
	l := newLives(t, script, "--interval", "20ms", "--log-level", "debug")
	l.limitFiles = 16 << 10
	d := l.next().ready()
	waitFor(t, "the recording to fail", func() bool { return strings.Contains(d.log.String(), "recording failing") })
	if gpus := string(d.get("/v1/gpus")); !strings.Contains(gpus, "the recording cannot be written") {
		t.Errorf("/v1/gpus does not say so: %s", gpus)
	}
	waitFor(t, "the lost rows in /metrics", func() bool {
		_, rest, found := strings.Cut(d.page(), "\nwattmark_recording_dropped_rows_total ")
		return found && !strings.HasPrefix(rest, "0\n")
	})
	started := d.must("/v1/mark-start", "run", "r")
	if warnings := fmt.Sprint(started["warnings"]); !strings.Contains(warnings, "this window is lost") {
		t.Errorf("warnings %s", warnings)
	}
	time.Sleep(300 * time.Millisecond)
	r := d.must("/v1/mark-end", "run", "r")
	checkTruth(t, script, r)
	if r["power_valid"] != true {
		t.Errorf("reasons %v", r["reasons"])
	}
	limitFiles(t, d.command.Process.Pid, -1) // somebody made room
	waitFor(t, "the recording to go on", func() bool { return strings.Contains(d.log.String(), "recording goes on") })
	time.Sleep(200 * time.Millisecond)
	d.kill()
	l.limitFiles = 0
	d = l.next().ready()
	if !strings.Contains(d.log.String(), "lines_skipped=0") {
		t.Error("the recording holds a torn row")
	}
	if windows := fmt.Sprint(decode(t, d.get("/v1/windows"))["windows"]); windows != "[]" {
		t.Errorf("windows %s", windows)
	}
	if !slices.ContainsFunc(d.readingsOf(t, 0), func(at float64) bool { return at < started.number(t, "start_unix") }) {
		t.Error("no reading of the time before came back")
	}
}

// readingsOf are the times of a GPU's readings of the last minute.
func (d *served) readingsOf(t *testing.T, gpu int) (unix []float64) {
	t.Helper()
	gpus := decode(t, d.get("/v1/readings")).gpus(t)
	for _, reading := range gpus[gpu]["readings"].([]any) {
		unix = append(unix, answerJSON(reading.(map[string]any)).number(t, "unix"))
	}
	return unix
}
