package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The exit codes of InferenceX's script: 0 unless power is required, 1 then, 2 for a command line that makes no sense.
func TestAggregateCSVExitCodes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "r.json", string(must(jsonOf(metered(nil)))))
	write(t, dir, "gpu_metrics.csv", recorded(steady(400, 998, 1006), steady(600, 998, 1006)))
	files := []string{"aggregate", "--csv=gpu_metrics.csv", "--bench-result=r.json", "--agg-result=agg_r.json"}
	for _, tt := range []struct {
		name string
		args []string
		env  string
		want int
		says string
	}{
		{"valid", append(files, "--expected-num-gpus", "2", "--require-power"), "", 0, "valid"},
		{"invalid", append(files, "--expected-num-gpus", "4"), "", 0, "expected_gpu_count_mismatch"},
		{"invalid, in words", append(files, "--expected-num-gpus", "4"), "", 0, "run r: not valid\n  expected_gpu_count_mismatch: another number of GPUs gave readings\n"},
		{"invalid and required", append(files, "--expected-num-gpus", "4", "--require-power"), "", 1, "expected_gpu_count_mismatch"},
		{"required by the environment", append(files, "--expected-num-gpus", "4"), "REQUIRE_POWER=Yes", 1, ""},
		{"not required by the environment", append(files, "--expected-num-gpus", "4"), "REQUIRE_POWER=on", 0, ""},
		{"no GPU expected", append(files, "--expected-num-gpus", "0", "--require-power"), "", 1, "invalid_expected_gpu_count"},
		{"a negative count", append(files, "--expected-num-gpus", "-1"), "", 0, "invalid_expected_gpu_count"},
		{"a count from the environment", append(files, "--require-power"), "WATTMARK_EXPECTED_NUM_GPUS=2", 0, "valid"},
		{"no count", files, "", 2, "--expected-num-gpus"},
		{"a count that is none", append(files, "--expected-num-gpus", "two"), "", 2, "whole number"},
		{"no benchmark", []string{"aggregate", "--csv=x", "--agg-result=a", "--expected-num-gpus=1"}, "", 2, "--bench-result"},
		{"two sources", append(files, "--expected-num-gpus=2", "--window=w.json"), "", 2, "can't be used together"},
		{"no source", []string{"aggregate", "--bench-result=r.json", "--agg-result=a.json"}, "", 2, "--csv"},
		{"backfill with a file", []string{"aggregate", "--backfill=.", "--agg-result=a.json"}, "", 2, "--backfill"},
		{"no gap at all", append(files, "--expected-num-gpus=2", "--max-gap=0s"), "", 2, "--max-gap"},
		{"a smaller gap", append(files, "--expected-num-gpus=2", "--max-gap=500ms", "--require-power"), "", 1, "sampling_gap_exceeded"},
		{"unknown zone", append(files, "--expected-num-gpus=2", "--csv-zone=Mars/Olympus"), "", 2, "--csv-zone"},
		{"the csv of serve --csv", []string{"aggregate", "--window=w.json", "--bench-result=r.json", "--agg-result=a.json"}, "WATTMARK_CSV=x.csv", 1, "w.json"},
		{"validation file in the way", append(files, "--expected-num-gpus=2", "--validation-result=r.json"), "", 0, "warning"},
		{"validation file in the way, and required", append(files, "--expected-num-gpus=2", "--validation-result=r.json", "--require-power"), "", 1, "warning"},
		{"validation file elsewhere", append(files, "--expected-num-gpus=2", "--validation-result=new/v.json", "--require-power"), "", 0, "valid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			write(t, dir, "agg_r.json", "{}")
			out, errs, code := wattmark(t, dir, []string{tt.env}, tt.args...)
			if code != tt.want || !strings.Contains(out+errs, tt.says) {
				t.Errorf("exit code %d, want %d; output lacks %q:\n%s%s", code, tt.want, tt.says, out, errs)
			}
			// A run that is failed for its power explains itself all the same.
			if strings.Contains(tt.says, "_") && !strings.Contains(tt.says, " ") && !strings.Contains(read(t, dir, "power_validation_r.json"), tt.says) {
				t.Errorf("the validation file does not have %s", tt.says)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "new", "v.json")); err != nil {
		t.Error(err)
	}
}

