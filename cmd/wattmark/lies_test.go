package main

import (
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"wattmark/internal/amdsmidouble"
	"wattmark/internal/nvmldouble"
)

// lie is what one GPU's sensors say that is not so, and what must come of it.
type lie struct {
	name     string
	gpu      nvmldouble.GPU
	faults   []nvmldouble.Fault
	method   string
	notes    []string // at least these
	rejected bool     // readings of power are left out, and counted
	reason   string
}

// Sensors lie in every way that is on record, each on a GPU of its own, in one window of the built daemon over the
// scripted NVML: what is not to be believed is left out, counted and noted, and the energy is the true one within its bound.
func TestLiesOnNVML(t *testing.T) {
	t.Parallel()
	const from, to = 5 * time.Second, 8 * time.Second // the window is about 2 s to 16 s
	// Smooth: how well power is integrated at 1 Hz is tested elsewhere.
	load := nvmldouble.Trace{Sine: nvmldouble.Sine{Mean: 450, Amplitude: 100, Period: 7 * time.Second}}
	hopper, volta := nvmldouble.H200(load), nvmldouble.V100(nvmldouble.Trace{Sine: nvmldouble.Sine{Mean: 200, Amplitude: 20, Period: 2 * time.Second}})
	noCounter := append(slices.Clone(volta.Faults), nvmldouble.Returns("nvmlDeviceGetTotalEnergyConsumption", 3), nvmldouble.FieldReturns(83, 3))
	lies := []lie{
		{name: "none", gpu: hopper, method: "counter"},
		{name: "4 MW", gpu: hopper, faults: []nvmldouble.Fault{nvmldouble.PowerSpike(4.29e6).From(from).To(to)}, method: "counter", rejected: true},
		{name: "below zero", gpu: hopper, faults: []nvmldouble.Fault{nvmldouble.PowerSpike(-5).From(from).To(to)}, method: "counter", rejected: true},
		{name: "0 W under load", gpu: hopper, faults: []nvmldouble.Fault{nvmldouble.PowerSpike(0).From(from).To(to + 3*time.Second)}, method: "counter", rejected: true},
		{name: "0 W for ever", gpu: hopper, faults: []nvmldouble.Fault{nvmldouble.PowerSpike(0)}, method: "counter", rejected: true},
		{name: "N/A", gpu: hopper, faults: []nvmldouble.Fault{nvmldouble.PowerNotAvailable().From(from).To(to)}, method: "counter"},
		{name: "N/A for ever", gpu: hopper, faults: []nvmldouble.Fault{nvmldouble.PowerNotAvailable()}, method: "counter"},
		{name: "counter jumps", gpu: hopper, faults: []nvmldouble.Fault{nvmldouble.CounterScaled(1e4).From(from).To(from + 200*time.Millisecond)}, method: "boxcar", notes: []string{"energy_counter_rejected"}},
		{name: "counter falls", gpu: hopper, faults: []nvmldouble.Fault{nvmldouble.CounterReset(from)}, method: "boxcar", notes: []string{"energy_counter_rejected", "energy_counter_fell"}},
		{name: "counter stands", gpu: hopper, faults: []nvmldouble.Fault{nvmldouble.CounterFrozen().From(from).To(to)}, method: "boxcar", notes: []string{"energy_counter_rejected", "energy_counter_frozen"}},
		{name: "counter is double", gpu: hopper, faults: []nvmldouble.Fault{nvmldouble.CounterScaled(2)}, method: "boxcar", notes: []string{"energy_counter_rejected"}},
		{name: "counter N/A", gpu: hopper, faults: []nvmldouble.Fault{nvmldouble.Returns("nvmlDeviceGetTotalEnergyConsumption", 999).From(from).To(to), nvmldouble.FieldReturns(83, 999).From(from).To(to)}, method: "counter"},
		{name: "4 MW, no counter", gpu: volta, faults: append(slices.Clone(noCounter), nvmldouble.PowerSpike(4.29e6).From(from).To(from+2*time.Second)), method: "trapezoid", rejected: true},
		{name: "0 W, no counter", gpu: volta, faults: append(slices.Clone(noCounter), nvmldouble.PowerSpike(0).From(from).To(from+2*time.Second)), method: "trapezoid", rejected: true},
		{name: "0 W for long, no counter", gpu: volta, faults: append(slices.Clone(noCounter), nvmldouble.PowerSpike(0).From(from).To(from+6*time.Second)), method: "trapezoid", rejected: true, reason: "sampling_gap_exceeded"},
	}
	script := nvmldouble.Script{Origin: time.Now()}
	for i, l := range lies {
		gpu := l.gpu
		gpu.Faults = append(slices.Clone(gpu.Faults), l.faults...)
		gpu.UtilizationPercent = 98
		gpu.CounterPhase = time.Duration(i) * 6 * time.Millisecond
		script.GPUs = append(script.GPUs, gpu)
	}
	d, _ := nvmlDaemon(t, script)
	time.Sleep(time.Until(script.Origin.Add(2 * time.Second)))
	d.must("/v1/mark-start", "run", "lies")
	time.Sleep(time.Until(script.Origin.Add(16 * time.Second))) // the scripted driver keeps real time
	r := d.must("/v1/mark-end", "run", "lies")
	start, end := r.edges(t)
	for i, gpu := range r.gpus(t) {
		l := lies[i]
		notes, reasons := words(gpu["notes"]), words(gpu["reasons"])
		for _, note := range l.notes {
			if !slices.Contains(notes, note) {
				t.Errorf("%s: notes %v, want %s", l.name, notes, note)
			}
		}
		if got := slices.Contains(notes, "power_readings_rejected"); got != l.rejected {
			t.Errorf("%s: power readings rejected %v, want %v", l.name, got, l.rejected)
		}
		if count := gpu.number(t, "rejected_samples"); (count > 0) != l.rejected || count > 100 {
			t.Errorf("%s: %v readings rejected", l.name, count)
		}
		if gpu["method"] != l.method {
			t.Errorf("%s: method %v, want %s; notes %v", l.name, gpu["method"], l.method, notes)
		}
		if most, ok := gpu["max_power_w"].(float64); ok && (most > 800 || most <= 0) {
			t.Errorf("%s: max_power_w %v", l.name, most)
		}
		if l.reason != "" {
			if !slices.Contains(reasons, l.reason) {
				t.Errorf("%s: reasons %v, want %s", l.name, reasons, l.reason)
			}
			continue
		}
		truth := script.TrueJoules(i, start, end)
		energy, bound := gpu.number(t, "energy_j"), gpu.number(t, "bound_j")
		t.Logf("%-24s %-9s %8.1f J ± %5.1f, truth %8.1f J, %2.0f rejected, notes %v", l.name, gpu["method"], energy, bound, truth, gpu.number(t, "rejected_samples"), notes)
		if len(reasons) > 0 || math.Abs(energy-truth) > 2*bound+0.01*truth || bound > 0.1*truth {
			t.Errorf("%s: %.1f J ± %.1f, truth %.1f J; reasons %v", l.name, energy, bound, truth, reasons)
		}
	}
	// Nor do lies get into what Prometheus adds up.
	seconds := time.Since(script.Origin).Seconds()
	for line := range strings.Lines(string(d.get("/metrics"))) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		joules := parseFloat(t, value, strings.HasPrefix(name, "wattmark_gpu_energy_joules_total{"))
		if joules > 2*700*seconds { // a counter that counts double is not told from one that does not, read by read
			t.Errorf("%s", line)
		}
	}
	for _, series := range []string{`{gpu="1",quantity="power"} [1-9]`, `{gpu="3",quantity="power"} [1-9]`, `{gpu="7",quantity="energy"} [1-9]`, `{gpu="0",quantity="power"} 0`, `{gpu="0",quantity="energy"} 0`} {
		if !regexp.MustCompile("wattmark_rejected_readings_total" + series).Match(d.get("/metrics")) {
			t.Errorf("no wattmark_rejected_readings_total%s in\n%s", series, regexp.MustCompile("wattmark_rejected.*").FindAll(d.get("/metrics"), -1))
		}
	}
}

