package main

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"wattmark/internal/nvmldouble"
)

// What is asked of the daemon is answered from memory: here no driver call ever returns any more, and the next reading of
// the schedule is a minute away.
func TestAnswersMakeNoDriverCall(t *testing.T) {
	script := twoGPUs(0)
	d, file := nvmlDaemon(t, script, "--interval", "60s")
	// For some seconds the counters are looked at.
	last := 0.0
	waitFor(t, "the daemon to be done with its start", func() bool {
		before := last
		last = scraped(t, d.page(), `wattmark_samples_total{gpu="1",outcome="ok"`)
		time.Sleep(time.Second)
		return last > 1 && last == before
	})
	for i := range script.GPUs {
		script.GPUs[i].Faults = []nvmldouble.Fault{nvmldouble.Hangs("*")}
	}
	if err := script.Write(file); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/v1/gpus", "/v1/windows", "/v1/time", "/v1/readings"} {
		for range 5 {
			began := time.Now()
			d.get(path)
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("%s took %v", path, took)
			}
		}
	}
	// A mark does ask the driver: the calls do hang.
	began := time.Now()
	d.must("/v1/mark-start", "run", "r1")
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("mark-start took %v; want it to wait for drivers that hang", took)
	}
}

// scraped is the value of the series that begins so.
func scraped(t testing.TB, page, series string) float64 {
	t.Helper()
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, series) {
			x, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
	}
	t.Fatalf("no %s in /metrics", series)
	return 0
}

func TestOneProcessorUnlessTheEnvironmentSaysOtherwise(t *testing.T) {
	for want, env := range map[string][]string{"1": nil, "2": {"GOMAXPROCS=2"}} {
		d := serve(t, append([]string{"GOMAXPROCS="}, env...), "--backend", "sim").ready()
		if line := "\ngo_sched_gomaxprocs_threads " + want + "\n"; !strings.Contains(d.page(), line) {
			t.Errorf("with %v: /metrics has no %q", env, line)
		}
	}
}
