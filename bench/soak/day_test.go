package main

import (
	"encoding/json"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/api"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// A day of simulated time: four GPUs at 1 Hz, a window of four minutes every five, an hour of readings in memory. From
// the third hour to the last nothing grows; the windows' energies are the true ones, and what was counted adds up.
func TestDay(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds of CPU")
	}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { day(t, dir) })
}

func day(t *testing.T, dir string) {
	const hours, every, long = 24, 5 * time.Minute, 4 * time.Minute
	clock := sampler.NewClock()
	devices, err := sim.Parse("4xH200,load=decode,seed=3", "node", clock)
	if err != nil {
		t.Fatal(err)
	}
	var all []sampler.Device
	for _, gpu := range devices {
		all = append(all, gpu)
	}
	log := slog.New(slog.DiscardHandler)
	samples, err := sampler.New(all, sampler.Config{Interval: time.Second, Retention: time.Hour, Calibrate: true, Clock: clock, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	server := api.New(api.Config{
		Sampler: samples, Backend: func() api.Backend { return api.Backend{Name: "sim"} }, Results: root, ResultsDir: dir,
		Limits: window.Limits{MaxGap: 3 * time.Second, AllowSimulated: true}, Logger: log, Flush: func() {},
	}).Handler()
	go func() { _ = samples.Run(t.Context()) }()
	post := func(path, run string) []byte {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path+"?"+url.Values{"run": {run}}.Encode(), nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code >= 300 {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		return w.Body.Bytes()
	}
	type size struct {
		heap       uint64
		goroutines int
	}
	measure := func() size {
		synctest.Wait()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return size{m.HeapAlloc, runtime.NumGoroutine()}
	}
	var early size
	begin := time.Now()
	joules, truth, bounds, windows := 0.0, 0.0, 0.0, 0
	time.Sleep(10 * time.Second)
	for hour := range hours {
		for range time.Hour / every {
			post("/v1/mark-start", "w")
			time.Sleep(long)
			var r window.Result
			if err := json.Unmarshal(post("/v1/mark-end", "w"), &r); err != nil {
				t.Fatal(err)
			}
			windows++
			if !r.Valid() {
				t.Fatalf("hour %d: reasons %v", hour, r.AllReasons())
			}
			joules, bounds = joules+r.Energy().Or(math.NaN()), bounds+math.Pow(r.Bound().Or(math.NaN()), 2)
			for _, gpu := range devices {
				truth += gpu.TrueJoules(r.Start.Wall(), r.End.Wall())
			}
			time.Sleep(every - long)
		}
		if hour == 2 {
			early = measure()
		}
	}
	late := measure()
	t.Logf("%d windows: %.0f J, truth %.0f J, bound %.0f J; heap %.2f and %.2f MB, goroutines %d and %d", windows, joules, truth, math.Sqrt(bounds),
		float64(early.heap)/1e6, float64(late.heap)/1e6, early.goroutines, late.goroutines)
	if off := math.Abs(joules - truth); off > math.Sqrt(bounds) || off > 0.001*truth {
		t.Errorf("%.0f J in %d windows, want %.0f ± %.0f", joules, windows, truth, math.Sqrt(bounds))
	}
	// A window that ends stays answerable: some 6 kB each until there are 8 MiB.
	if most := early.heap + uint64(windows)*12_000 + 1<<20; late.heap > most || late.goroutines > early.goroutines {
		t.Errorf("heap %d, goroutines %d; in the third hour %d, %d", late.heap, late.goroutines, early.heap, early.goroutines)
	}
	seconds := time.Since(begin).Seconds()
	for i, status := range samples.Latest() {
		scheduled := 0.0
		for _, n := range status.Late.Counts {
			scheduled += float64(n)
		}
		if math.Abs(scheduled+float64(status.Missed)-seconds) > 2 || status.Failed > 0 || status.Missed > 0 || status.RejectedPower+status.RejectedCounts > 0 {
			t.Errorf("GPU %d: %.0f reads of the schedule in %.0f s, %d failed, %d left out, %d and %d rejected", i, scheduled, seconds, status.Failed, status.Missed, status.RejectedPower, status.RejectedCounts)
		}
		want := devices[i].TrueJoules(begin, time.Now())
		if got := status.CounterJoules.Or(0); math.Abs(got-want) > 1e-4*want {
			t.Errorf("GPU %d: %.0f J counted since the start, want %.0f", i, got, want)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Errorf("%d files, want the one of run w: %v", len(files), err)
	}
}
