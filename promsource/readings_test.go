package promsource_test

import (
	"math"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"wattmark/internal/promdouble"
	"wattmark/promsource"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// Scraped more often than it is read, a GPU has as many readings as were made; so it has where a server's answers overlap.
func TestEachReadingCountsOnce(t *testing.T) {
	gpu := sim.New(sim.Config{Load: sim.Constant(400), Origin: time.Unix(1_790_000_000, 0)})
	target := map[string]string{"instance": "n1", "job": "wattmark"}
	stored := node{gpu, target}.stored(rand.New(rand.NewPCG(1, 2)), 70, 190, 200*time.Millisecond)
	for _, overlap := range []bool{false, true} {
		server := &promdouble.Server{}
		for _, series := range stored {
			if overlap { // as two blocks that hold the same
				series.Samples = append(series.Samples, series.Samples[100:300]...)
			}
			server.Add(series)
		}
		server.Fail = func(_ http.ResponseWriter, r *http.Request) bool {
			if got := r.Header.Get("Accept-Encoding"); got != "identity" {
				t.Errorf("Accept-Encoding %q: compressing takes longer than it saves", got)
			}
			return false
		}
		src, _, err := open(t, server, gpu, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := measured(t, src, gpu)
		if n := r.GPUs[0].Samples; n < 60 || n > 61 || !r.Valid() || r.GPUs[0].Method != window.Counter {
			t.Errorf("overlapping answers %v: %d samples by %s, reasons %v; want one a second", overlap, n, r.GPUs[0].Method, r.AllReasons())
		}
	}
}

// A GPU without an energy counter is measured by its power, each value for the time that the sensor averages.
func TestWithoutACounter(t *testing.T) {
	for _, test := range []struct {
		model  string
		method window.Method
	}{{"H200", window.Boxcar}, {"A100", window.Trapezoid}} {
		random := rand.New(rand.NewPCG(5, 6))
		gpu := sim.New(sim.Config{
			Model: test.model, Origin: time.Unix(1_790_000_000, 0),
			Load: sim.Sine{Mean: 250, Amplitude: 100, Period: 9},
		})
		server := &promdouble.Server{}
		for _, series := range (node{gpu, map[string]string{"instance": "n1"}}).stored(random, 70, 190, time.Second) {
			if name := series.Labels["__name__"]; name != "wattmark_gpu_energy_joules_total" && name != "wattmark_gpu_energy_step_seconds" {
				server.Add(series)
			}
		}
		src, _, err := open(t, server, gpu, func(c *promsource.Config) { c.HostLabel = "job" })
		if err != nil {
			t.Fatal(err)
		}
		r := measured(t, src, gpu)
		truth := gpu.TrueJoules(at(gpu, begins).Wall(), at(gpu, ends).Wall())
		off := math.Abs(r.Energy().Or(0) - truth)
		if t.Logf("%s: off by %.1f J, bound %.1f J", test.model, off, r.Bound().Or(0)); r.GPUs[0].Method != test.method || !r.Valid() || off > r.Bound().Or(0) {
			t.Errorf("%s: by %s, reasons %v, off by %.1f J, bound %.1f J; want %s", test.model, r.GPUs[0].Method, r.AllReasons(), off, r.Bound().Or(0), test.method)
		}
		if r.GPUs[0].Host != "" {
			t.Errorf("%s: host %q of a label that is not there", test.model, r.GPUs[0].Host)
		}
	}
}
