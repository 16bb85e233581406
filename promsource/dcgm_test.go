package promsource_test

import (
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"wattmark/internal/promdouble"
	"wattmark/promsource"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// DCGM's exporter collects at its own interval and stamps nothing: the energy is known the worse for it, and no better.
func TestDCGM(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	within := 0
	const windows = 40
	for range windows {
		a := 100 + random.Float64()
		gpu := sim.New(sim.Config{
			Load:   sim.Busy{Load: sim.Constant(600), IdleWatts: 80, Start: a, End: a + 60},
			Origin: time.Unix(1_790_000_000, random.Int64N(1e9)),
		})
		labels := func(name string) map[string]string {
			return map[string]string{
				"__name__": name, "instance": "10.0.0.7:9400", "Hostname": "dgx1", "gpu": "0", "UUID": gpu.Info().UUID,
				"modelName": "NVIDIA H200", "pci_bus_id": "00000000:1B:00.0", "device": "nvidia0",
			}
		}
		power := promdouble.Series{Labels: labels("DCGM_FI_DEV_POWER_USAGE")}
		energy := promdouble.Series{Labels: labels("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION")}
		phase := random.Float64()
		for t := a - 30 - random.Float64(); t < a+90; t++ {
			collected := float64(int(t-phase)) + phase // once a second
			r := gpu.At(collected)
			ms := gpu.Moment(t).UnixNano / 1e6
			power.Samples = append(power.Samples, promdouble.Sample{Milliseconds: ms, Value: r.PowerWatts.Or(0)})
			energy.Samples = append(energy.Samples, promdouble.Sample{Milliseconds: ms, Value: 1000 * r.EnergyJoules.Or(0)})
		}
		server := &promdouble.Server{}
		server.Add(power, energy)
		web := httptest.NewServer(server)
		w := window.Window{Start: at(gpu, a), End: at(gpu, a+60)}
		src, err := promsource.Open(t.Context(), promsource.Config{URL: web.URL, Exporter: promsource.DCGM(time.Second)}, w.Start.Wall(), w.End.Wall())
		if err != nil {
			t.Fatal(err)
		}
		r := window.Measure(src, w, window.Limits{})
		web.Close()
		if err := src.Err(); err != nil {
			t.Fatal(err)
		}
		gotten := r.GPUs[0]
		if !r.Valid() || gotten.Host != "dgx1" || gotten.BusID != "0000:1b:00.0" || gotten.Method != window.Counter {
			t.Fatalf("host %q, bus %q, by %s, reasons %v", gotten.Host, gotten.BusID, gotten.Method, r.AllReasons())
		}
		off := gotten.Energy.Or(0) - gpu.TrueJoules(at(gpu, a).Wall(), at(gpu, a+60).Wall())
		if off < 0 {
			off = -off
		}
		if off <= gotten.Bound.Or(0) {
			within++
		}
	}
	if t.Logf("within the bound %d of %d", within, windows); within < windows*9/10 {
		t.Errorf("%d of %d within the bound", within, windows)
	}
}

// Answers that overlap, as of two blocks, hold each scrape once, also where no reading is stamped.
func TestDCGMOverlap(t *testing.T) {
	gpu := sim.New(sim.Config{Load: sim.Constant(400), Origin: time.Unix(1_790_000_000, 0)})
	server := &promdouble.Server{}
	for name, value := range map[string]func(float64) float64{
		"DCGM_FI_DEV_POWER_USAGE":              func(s float64) float64 { return 400 + math.Mod(s, 7) },
		"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": func(s float64) float64 { return 400e3 * s },
	} {
		series := promdouble.Series{Labels: map[string]string{"__name__": name, "instance": "n", "gpu": "0", "UUID": "GPU-1"}}
		for s := 70.0; s < 190; s++ {
			series.Samples = append(series.Samples, promdouble.Sample{Milliseconds: gpu.Moment(s).UnixNano / 1e6, Value: value(s)})
		}
		series.Samples = append(slices.Clone(series.Samples[60:110]), series.Samples...)
		server.Add(series)
	}
	src, _, err := open(t, server, gpu, func(c *promsource.Config) { c.Exporter = promsource.DCGM(time.Second) })
	if err != nil {
		t.Fatal(err)
	}
	r := measured(t, src, gpu)
	if n := r.GPUs[0].Samples; n < 60 || n > 61 || !r.Valid() || math.Abs(r.Energy().Or(0)-400*(ends-begins)) > r.Bound().Or(0) {
		t.Errorf("%d samples, %v J, reasons %v; want one a second, %v J", n, r.Energy(), r.AllReasons(), 400*(ends-begins))
	}
}
