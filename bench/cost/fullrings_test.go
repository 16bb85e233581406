//go:build linux

package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/api"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// What marks cost with 24 h of eight GPUs in memory and 256 windows open: the daemon's own work, disk included. A day
// passes in a bubble of fake time; there, waiting for a driver or for a counter's step takes no time, so that what a
// clock of our own measures around a request is the work.
//
//	go test ./bench/cost -run FullRings -v
func TestMarksWithFullRings(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("measures time")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // as serve does
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		samples, handler := inProcess(t, dir)
		time.Sleep(24*time.Hour + time.Minute)
		if used := fill(samples); used < 8*86_400 {
			t.Fatalf("%d readings in memory, want a day's", used)
		}
		for i := range 255 {
			request(t, handler, "/v1/mark-start", fmt.Sprintf("open-%d", i), http.StatusCreated)
			time.Sleep(time.Second)
		}
		for _, length := range []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute} {
			var starts, ends []time.Duration
			for i := range 200 {
				run := fmt.Sprintf("%v-%d", length, i)
				starts = append(starts, request(t, handler, "/v1/mark-start", run, http.StatusCreated))
				time.Sleep(length)
				ends = append(ends, request(t, handler, "/v1/mark-end", run, http.StatusOK))
				time.Sleep(3 * time.Second)
			}
			slices.Sort(starts)
			slices.Sort(ends)
			t.Logf("windows of %v: mark-start p50, p99 %s ms; mark-end p50, p99 %s ms", length, spread(starts), spread(ends))
		}
	})
}

// inProcess is the daemon's sampler and API on eight simulated GPUs.
func inProcess(t *testing.T, dir string) (*sampler.Sampler, http.Handler) {
	t.Helper()
	clock := sampler.NewClock()
	gpus, err := sim.Parse("8xH200,load=decode,seed=7", "node", clock)
	if err != nil {
		t.Fatal(err)
	}
	var devices []sampler.Device
	for _, gpu := range gpus {
		devices = append(devices, gpu)
	}
	log := slog.New(slog.DiscardHandler)
	samples, err := sampler.New(devices, sampler.Config{
		Interval: time.Second, Retention: 24 * time.Hour, Calibrate: true, Clock: clock, Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	server := api.New(api.Config{
		Sampler: samples, Backend: func() api.Backend { return api.Backend{Name: "sim"} }, Results: root, ResultsDir: dir,
		Limits: window.Limits{AllowSimulated: true}, Logger: log,
	})
	go func() { _ = samples.Run(t.Context()) }()
	return samples, server.Handler()
}

func fill(samples *sampler.Sampler) int {
	used := 0
	for _, status := range samples.Latest() {
		used += status.Used
	}
	return used
}

// request marks a run and returns how long that took on the real clock.
func request(t *testing.T, handler http.Handler, path, run string, want int) time.Duration {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader("run="+run))
	r.Host = "localhost"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	began := monotonic()
	handler.ServeHTTP(answer, r)
	took := monotonic() - began
	if answer.Code != want {
		t.Fatalf("%s of %s: %d %s", path, run, answer.Code, answer.Body)
	}
	return took
}
