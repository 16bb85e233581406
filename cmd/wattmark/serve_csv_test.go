package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"wattmark/agg"
	"wattmark/internal/amdsmidouble"
	"wattmark/internal/nvmldouble"
)

// counterless are eight GPUs of which nothing but instantaneous power is read, so that the daemon's own figure is the
// trapezoid, as the benchmark's.
func counterless() nvmldouble.Script {
	script := nvmldouble.Script{Origin: time.Now()}
	for i := range 8 {
		gpu := nvmldouble.A100(nvmldouble.Trace{Sine: nvmldouble.Sine{
			Mean: 250 + 10*float64(i), Amplitude: 60, Period: time.Duration(2000+300*i) * time.Millisecond,
		}})
		gpu.Faults = []nvmldouble.Fault{
			nvmldouble.FieldReturns(83, 3), nvmldouble.Returns("nvmlDeviceGetTotalEnergyConsumption", 3),
		}
		gpu.UtilizationPercent = 96
		script.GPUs = append(script.GPUs, gpu)
	}
	return script
}

// reference is what the benchmark's script makes of a folder, by testdata/reference.py in a zone.
func reference(t *testing.T, zone, folder string, expected int) expectation {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	command := exec.CommandContext(t.Context(), python, "../../recording/testdata/reference.py", "folder", strconv.Itoa(expected), "0", folder)
	command.Env = append(os.Environ(), "TZ="+zone)
	command.Stderr = os.Stderr
	out, err := command.Output()
	var want expectation
	if err == nil {
		err = json.Unmarshal(out, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// The file that a live run leaves gives the benchmark's script the numbers that the daemon found, at once after mark-end,
// in every zone in which its times can be read.
func TestCSVOfALiveRun(t *testing.T) {
	for _, tt := range []struct {
		name, vendor, times, daemonZone string
		zones                           []string // in which the file is read
		dashboard                       bool     // its times are in a form that the dashboard reads, and as UTC
	}{
		{"smi in UTC", "nvidia", "utc", "America/Los_Angeles", []string{"UTC"}, true},
		{"smi in the host's zone", "nvidia", "local", "America/Los_Angeles", []string{"America/Los_Angeles"}, false},
		{"epoch", "nvidia", "epoch", "Asia/Kolkata", []string{"UTC", "America/Los_Angeles"}, false},
		{"amd-smi", "amd", "utc", "Asia/Kolkata", []string{"UTC", "America/Los_Angeles"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, env := t.TempDir(), []string{"TZ=" + tt.daemonZone}
			args := []string{"--gpus", "7,0,2,5", "--csv", filepath.Join(dir, "gpu_metrics.csv"), "--csv-time", tt.times}
			if tt.vendor == "amd" {
				args = append(args, "--backend", "amd-sysfs", "--sysfs-root", amdSysfs(t, amdsmidouble.New(8), 7))
			} else {
				library, script := nvmlLibrary(t, counterless())
				args = append(args, "--backend", "nvidia", "--nvml-library", library)
				env = append(env, nvmldouble.ScriptVariable+"="+script)
			}
			d := serve(t, env, args...).ready()
			d.must("/v1/mark-start", "run", "r", "expected_num_gpus", "4")
			time.Sleep(2300 * time.Millisecond) // the benchmark: the scripted driver keeps real time
			r := d.must("/v1/mark-end", "run", "r")
			if err := d.command.Process.Kill(); err != nil { // with the container
				t.Fatal(err)
			}
			if err := <-d.exited; err == nil {
				t.Fatal("the daemon ended before it was killed")
			}
			if r["power_valid"] != true {
				t.Fatalf("reasons %v", r["reasons"])
			}
			start, end := r.number(t, "start_unix"), r.number(t, "end_unix")
			write(t, dir, "r.json", fmt.Sprintf(`{"benchmark_start_time_unix": %.9f, "benchmark_end_time_unix": %.9f, "duration": %.9f,
				"completed": 64, "total_input_tokens": 65536, "total_output_tokens": 16384}`, start, end, end-start))
			checkCSVForm(t, read(t, dir, "gpu_metrics.csv"), tt.vendor, tt.dashboard, start, end, 0, 2, 5, 7)
			for _, zone := range tt.zones {
				checkCSVEnergy(t, zone, dir, filepath.Join(d.results, "power_window_r.json"), r)
			}
		})
	}
}

// checkCSVEnergy compares the script's figures with the daemon's and with its own arithmetic on the daemon's readings.
func checkCSVEnergy(t *testing.T, zone, dir, windowFile string, r answerJSON) {
	t.Helper()
	write(t, dir, "agg_r.json", `{"hw": "h200"}`)
	want := reference(t, zone, dir, 4)
	if want.Validation["power_valid"] != true {
		t.Fatalf("%s: the script's reasons %v", zone, want.Validation["reasons"])
	}
	var file agg.WindowFile
	text, err := os.ReadFile(windowFile)
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	perGPU := want.Validation["per_gpu_energy_j"].(map[string]any)
	start, end := r.number(t, "start_unix"), r.number(t, "end_unix")
	for i, gpu := range r.gpus(t) {
		index := strconv.Itoa(int(gpu.number(t, "index")))
		script, _ := perGPU[index].(float64)
		var unix, watts []float64
		for _, reading := range file.Series[i].Readings {
			unix, watts = append(unix, reading.At.Unix()), append(watts, reading.PowerWatts.Or(math.NaN()))
		}
		live, _, reason := agg.Trapezoid(unix, watts, start, end, 3)
		// Half a hundredth of a watt, and a millisecond at each of the edges, where power moves by 200 W/s at most.
		if off := math.Abs(script - live.Or(0)); reason != "" || off > 0.005*(end-start)+0.25 {
			t.Errorf("%s: GPU %s: %.3f J from the file, %.3f J from the readings in memory, %s", zone, index, script, live.Or(0), reason)
		}
		figure := "energy_j"
		if gpu["method"] != "trapezoid" { // AMD has a counter
			figure = "power_energy_j"
		}
		if off := math.Abs(script - gpu.number(t, figure)); off > max(gpu.number(t, "bound_j"), 0.02*script) {
			t.Errorf("%s: GPU %s: %.3f J from the file, the daemon's %s is %.3f J", zone, index, script, figure, gpu[figure])
		}
	}
	if len(perGPU) != 4 {
		t.Errorf("%s: GPUs %v in the file, want the four chosen", zone, perGPU)
	}
	out, errs, code := wattmark(t, dir, []string{"TZ=" + zone}, "aggregate", "--csv", "gpu_metrics.csv", "--bench-result", "r.json",
		"--agg-result", "agg_r.json", "--expected-num-gpus", "4", "--require-power")
	if code != 0 {
		t.Fatalf("%s: wattmark aggregate --csv: %d\n%s%s", zone, code, out, errs)
	}
	ours := decode(t, []byte(read(t, dir, "agg_r.json")))
	for key, value := range want.Aggregate {
		if x, ok := value.(float64); ok && math.Abs(x-ours.number(t, key)) > 0.00101 {
			t.Errorf("%s: %s = %v, the script's is %v", zone, key, ours[key], x)
		}
	}
}

// checkCSVForm reads the file as InferenceX's dashboard does (facts/inferencex.md, section 6), and wants whole rows and
// one after the window's end, for each of these GPUs and no other.
func checkCSVForm(t *testing.T, text, vendor string, dashboard bool, start, end float64, gpus ...int) {
	t.Helper()
	if !strings.HasSuffix(text, "\n") || strings.Contains(text, "\n\n") || strings.Contains(text, "\r") {
		t.Errorf("the rows are not whole: …%q", text[max(0, len(text)-100):])
	}
	reader := csv.NewReader(strings.NewReader(text)) // as many cells in each row
	reader.TrimLeadingSpace = true
	rows, err := reader.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) int {
		i := slices.Index(rows[0], name)
		if i < 0 {
			t.Fatalf("no column %q", name)
		}
		return i
	}
	gpu, numeric := 1, []string{"timestamp", "gpu", "gfx_activity", "umc_activity", "socket_power", "gfx_0_clk", "mem_0_clk", "hotspot"}
	if vendor == "nvidia" {
		numeric = rows[0][1:] // all of eight columns, by position
	}
	before, after, last := map[string]bool{}, map[string]bool{}, map[string]float64{}
	for i, row := range rows[1:] {
		for _, name := range numeric {
			cell, _, _ := strings.Cut(row[column(name)], " ")
			if _, err := strconv.ParseFloat(cell, 64); err != nil {
				t.Fatalf("row %d: %s = %q is no number", i+2, name, row[column(name)])
			}
		}
		seconds, err := strconv.ParseFloat(row[0], 64)
		if dashboard && vendor == "nvidia" {
			var at time.Time
			at, err = time.Parse("2006/01/02 15:04:05.999", row[0])
			seconds = float64(at.UnixMilli()) / 1e3
		}
		if err != nil {
			if vendor == "nvidia" && !dashboard {
				continue // in the host's zone
			}
			t.Fatalf("row %d: %v", i+2, err)
		}
		if seconds < last[row[gpu]] {
			t.Errorf("row %d: GPU %s goes back in time", i+2, row[gpu])
		}
		last[row[gpu]] = seconds
		before[row[gpu]] = before[row[gpu]] || seconds <= start
		after[row[gpu]] = after[row[gpu]] || seconds >= end
	}
	if len(last) == 0 { // not in these times
		return
	}
	for _, gpu := range gpus {
		index := strconv.Itoa(gpu)
		if !before[index] || !after[index] {
			t.Errorf("GPU %s: row before the start %v, after the end %v", index, before[index], after[index])
		}
	}
	if len(last) != len(gpus) {
		t.Errorf("rows of %d GPUs, want %d", len(last), len(gpus))
	}
}
