//go:build linux

package main

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/api"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// What marks cost with 24 h of eight GPUs in memory and 256 windows open. A day passes in a bubble of fake time; there,
// waiting for a driver or for a counter's step takes no time. A mark's own work is the CPU time of this process, less
// that of the simulated GPUs; beside it stands how long it took on a real clock where the files are in memory, and where
// they must reach the disk before the answer: that is the disk's time.
//
//	go test ./bench/cost -run FullRings -v
func TestMarksWithFullRings(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("measures time")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // as serve does
	memory, disk := inMemory(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := inProcess(t)
		d.serve(t, memory)
		time.Sleep(24*time.Hour + time.Minute)
		if used := fill(d.samples); used < 8*86_400 {
			t.Fatalf("%d readings in memory, want a day's", used)
		}
		for i := range 255 {
			d.request(t, "/v1/mark-start", fmt.Sprintf("open-%d", i), http.StatusCreated)
			time.Sleep(time.Second)
		}
		for _, length := range []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute} {
			starts, ends, reference := d.marks(t, length, 200)
			t.Logf("windows of %v, files in memory: mark-start %v; mark-end %v", length, starts, ends)
			// 5 ms is the limit of docs/cost.md on a machine that does nothing else. A busy or slow one is no fault: there
			// the median is held to what the same machine takes, meanwhile, for other work. Measured: 2.9 times.
			if own := quantile(ends.own, 0.5); length == 10*time.Minute && own > 6*reference {
				t.Errorf("mark-end of %v: %v of CPU, %.1f times the reference, %v", length, own, own.Seconds()/reference.Seconds(), reference)
			} else {
				t.Logf("%.1f times the reference, %v", own.Seconds()/reference.Seconds(), reference)
			}
			if p99 := quantile(ends.own, 0.99); p99 > 25*time.Millisecond {
				t.Errorf("mark-end of %v: p99 %v of CPU, want 5 ms, five times that on a busy machine", length, p99)
			}
		}
		d.serve(t, disk)
		_, ends, _ := d.marks(t, 10*time.Minute, 50)
		t.Logf("windows of 10m, files on disk: mark-end %v", ends)
	})
}

// marks starts and ends windows of that length, and measures between them what a fixed piece of work takes.
func (d *daemonInside) marks(t *testing.T, length time.Duration, n int) (starts, ends *works, reference time.Duration) {
	starts, ends = &works{}, &works{}
	var others []time.Duration
	for i := range n {
		run := fmt.Sprintf("%v-%d", length, i)
		starts.add(d.request(t, "/v1/mark-start", run, http.StatusCreated))
		time.Sleep(length)
		ends.add(d.request(t, "/v1/mark-end", run, http.StatusOK))
		time.Sleep(3 * time.Second)
		began := processTime()
		var out []byte
		for k := range 20_000 {
			out = strconv.AppendFloat(out[:0], math.Sqrt(float64(k)), 'g', -1, 64)
		}
		others = append(others, processTime()-began)
	}
	slices.Sort(others)
	return starts.sort(), ends.sort(), quantile(others, 0.5)
}

// work is what one request took.
type work struct{ own, wall time.Duration }

type works struct{ own, wall []time.Duration }

func (w *works) add(one work) { w.own, w.wall = append(w.own, one.own), append(w.wall, one.wall) }

func (w *works) sort() *works {
	slices.Sort(w.own)
	slices.Sort(w.wall)
	return w
}

func (w *works) String() string {
	return fmt.Sprintf("CPU p50, p99 %s ms, clock %s ms", spread(w.own), spread(w.wall))
}

// inMemory is a folder whose files never reach a disk.
func inMemory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "wattmark-cost-")
	if err != nil {
		t.Logf("files are on disk: %v", err) // their CPU time is about the same
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// daemonInside is the daemon's sampler and API on eight simulated GPUs.
type daemonInside struct {
	samples *sampler.Sampler
	handler http.Handler
	driver  atomic.Int64 // nanoseconds of CPU that the simulated GPUs took
}

// timed counts what a simulated GPU takes to answer.
type timed struct {
	*sim.GPU
	spent *atomic.Int64
}

func (d timed) Read() (sampler.Reading, error) {
	began := processTime()
	r, err := d.GPU.Read()
	d.spent.Add(int64(processTime() - began))
	return r, err
}

func inProcess(t *testing.T) *daemonInside {
	t.Helper()
	clock := sampler.NewClock()
	gpus, err := sim.Parse("8xH200,load=decode,seed=7", "node", clock)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemonInside{}
	var devices []sampler.Device
	for _, gpu := range gpus {
		devices = append(devices, timed{gpu, &d.driver})
	}
	d.samples, err = sampler.New(devices, sampler.Config{
		Interval: time.Second, Retention: 24 * time.Hour, Calibrate: true, Clock: clock, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = d.samples.Run(t.Context()) }()
	return d
}

// serve writes the files to dir from now on.
func (d *daemonInside) serve(t *testing.T, dir string) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	d.handler = api.New(api.Config{
		Sampler: d.samples, Backend: func() api.Backend { return api.Backend{Name: "sim"} }, Results: root, ResultsDir: dir,
		Limits: window.Limits{AllowSimulated: true}, Logger: slog.New(slog.DiscardHandler),
	}).Handler()
}

func fill(samples *sampler.Sampler) int {
	used := 0
	for _, status := range samples.Latest() {
		used += status.Used
	}
	return used
}

// request marks a run.
func (d *daemonInside) request(t *testing.T, path, run string, want int) work {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader("run="+run))
	r.Host = "localhost"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	began, cpu, driver := monotonic(), processTime(), d.driver.Load()
	d.handler.ServeHTTP(answer, r)
	took := work{own: processTime() - cpu - time.Duration(d.driver.Load()-driver), wall: monotonic() - began}
	if answer.Code != want {
		t.Fatalf("%s of %s: %d %s", path, run, answer.Code, answer.Body)
	}
	return took
}
