package promsource_test

import (
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"testing"
	"time"

	"wattmark/internal/promdouble"
	"wattmark/promsource"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// node is one simulated GPU that wattmark reads once a second, and that Prometheus scrapes.
type node struct {
	gpu    *sim.GPU
	target map[string]string
}

// stored is what Prometheus has of the node between two times in seconds: scraped every so often, each time up to 20 ms
// late, at a phase of its own.
func (n node) stored(random *rand.Rand, from, to float64, every time.Duration) []promdouble.Series {
	var readings []sampler.Reading
	for t := from + random.Float64(); t < to; t++ {
		readings = append(readings, n.gpu.At(t))
	}
	var times []int64
	for t := from + every.Seconds()*random.Float64(); t < to; t += every.Seconds() {
		late := 0.02 * random.Float64()
		times = append(times, n.gpu.Moment(t+late).UnixNano/1e6)
	}
	return promdouble.Scrape(n.target, n.gpu.Info(), readings, times)
}

// The energy from a Prometheus is the true one, within the bound that is stated: whatever the load, however often it is
// scraped, wherever the window's edges fall.
func TestTruthWithinBound(t *testing.T) {
	decode := sim.NewDecode(sim.ServingH200(3))
	for _, load := range []struct {
		name string
		make func(r *rand.Rand, a, b float64) sim.Load
	}{
		{"constant", func(r *rand.Rand, _, _ float64) sim.Load { return sim.Constant(80 + 600*r.Float64()) }},
		{"step at the edges", func(_ *rand.Rand, a, b float64) sim.Load {
			return sim.Busy{Load: sim.Constant(620), IdleWatts: 78, Start: a, End: b}
		}},
		{"sine", func(r *rand.Rand, _, _ float64) sim.Load {
			return sim.Sine{Mean: 400, Amplitude: 250, Period: 2.2 + 15*r.Float64()}
		}},
		{"decode", func(r *rand.Rand, _, _ float64) sim.Load { return sim.Shift{By: -100 * r.Float64(), Load: decode} }},
		{"decode between idle", func(r *rand.Rand, a, b float64) sim.Load {
			return sim.Busy{Load: sim.Shift{By: -100 * r.Float64(), Load: decode}, IdleWatts: 80, Start: a, End: b}
		}},
	} {
		for _, every := range []time.Duration{time.Second, 5 * time.Second, 15 * time.Second} {
			for _, model := range []string{"H200", "MI300X"} {
				random := rand.New(rand.NewPCG(7, uint64(every)))
				const windows = 24
				within, worst, sum := 0, 0.0, 0.0
				for range windows {
					a := 100 + random.Float64()
					b := a + 60 + random.Float64()
					sensors := sim.HopperSensors()
					if model == "MI300X" {
						sensors = sim.MI300Sensors()
					}
					sensors.CounterPhase = time.Duration(random.Int64N(int64(time.Second)))
					sensors.RefreshPhase = time.Duration(random.Int64N(int64(time.Second)))
					gpu := sim.New(sim.Config{Model: model, Sensors: sensors, Load: load.make(random, a, b), Origin: time.Unix(1_790_000_000, random.Int64N(1e9))})
					r := measure(t, gpu, random, a, b, every)
					truth := gpu.TrueJoules(gpu.Moment(a).Wall(), gpu.Moment(b).Wall())
					energy, ok := r.Energy().Known()
					off := math.Abs(energy - truth)
					if ok && r.Valid() && off <= r.Bound().Or(0)+0.1 {
						within++
					}
					worst, sum = max(worst, off/truth), sum+off/truth
				}
				t.Logf("scraped every %v, %s, %s: within the bound %d of %d, off by %.3f %% in the mean, %.3f %% at most",
					every, model, load.name, within, windows, 100*sum/windows, 100*worst)
				if within < windows*5/6 { // a bound is 2 standard deviations
					t.Errorf("scraped every %v, %s, %s: %d of %d within the bound", every, model, load.name, within, windows)
				}
			}
		}
	}
}

func measure(t *testing.T, gpu *sim.GPU, random *rand.Rand, a, b float64, every time.Duration) window.Result {
	t.Helper()
	server := &promdouble.Server{}
	margin := 3*every.Seconds() + 10
	server.Add(node{gpu, map[string]string{"instance": "n1:9844", "job": "wattmark"}}.stored(random, a-margin, b+margin, every)...)
	web := httptest.NewServer(server)
	defer web.Close()
	w := window.Window{Start: sampler.WallMoment(gpu.Moment(a).Wall()), End: sampler.WallMoment(gpu.Moment(b).Wall())}
	src, err := promsource.Open(t.Context(), promsource.Config{URL: web.URL, Selector: `job="wattmark"`, Exporter: promsource.Wattmark()}, w.Start.Wall(), w.End.Wall())
	if err != nil {
		t.Fatal(err)
	}
	r := window.Measure(src, w, window.Limits{MaxGap: every + 2*time.Second, AllowSimulated: true})
	if err := src.Err(); err != nil {
		t.Fatal(err)
	}
	return r
}
