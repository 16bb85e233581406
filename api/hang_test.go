package api

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/agg"
	"wattmark/sampler"
	"wattmark/window"
)

// within runs a request and checks that it took at most so long in fake time.
func (d *daemon) within(most time.Duration, request func() reply) reply {
	d.Helper()
	began := time.Now()
	got := request()
	if took := time.Since(began); took > most {
		d.Errorf("took %v, want at most %v", took, most)
	}
	return got
}

// A GPU whose driver call hangs delays a mark by half a second, gets its reason, and spoils no other GPU.
func TestHungGPU(t *testing.T) {
	const mark = 2500 * time.Millisecond
	for _, c := range []struct {
		name, fault string // the daemon is 10.5 s old when the window opens
		warnings    int
		reasons     []window.Reason
	}{
		{"at the start", "hang:10s-13s@3", 1, nil}, // reads before and after: the counter went on
		{"from the start on", "hang:10s-60s@3", 1, []window.Reason{window.NotBracketed}},
		{"in the middle", "hang:13s-17s@3", 0, nil},
		{"at the end", "hang:19s-60s@3", 0, []window.Reason{window.NotBracketed}},
		{"always", "hang:0s-60s@3", 1, []window.Reason{window.NoUsableSamples}},
		{"lost", "lost:15s@3", 0, []window.Reason{window.NotBracketed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, options{spec: "8xH200,load=sine,fault=" + c.fault}, func(d *daemon) {
				s := d.within(mark, func() reply { return d.post("/v1/mark-start", "run=r&expected_num_gpus=8") }).window()
				if len(s.Warnings) != c.warnings || c.warnings > 0 && !strings.Contains(s.Warnings[0], "GPU 3") {
					t.Errorf("warnings %q, want %d", s.Warnings, c.warnings)
				}
				time.Sleep(10 * time.Second)
				r := d.within(mark, func() reply { return d.post("/v1/mark-end", "run=r") }).result()
				if !slices.Equal(r.GPUs[3].Reasons, append([]window.Reason{}, c.reasons...)) {
					t.Errorf("reasons of GPU 3: %v, want %v", r.GPUs[3].Reasons, c.reasons)
				}
				if r.Valid() != (len(c.reasons) == 0) || r.Energy().OK() != r.GPUs[3].Energy.OK() {
					t.Errorf("valid %v, energy %v", r.Valid(), r.Energy())
				}
				stand := r
				stand.Reasons, stand.GPUs = nil, slices.Delete(slices.Clone(r.GPUs), 3, 4)
				d.wantTrue(stand)
				for _, path := range []string{"/v1/windows", "/v1/gpus", "/v1/readings", "/healthz", "/readyz", "/v1/time"} {
					d.within(0, func() reply { return d.get(path) })
				}
			})
		})
	}
}

// With no GPU the daemon answers all the same, and says why there is nothing to measure.
func TestNoGPU(t *testing.T) {
	problem := "no libnvidia-ml.so.1: install the driver"
	config := func(c *Config) {
		c.Backend = func() Backend { return Backend{Name: "none", Problems: []string{problem}} }
	}
	inBubble(t, options{spec: "none", config: config}, func(d *daemon) {
		for _, got := range []reply{
			d.post("/v1/mark-start", "run=r"), d.post("/v1/measure", "start_unix=1&end_unix=2"),
			d.get("/v1/energy?start=1&end=2"), d.get("/v1/readings"),
		} {
			if p := got.problem(503, "no_gpu"); !strings.Contains(p.Detail, problem) {
				t.Errorf("detail %q does not say why", p.Detail)
			}
		}
		if got := d.get("/readyz").want(503); !strings.Contains(string(got.text), problem) {
			t.Errorf("readyz: %s", got.text)
		}
		var gpus struct {
			Backend Backend
			GPUs    []gpuState
		}
		d.get("/v1/gpus").want(200).decode(&gpus)
		if len(gpus.GPUs) != 0 || !slices.Equal(gpus.Backend.Problems, []string{problem}) {
			t.Errorf("gpus: %+v", gpus)
		}
		d.get("/healthz").want(200)
		d.post("/v1/mark-end", "").problem(404, "unknown_run")
		d.server.Interrupt()
	})
}

// As long as no GPU has answered, but one may, nobody is told that there is none.
func TestNoGPUYet(t *testing.T) {
	missing := "the driver's library has not come up for 3.0 s"
	backend := Backend{Name: "none", Problems: []string{missing}, Missing: []string{missing}, Waking: true}
	config := func(c *Config) { c.Backend = func() Backend { return backend } }
	inBubble(t, options{spec: "none", config: config}, func(d *daemon) {
		if got := string(d.get("/readyz").want(503).text); !strings.Contains(got, missing) || strings.Contains(got, "no GPU") {
			t.Errorf("readyz: %s", got)
		}
		d.post("/v1/mark-start", "run=r").problem(503, "gpu_waking")
		d.post("/v1/mark-start", "run=r&gpus=0").problem(503, "gpu_waking")
		backend.Waking = false // it hangs
		if p := d.post("/v1/mark-start", "run=r").problem(503, "no_gpu"); !strings.Contains(p.Detail, missing) {
			t.Errorf("detail %q", p.Detail)
		}
	})
}

// goneAfter is a request whose client goes away so long after it was sent.
func (d *daemon) goneAfter(wait time.Duration, path, form string) {
	ctx, cancel := context.WithTimeout(d.Context(), wait)
	defer cancel()
	r := d.request("POST", path, "application/x-www-form-urlencoded", form)
	d.handler.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
}