func words(list any) []string {
	var out []string
	entries, _ := list.([]any)
	for _, entry := range entries {
		word, _ := entry.(string)
		out = append(out, word)
	}
	return out
}

// The same of AMD's, through libamd_smi: 0 W under load, N/A, a count that starts again and one that stands.
func TestLiesOnAMD(t *testing.T) {
	t.Parallel()
	script := amdsmidouble.New(5)
	script.GPUs[1].ZeroWatts = true
	script.GPUs[2].NoWatts = true
	script.GPUs[3].ResetAt = script.Origin + int64(9*time.Second)
	script.GPUs[4].Constant = true
	library, env := amdLibrary(t, 26, script)
	d := serve(t, env, "--backend", "amd", "--amdsmi-library", library, "--sysfs-root", filepath.Join(t.TempDir(), "empty")).ready()
	time.Sleep(3 * time.Second)
	d.must("/v1/mark-start", "run", "lies")
	time.Sleep(11 * time.Second)
	r := d.must("/v1/mark-end", "run", "lies")
	start, end := r.edges(t)
	from := amdsmidouble.AtUnix(float64(start.UnixNano()) / 1e9)
	for i, gpu := range r.gpus(t) {
		truth := script.TrueJoules(i, from, from+end.Sub(start).Nanoseconds())
		energy, bound := gpu.number(t, "energy_j"), gpu.number(t, "bound_j")
		t.Logf("GPU %d: %v %.1f J ± %.1f, truth %.1f J, notes %v, reasons %v", i, gpu["method"], energy, bound, truth, gpu["notes"], gpu["reasons"])
		if math.Abs(energy-truth) > 2*bound || bound > 0.25*truth { // by power once a second of a load of 2 s: up to 20 %
			t.Errorf("GPU %d: %.1f J ± %.1f, truth %.1f J", i, energy, bound, truth)
		}
		if byPower := slices.Contains([]int{3, 4}, i); (gpu["method"] != "counter") != byPower {
			t.Errorf("GPU %d: method %v; notes %v", i, gpu["method"], gpu["notes"])
		}
	}
}

// parseFloat is the number, 0 where the line is not one of those wanted.
func parseFloat(t *testing.T, text string, wanted bool) float64 {
	t.Helper()
	if !wanted {
		return 0
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Error(err)
	}
	return x
}
