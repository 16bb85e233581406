package main

import (
	"bytes"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"wattmark/internal/nvmldouble"
)

// scripted returns flags and environment with which a command sees a scripted driver library.
func scripted(t *testing.T, script nvmldouble.Script) (flags, env []string) {
	t.Helper()
	program(t) // lest its build count as the command's time
	library, err := nvmldouble.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "nvml.script")
	if err := script.Write(file); err != nil {
		t.Fatal(err)
	}
	return []string{"--backend", "nvidia", "--nvml-library", library}, []string{nvmldouble.ScriptVariable + "=" + file}
}

// probed are two GPUs at work: one whose counter steps every 101.3 ms, and one whose counter grows with every read.
func probed() nvmldouble.Script {
	script := decoding(time.Now().Add(-time.Minute))
	script.GPUs = script.GPUs[:2]
	for i := range script.GPUs { // power that moves all the time, as real power does
		script.GPUs[i].Power.Sine = nvmldouble.Sine{Amplitude: 60, Period: 730 * time.Millisecond}
	}
	script.GPUs[0].CounterPeriod, script.GPUs[0].Refresh = 101300*time.Microsecond, 101300*time.Microsecond
	script.GPUs[0].Samples = "boot"
	script.GPUs[1].Faults = []nvmldouble.Fault{nvmldouble.CounterGrowsPerRead(8)}
	return script
}

// part walks into an object.
func (a answerJSON) part(t testing.TB, keys ...string) answerJSON {
	t.Helper()
	for _, key := range keys {
		next, ok := a[key].(map[string]any)
		if !ok {
			t.Fatalf("%s = %v, want an object", key, a[key])
		}
		a = next
	}
	return a
}

func TestProbeOnNVML(t *testing.T) {
	flags, env := scripted(t, probed())
	dir := t.TempDir()
	begin := time.Now()
	out, errs, code := wattmark(t, dir, env, append([]string{"gpus", "--probe", "8s", "--json", "found.json"}, flags...)...)
	if took := time.Since(begin); code != 0 || took > 15*time.Second {
		t.Fatalf("exit code %d after %v\n%s%s", code, took, out, errs)
	}
	if strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "probing 2 GPUs for 8s") {
		t.Errorf("on stderr: %q, want one line", errs)
	}
	checkWidth(t, out)
	gpus := decode(t, []byte(read(t, dir, "found.json"))).gpus(t)

	good := gpus[0].part(t, "probe")
	if good["complete"] != true || good.part(t, "reads").number(t, "good") < 300 {
		t.Errorf("reads %v", good["reads"])
	}
	steps := good.part(t, "counter", "steps")
	if period := steps.number(t, "period_s"); math.Abs(period-0.1013) > 0.02*0.1013 {
		t.Errorf("counter steps %v, want every 101.3 ms within 2 %%", steps)
	}
	if refresh := good.part(t, "power", "refresh").number(t, "period_s"); math.Abs(refresh-0.1013) > 0.02*0.1013 {
		t.Errorf("power refreshed every %v s, want 0.1013", refresh)
	}
	if window := good.part(t, "power", "averaging").number(t, "window_s"); math.Abs(window-1) > 0.1 {
		t.Errorf("power is the mean over %v s, want 1", window)
	}
	if ratio := good.part(t, "counter", "against_power").number(t, "ratio"); math.Abs(ratio-1) > 0.05 {
		t.Errorf("counter over power %v, want 1", ratio)
	}
	buffer := good.part(t, "sample_buffer")
	if buffer["supported"] != true || buffer["clock"] != "boot" || buffer.number(t, "depth") != 120 ||
		math.Abs(buffer.number(t, "period_s")-0.02) > 0.001 || buffer.number(t, "longest_s") > 0.03 {
		t.Errorf("sample buffer %v, want 120 samples 20 ms apart, none lost", buffer)
	}
	verdict := good.part(t, "verdict")
	if verdict["method"] != "counter" || verdict["edges"] != "step_seen" || verdict["fast_reads"] != true {
		t.Errorf("verdict %v", verdict)
	}

	bad := gpus[1].part(t, "probe")
	if polling := bad.part(t, "counter", "polling"); polling["depends"] != true || polling.number(t, "fast_to_slow_ratio") < 2 {
		t.Errorf("the counter that grows with every read: %v", polling)
	}
	verdict = bad.part(t, "verdict")
	if verdict["method"] != "counter" || verdict["edges"] != "half_step" || verdict["fast_reads"] != false {
		t.Errorf("verdict %v, want no fast reads", verdict)
	}
	if bad.part(t, "sample_buffer")["supported"] != false || bad.part(t, "counter", "steps")["period_s"] != nil {
		t.Errorf("%v %v", bad["sample_buffer"], bad.part(t, "counter", "steps"))
	}
	for _, want := range []string{"no fast reads are made", "up to 12 reads at 10 ms after the mark", "120 samples"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	t.Logf("\n%s", out)
}