// The client of a mark goes away while it waits: mark-start opens no window that nobody knows of, mark-end measures
// as if the client were there, and answers when asked again.
func TestClientGoesAway(t *testing.T) {
	inBubble(t, options{spec: "2xH200,load=sine,fault=hang:10s-12s@1"}, func(d *daemon) {
		d.goneAfter(100*time.Millisecond, "/v1/mark-start", "run=r")
		if n := d.server.OpenWindows(); n != 0 {
			t.Errorf("%d windows are open", n)
		}
		d.goneAfter(100*time.Millisecond, "/v1/mark-start", fmt.Sprintf("run=r&at_unix=%f", d.samples.Now().Unix()+0.9))
		time.Sleep(5 * time.Second)
		d.post("/v1/mark-start", "run=r").window()
		time.Sleep(10 * time.Second)
		d.goneAfter(0, "/v1/mark-end", "run=r")
		r := d.post("/v1/mark-end", "run=r").result()
		d.wantTrue(r)
		if r.Duration() != 10*time.Second {
			t.Errorf("%v, want the 10 s up to the first mark-end", r.Duration())
		}
	})
}

// At shutdown the open windows are written as interrupted, and stay open for the next start.
func TestInterrupt(t *testing.T) {
	inBubble(t, options{spec: "2xH200,load=sine,fault=hang:20s-60s@1"}, func(d *daemon) {
		d.post("/v1/mark-start", "run=one&gpus=0").window()
		d.post("/v1/mark-start", "run=both&role=decode&expected_num_gpus=2").window()
		d.post("/v1/mark-start", "run=done").window()
		time.Sleep(5 * time.Second)
		d.post("/v1/mark-end", "run=done").result()
		done := d.stamp("power_window_done.json")
		time.Sleep(15 * time.Second)
		began := time.Now()
		d.server.Interrupt()
		if took := time.Since(began); took > pollWait {
			t.Errorf("took %v", took)
		}
		for run, want := range map[string][]window.Reason{
			"one":  {window.Interrupted},
			"both": {window.Interrupted, window.NotBracketed},
		} {
			r := d.get("/v1/windows/" + run).want(200)
			if !strings.Contains(string(r.text), `"state":"open"`) {
				t.Errorf("%s: %s, want it open", run, r.text)
			}
			file := d.json("power_window_" + run + ".json")
			if got := fmt.Sprint(file["reasons"]); got != fmt.Sprint(want) || file["power_valid"] != false {
				t.Errorf("%s: reasons %s, want %v", run, got, want)
			}
			var kept agg.WindowFile
			if err := kept.UnmarshalJSON(d.read("power_window_" + run + ".json")); err != nil {
				t.Fatal(err)
			}
			if again := window.Measure(window.Recorded(kept.Series), kept.Window(), kept.Limits); again.GPUs[0].Energy != kept.Result.GPUs[0].Energy {
				t.Errorf("%s: %v J again, was %v", run, again.GPUs[0].Energy, kept.Result.GPUs[0].Energy)
			}
		}
		if d.stamp("power_window_done.json") != done {
			t.Error("a window that had ended was written again")
		}
		// The window goes on, and ends as if nothing had been.
		time.Sleep(5 * time.Second)
		d.wantTrue(d.post("/v1/mark-end", "run=one").result())
	})
}

// A mark-end that is at work when the daemon is told to stop keeps its good file.
func TestInterruptLeavesMarkEndAlone(t *testing.T) {
	for range 20 {
		inBubble(t, options{spec: "1xH200,load=sine"}, func(d *daemon) {
			d.post("/v1/mark-start", "run=r").window()
			time.Sleep(5 * time.Second)
			var wg sync.WaitGroup
			wg.Go(func() { d.post("/v1/mark-end", "run=r").result() })
			wg.Go(d.server.Interrupt)
			wg.Wait()
			if file := d.json("power_window_r.json"); file["power_valid"] != true {
				t.Errorf("reasons %v", file["reasons"])
			}
			if _, err := os.Stat(d.dir); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// With 256 windows open, each of them an hour long, the daemon still ends in time.
func TestInterruptEndsInTime(t *testing.T) {
	d := startDaemon(t, options{spec: "8xH200"})
	infos, now := d.samples.Infos(), d.samples.Now()
	d.samples.Restore(func(yield func(sampler.Kept) bool) {
		for second := 3600; second > 1; second-- {
			for _, info := range infos {
				r := sampler.Reading{At: now.Add(-time.Duration(second) * time.Second), PowerWatts: sampler.Some(500), EnergyJoules: sampler.Some(float64(4000 - second))}
				if !yield(sampler.Kept{GPU: info.ID(), Reading: r}) {
					return
				}
			}
		}
	})
	for i := range 256 {
		mark := window.Mark{ID: fmt.Sprint("id", i), Run: fmt.Sprint("r", i), Start: now.Add(-59 * time.Minute), GPUs: idsOf(infos)}
		if err := d.server.marks.Open(mark); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	d.server.Interrupt()
	if took := time.Since(began); took > 2*time.Second { // within which serve has to end; all of them take longer
		t.Errorf("took %v", took)
	}
	written, err := filepath.Glob(filepath.Join(d.dir, "power_window_*.json"))
	if err != nil || len(written) == 0 || len(written) == 256 {
		t.Errorf("%d windows written, %v: was there too little to do?", len(written), err)
	}
	for i := range 256 { // what is being written goes on: the folder may go once nothing can be written any more
		d.server.ended.lock(fmt.Sprint("r", i))
	}
}
