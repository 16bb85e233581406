//go:build linux

package main

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"wattmark/internal/nvmldouble"
	"wattmark/internal/procstatus"
)

// twoGPUs draw constant power; each driver call takes so long, computing.
func twoGPUs(call time.Duration) nvmldouble.Script {
	script := nvmldouble.Script{Origin: time.Now()}
	for i := range 2 {
		gpu := nvmldouble.H200(nvmldouble.Constant(500 + 50*float64(i)))
		gpu.Latency, gpu.LatencyBusy = call, true
		script.GPUs = append(script.GPUs, gpu)
	}
	return script
}

// The cost fields against what the kernel says of the daemon from outside.
func TestCostFieldsAreReal(t *testing.T) {
	d, _ := nvmlDaemon(t, twoGPUs(20*time.Millisecond))
	outer := d.cpuSeconds()
	began := time.Now()
	d.must("/v1/mark-start", "run", "r1")
	inner := d.cpuSeconds()
	time.Sleep(2 * time.Second)
	inner = d.cpuSeconds() - inner
	r := d.must("/v1/mark-end", "run", "r1")
	wall := time.Since(began).Seconds()
	outer = d.cpuSeconds() - outer

	cost := r.part(t, "cost")
	const tick = 0.02 // s: two of the kernel's
	cpu := cost.number(t, "cpu_s")
	if cpu < inner-tick || cpu > outer+tick || cpu <= 0 || cpu > wall {
		t.Errorf("cpu_s = %.3f, want between %.3f and %.3f, and not more than the wall's %.3f", cpu, inner, outer, wall)
	}
	rss := cost.number(t, "rss_bytes")
	if is := d.statusField("VmRSS") * 1024; rss < is/2 || rss > 2*is {
		t.Errorf("rss_bytes = %.0f, the kernel says %.0f", rss, is)
	}
	if call := cost.number(t, "driver_call_s_max"); call < 0.02 || call > wall {
		t.Errorf("driver_call_s_max = %v, want at least 0.02", call)
	}
	if missed := cost.number(t, "missed_ticks"); missed > 2 { // none, on a machine that keeps time
		t.Errorf("missed_ticks = %v, want none", missed)
	}
	if notes := fmt.Sprint(r["notes"]); strings.Contains(notes, "interval_stretched") {
		t.Errorf("notes %v: calls of a fiftieth of the interval are not slow", notes)
	}
}

func TestMissedTicksAreCounted(t *testing.T) {
	script := twoGPUs(0)
	d, file := nvmlDaemon(t, script)
	d.must("/v1/mark-start", "run", "r1")
	// One call of GPU 0 hangs for 1.4 s at least: it begins within a second.
	script.GPUs[0].Faults = []nvmldouble.Fault{nvmldouble.Hangs("nvmlDeviceGetFieldValues")}
	began := time.Now()
	if err := script.Write(file); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2500 * time.Millisecond)
	script.GPUs[0].Faults = nil
	if err := script.Write(file); err != nil {
		t.Fatal(err)
	}
	most := math.Ceil(time.Since(began).Seconds()) // ticks in that time
	time.Sleep(1500 * time.Millisecond)
	r := d.must("/v1/mark-end", "run", "r1")
	cost := r.part(t, "cost")
	if missed, call := cost.number(t, "missed_ticks"), cost.number(t, "driver_call_s_max"); missed < 1 || missed > most || call < 1.4 {
		t.Errorf("missed_ticks, driver_call_s_max = %v, %v; want 1 to %v, at least 1.4", missed, call, most)
	}
	if r["power_valid"] != true {
		t.Errorf("reasons %v: the counters went on", r["reasons"])
	}
	if text := string(d.get("/metrics")); !strings.Contains(text, "\nwattmark_missed_ticks_total{gpu=\"1\"} 0\n") {
		t.Error("GPU 1 missed ticks too")
	}
}

// Driver calls of more than a tenth of the interval stretch it, and the result and a metric say so; later it goes back.
func TestSlowCallsStretchTheInterval(t *testing.T) {
	const slow = 30 * time.Millisecond
	script := twoGPUs(0)
	script.GPUs[0].Latency, script.GPUs[0].LatencyBusy = slow, false
	d, file := nvmlDaemon(t, script, "--interval", "200ms")
	ratio := func(gpu int) float64 {
		name := fmt.Sprintf("wattmark_gpu_interval_stretch_ratio{gpu=%q,", strconv.Itoa(gpu))
		for line := range strings.Lines(string(d.get("/metrics"))) {
			if strings.HasPrefix(line, name) {
				x, _ := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
				return x
			}
		}
		return 0
	}
	waitFor(t, "the interval to be stretched", func() bool { return ratio(0) > 1 })
	d.must("/v1/mark-start", "run", "slow")
	time.Sleep(2 * time.Second)
	r := d.must("/v1/mark-end", "run", "slow")
	for i, gpu := range r.gpus(t) {
		if has := strings.Contains(fmt.Sprint(gpu["notes"]), "interval_stretched"); has != (ratio(i) > 1) {
			t.Errorf("GPU %d: interval_stretched in notes %v, ratio %v", i, gpu["notes"], ratio(i))
		}
	}
	if r["power_valid"] != true {
		t.Errorf("reasons %v: a stretched interval is none", r["reasons"])
	}

	script.GPUs[0].Latency = 0
	if err := script.Write(file); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the interval to be restored", func() bool { return ratio(0) == 1 })
	d.must("/v1/mark-start", "run", "quick")
	time.Sleep(time.Second)
	if r := d.must("/v1/mark-end", "run", "quick"); strings.Contains(fmt.Sprint(r["notes"]), "interval_stretched") {
		t.Errorf("notes %v after the calls have become quick", r["notes"])
	}
}

func TestServeLowersItsPriority(t *testing.T) {
	own, err := syscall.Getpriority(0, 0) // 20 − nice
	if err != nil {
		t.Fatal(err)
	}
	want := min(19, 20-own+lowerBy)
	d := serve(t, nil, "--backend", "sim").ready()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", d.command.Process.Pid))
	if err != nil || len(threads) < 2 {
		t.Fatalf("threads %v, %v", threads, err)
	}
	for _, file := range threads {
		if nice := statFields(t, file)[16]; nice != strconv.Itoa(want) {
			t.Errorf("%s: nice %s, want %d", file, nice, want)
		}
	}
}

// cpuSeconds is the CPU time of the daemon so far.
func (d *served) cpuSeconds() float64 {
	d.t.Helper()
	fields := statFields(d.t, fmt.Sprintf("/proc/%d/stat", d.command.Process.Pid))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100 // USER_HZ
}

// statFields are those of a stat file after the command's name.
func statFields(t testing.TB, file string) []string {
	t.Helper()
	text := read(t, filepath.Dir(file), filepath.Base(file))
	return strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
}

// process is what the kernel says of the daemon.
func (d *served) process() procstatus.Status {
	d.t.Helper()
	status, err := procstatus.Of(d.command.Process.Pid)
	if err != nil {
		d.t.Fatal(err)
	}
	return status
}

func (d *served) statusField(name string) float64 {
	d.t.Helper()
	x := d.process().Number(name)
	if math.IsNaN(x) {
		d.t.Fatalf("no %s of the process", name)
	}
	return x
}