// checkWidth wants a page that fits into a terminal.
func checkWidth(t *testing.T, page string) {
	t.Helper()
	for line := range strings.Lines(page) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, " \n")); n > 100 && !strings.HasPrefix(line, "driver ") && !strings.HasPrefix(line, "problem: ") {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// Without --probe the counters are tested for two and a half seconds, all at once.
func TestGPUsOnNVML(t *testing.T) {
	script := decoding(time.Now().Add(-time.Minute))
	script.GPUs[2].Faults = []nvmldouble.Fault{nvmldouble.CounterGrowsPerRead(8)}
	script.GPUs[3].Faults = []nvmldouble.Fault{nvmldouble.FieldReturns(83, 3), nvmldouble.Returns("nvmlDeviceGetTotalEnergyConsumption", 3)}
	flags, env := scripted(t, script)
	begin := time.Now()
	out, errs, code := wattmark(t, t.TempDir(), env, append([]string{"gpus", "--json"}, flags...)...)
	if took := time.Since(begin); code != 0 || errs != "" || took > 8*time.Second {
		t.Fatalf("exit code %d after %v\n%s", code, took, errs)
	}
	for i, gpu := range decode(t, []byte(out)).gpus(t) {
		if gpu["probe"] != nil {
			t.Errorf("GPU %d: probe %v", i, gpu["probe"])
		}
		if i == 3 {
			if gpu["has_counter"] != false || gpu["calibration"] != nil {
				t.Errorf("GPU 3 has no counter: %v", gpu["calibration"])
			}
			continue
		}
		found := gpu.part(t, "calibration")
		if steady := found["steady"] == true; steady != (i != 2) {
			t.Errorf("GPU %d: %v", i, found)
		}
		if period := found.number(t, "period_ns"); i != 2 && math.Abs(period-1e8) > 2e6 {
			t.Errorf("GPU %d: counter steps every %v ns, want 100 ms within 2 %%", i, period)
		}
	}
	out, _, _ = wattmark(t, t.TempDir(), env, append([]string{"gpus", "--gpus", "1,2,3"}, flags...)...)
	checkWidth(t, out)
	for _, want := range []string{" ms ± ", "steady", "× as fast when read fast", "none"} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
}

// Ctrl-C ends a probe with what there is, though a driver call hangs.
func TestProbeInterrupted(t *testing.T) {
	script := probed()
	script.Origin = time.Time{} // the hang counts from the start of the program
	script.GPUs[1].Faults = []nvmldouble.Fault{nvmldouble.Hangs("*").From(time.Second)}
	flags, env := scripted(t, script)
	command := exec.Command(program(t), append([]string{"gpus", "--probe", "30s", "--json"}, flags...)...)
	command.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	command.Stdout = &out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3500 * time.Millisecond)
	begin := time.Now()
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err := command.Wait()
	exit := new(exec.ExitError)
	if took := time.Since(begin); !errors.As(err, &exit) || exit.ExitCode() != 130 || took > 2*time.Second {
		t.Errorf("%v after %v, want exit code 130 within 2 s", err, took)
	}
	for i, gpu := range decode(t, out.Bytes()).gpus(t) {
		if r := gpu.part(t, "probe"); r["complete"] != false || r.part(t, "reads").number(t, "good") < 1 {
			t.Errorf("GPU %d: %v", i, r["reads"])
		}
	}
}

// --json takes a file or none, on the command line and in the environment.
func TestJSONFlag(t *testing.T) {
	for _, test := range []struct {
		args, env []string
		file      string // "": stdout
	}{
		{[]string{"--json"}, nil, ""},
		{[]string{"--json", "--backend=sim"}, nil, ""},
		{[]string{"--json", "-"}, nil, ""},
		{[]string{"--json=a.json"}, nil, "a.json"},
		{[]string{"--json", "a.json", "--gpus=0"}, nil, "a.json"},
		{nil, []string{"WATTMARK_JSON=true"}, ""},
		{nil, []string{"WATTMARK_JSON=a.json"}, "a.json"},
	} {
		dir := t.TempDir()
		out, errs, code := wattmark(t, dir, append(test.env, "WATTMARK_BACKEND=sim", "WATTMARK_SIM=1xMI300X"), append([]string{"gpus"}, test.args...)...)
		text := out
		if test.file != "" {
			text = read(t, dir, test.file)
			if !strings.HasPrefix(out, "backend: sim\n") {
				t.Errorf("%q: stdout %q, want the tables", test.args, out)
			}
		}
		if code != 0 || len(decode(t, []byte(text)).gpus(t)) != 1 {
			t.Errorf("%q: exit code %d %s", test.args, code, errs)
		}
	}
	if out, _, code := wattmark(t, t.TempDir(), []string{"WATTMARK_JSON=false"}, "gpus", "--backend=none"); code != 0 || !strings.HasPrefix(out, "backend: none\n") {
		t.Errorf("WATTMARK_JSON=false: %d %q", code, out)
	}
	if _, errs, code := wattmark(t, t.TempDir(), nil, "gpus", "--backend=none", "--json=/nonexistent/a.json"); code != 1 || !strings.Contains(errs, "--json") {
		t.Errorf("a file that cannot be written: %d %q", code, errs)
	}
	if _, errs, code := wattmark(t, t.TempDir(), nil, "gpus", "--probe=1s"); code != 2 || !strings.Contains(errs, "--probe is 8s to 10m0s") {
		t.Errorf("a probe of a second: %d %q", code, errs)
	}
}