// The same files give the same numbers on a host in another zone, if their times are clear; naive times are the host's,
// unless --csv-zone says whose. 2025-01-15 12:34:56 UTC is 1736944496.
func TestAggregateCSVZones(t *testing.T) {
	const head = "timestamp, index, power.draw [W]\n"
	row := map[string]func(second int) string{
		"epoch":  func(s int) string { return fmt.Sprintf("%d", 1736944490+s) },
		"ms":     func(s int) string { return fmt.Sprintf("%d000", 1736944490+s) },
		"offset": func(s int) string { return fmt.Sprintf("2025-01-15T04:34:%02d-08:00", 50+s) },
		"naive":  func(s int) string { return fmt.Sprintf("2025/01/15 04:34:%02d.000", 50+s) },
	}
	window := metered(map[string]any{"benchmark_start_time_unix": 1736944491, "benchmark_end_time_unix": 1736944495})
	for _, tt := range []struct {
		stamps, zone, flag string
		valid              bool
	}{
		{"epoch", "UTC", "", true},
		{"epoch", "America/Los_Angeles", "", true},
		{"ms", "America/Los_Angeles", "", true},
		{"offset", "UTC", "", true},
		{"offset", "America/Los_Angeles", "", true},
		{"naive", "America/Los_Angeles", "", true},
		{"naive", "UTC", "", false},
		{"naive", "UTC", "America/Los_Angeles", true},
		{"naive", "UTC", "-0800", true},
	} {
		t.Run(strings.Join([]string{tt.stamps, tt.zone, tt.flag}, " "), func(t *testing.T) {
			dir := t.TempDir()
			csv := head
			for s := range 9 {
				csv += row[tt.stamps](s) + ", 0, 250 W\n"
			}
			write(t, dir, "gpu_metrics.csv", csv)
			write(t, dir, "r.json", string(must(jsonOf(window))))
			write(t, dir, "agg_r.json", "{}")
			args := []string{
				"aggregate", "--csv=gpu_metrics.csv", "--bench-result=r.json", "--agg-result=agg_r.json",
				"--expected-num-gpus=1", "--csv-zone=" + tt.flag,
			}
			_, errs, code := wattmark(t, dir, []string{"TZ=" + tt.zone}, args...)
			got := read(t, dir, "agg_r.json")
			if valid := strings.Contains(got, `"total_gpu_energy_j": 1000.0`); code != 0 || valid != tt.valid {
				t.Errorf("exit code %d, aggregate %s\n%s", code, got, errs)
			}
			if validation := read(t, dir, "power_validation_r.json"); !tt.valid && !strings.Contains(validation, "no_usable_power_samples") {
				t.Errorf("validation = %s", validation)
			}
		})
	}
}

// Eight hours of eight GPUs at 1 Hz, 17 MB: little memory and time. The window is all of it, the worst case.
func TestAggregateCSVIsFrugal(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("the race detector takes its own memory")
	}
	dir := t.TempDir()
	var csv strings.Builder
	csv.WriteString("timestamp, index, power.draw [W], temperature.gpu, clocks.current.sm [MHz], clocks.current.memory [MHz], utilization.gpu [%], utilization.memory [%]\n")
	const seconds = 8 * 3600
	begin := time.Date(2026, 8, 21, 0, 0, 0, 0, time.UTC)
	for s := range seconds + 2 {
		at := begin.Add(time.Duration(s) * time.Second).Format("2006/01/02 15:04:05.000")
		for gpu := range 8 {
			fmt.Fprintf(&csv, "%s, %d, 500.00 W, 61, 1980 MHz, 2619 MHz, 98 %%, 45 %%\n", at, gpu)
		}
	}
	write(t, dir, "gpu_metrics.csv", csv.String())
	write(t, dir, "r.json", string(must(jsonOf(metered(map[string]any{
		"benchmark_start_time_unix": begin.Unix(), "benchmark_end_time_unix": begin.Unix() + seconds, "duration": seconds,
	})))))
	write(t, dir, "agg_r.json", "{}")
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	// A process counts as resident what its parent had when it was started: a small one has to stand in between.
	const watch = "import resource, subprocess, sys, time\n" +
		"begin = time.monotonic()\n" +
		"subprocess.run(sys.argv[1:], check=True)\n" +
		"used = resource.getrusage(resource.RUSAGE_CHILDREN)\n" +
		"print(used.ru_maxrss / 1024, time.monotonic() - begin, used.ru_utime + used.ru_stime)"
	command := exec.CommandContext(t.Context(), python, "-c", watch, program(t), "aggregate", "--csv=gpu_metrics.csv",
		"--bench-result=r.json", "--agg-result=agg_r.json", "--expected-num-gpus=8", "--require-power", "--csv-zone=UTC")
	command.Dir = dir
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var peak, took, cpu float64
	if _, err := fmt.Sscan(string(out), &peak, &took, &cpu); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%.1f MB: %.2f s, %.2f s of CPU, %.0f MB resident at most", float64(csv.Len())/1e6, took, cpu, peak)
	if peak > 64 {
		t.Errorf("%.0f MB resident, want at most 64", peak)
	}
	if got := read(t, dir, "agg_r.json"); !strings.Contains(got, `"avg_power_w": 500.0,`) {
		t.Errorf("aggregate = %s", got)
	}
}
