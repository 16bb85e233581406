//go:build linux

package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/internal/nvmldouble"
)

// One GPU's driver call does not return for seconds, while marks and scrapes go on: what that costs the others, counted.
func TestHungDriverFigures(t *testing.T) {
	const interval, hang = 100 * time.Millisecond, 4 * time.Second
	script := restless(time.Now())
	l := newLives(t, script, "--interval", interval.String())
	d := l.next().ready()
	time.Sleep(3 * time.Second) // the counters are calibrated
	d.must("/v1/mark-start", "run", "all")
	d.must("/v1/mark-start", "run", "others", "gpus", "0,1,3")
	time.Sleep(300 * time.Millisecond)
	threads := d.statusField("Threads")

	stuck := script
	stuck.GPUs = slices.Clone(script.GPUs)
	stuck.GPUs[2].Faults = []nvmldouble.Fault{nvmldouble.Hangs("*")}
	l.play(stuck)
	began := time.Now()
	var answers []time.Duration
	for n := 0; time.Since(began) < hang; n++ {
		for _, path := range []string{"/metrics", "/v1/gpus", "/v1/windows", "/healthz", "/readyz", "/v1/energy?start=1&end=2"} {
			asked := time.Now()
			response, err := http.Get(d.base + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			answers = append(answers, time.Since(asked))
		}
		if n%20 == 0 { // marks that need the GPU ask for it again and again
			d.must("/v1/mark-start", "run", fmt.Sprintf("m%d", n), "gpus", "2")
		}
		time.Sleep(5 * time.Millisecond)
	}
	late := d.statusField("Threads")
	slices.Sort(answers)
	p99 := answers[len(answers)*99/100]
	const waits = 500 * time.Millisecond // what waits for the GPU, as marks do, waits for so long
	if p99 > waits/2 {                   // a millisecond on a machine that does nothing else
		t.Errorf("HTTP p99 = %v: something waited for the GPU", p99)
	}
	if late > threads+5 { // the stuck one, and those that Go runs the rest on; six marks asked for the GPU, and would each keep one more
		t.Errorf("threads: %v before, %v in the hang", threads, late)
	}
	if body := d.fetch("/readyz"); !strings.Contains(body, "GPU 2") || strings.Contains(body, "GPU 1") || !strings.Contains(body, "has not returned") {
		t.Errorf("/readyz: %s", body)
	}
	gap := d.longestGap(t, 0, began)
	if gap >= waits { // one interval on a machine that does nothing else
		t.Errorf("GPU 0 was not read for %v", gap)
	}
	others := d.must("/v1/mark-end", "run", "others")
	checkTruth(t, script, others)
	if others["power_valid"] != true {
		t.Errorf("the window without the GPU: reasons %v", others["reasons"])
	}
	asked := time.Now()
	all := d.must("/v1/mark-end", "run", "all")
	took := time.Since(asked)
	if reasons := fmt.Sprint(all.gpus(t)[2]["reasons"]); took > 2500*time.Millisecond || !strings.Contains(reasons, "not_bracketed") {
		t.Errorf("mark-end took %v; reasons of GPU 2: %s", took, reasons)
	}

	l.play(script)
	lifted := time.Now()
	d.ready()
	back := time.Since(lifted)
	d.must("/v1/mark-start", "run", "after")
	time.Sleep(300 * time.Millisecond)
	if after := d.must("/v1/mark-end", "run", "after"); after["power_valid"] != true {
		t.Errorf("after: reasons %v", after["reasons"])
	}
	l.play(stuck)
	time.Sleep(300 * time.Millisecond)
	ended, err := d.stop()
	if err != nil || ended > 2*time.Second {
		t.Errorf("SIGTERM: %v after %v, want exit 0 within 2 s", err, ended)
	}
	t.Logf("%d answers in a hang of %v: p50 %v, p99 %v; threads %v before, %v meanwhile; longest gap of another GPU %v at %v; mark-end %v; back after %v; SIGTERM %v",
		len(answers), hang, answers[len(answers)/2], p99, threads, late, gap, interval, took, back, ended)
}

// longestGap is the longest time between two readings of a GPU since then.
func (d *served) longestGap(t *testing.T, gpu int, since time.Time) time.Duration {
	t.Helper()
	times := d.readingsOf(t, gpu)
	longest := 0.0
	for i := 1; i < len(times); i++ {
		if times[i-1] > float64(since.UnixNano())/1e9 {
			longest = max(longest, times[i]-times[i-1])
		}
	}
	if longest == 0 {
		t.Fatal("no readings")
	}
	return time.Duration(longest * 1e9).Round(time.Millisecond)
}
