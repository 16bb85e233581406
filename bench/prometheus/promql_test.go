//go:build real

package prometheus

import (
	"bufio"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"wattmark/internal/promdouble"
	"wattmark/promsource"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// openMetrics writes series as promtool takes them: family by family.
func openMetrics(t *testing.T, path string, all []promdouble.Series) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	out := bufio.NewWriter(file)
	slices.SortStableFunc(all, func(a, b promdouble.Series) int { return strings.Compare(a.Labels["__name__"], b.Labels["__name__"]) })
	last := ""
	for _, series := range all {
		name := series.Labels["__name__"]
		kind := "gauge"
		if strings.HasSuffix(name, "_total") {
			kind = "counter"
		}
		if name != last {
			_, _ = fmt.Fprintf(out, "# TYPE %s %s\n", strings.TrimSuffix(name, "_total"), kind)
		}
		last = name
		var labels []string
		for _, label := range slices.Sorted(maps.Keys(series.Labels)) {
			if label != "__name__" {
				labels = append(labels, fmt.Sprintf("%s=%q", label, series.Labels[label]))
			}
		}
		for _, s := range series.Samples {
			_, _ = fmt.Fprintf(out, "%s{%s} %s %d.%03d\n", name, strings.Join(labels, ","), strconv.FormatFloat(s.Value, 'f', -1, 64), s.Milliseconds/1000, s.Milliseconds%1000)
		}
	}
	_, _ = out.WriteString("# EOF\n")
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
}

// errors are how far a way of measuring is off, as shares of the truth.
type errors []float64

func (e errors) String() string {
	if len(e) == 0 {
		return "–"
	}
	sum := 0.0
	for _, x := range e {
		sum += math.Abs(x) / float64(len(e))
	}
	return fmt.Sprintf("%.2f / %.2f", 100*sum, 100*slices.MaxFunc(e, func(a, b float64) int { return int(math.Copysign(1, math.Abs(a)-math.Abs(b))) }))
}

// What PromQL says of a window's energy, and what aggregate --prometheus makes of the same samples in the same Prometheus.
func TestAgainstPromQL(t *testing.T) {
	for name, load := range map[string]func(r *rand.Rand, a, b float64) sim.Load{
		"decode steps in the window, idle outside": func(r *rand.Rand, a, b float64) sim.Load {
			serving := sim.NewDecode(sim.ServingH200(r.Uint64()))
			return sim.Busy{Load: sim.Shift{By: -100 * r.Float64(), Load: serving}, IdleWatts: 80, Start: a, End: b}
		},
		"batches of 10 to 60 s that go on": func(r *rand.Rand, _, _ float64) sim.Load {
			return sim.Shift{By: -100 * r.Float64(), Load: sim.Square{Low: 150, High: 620, Period: 10 + 50*r.Float64(), Duty: 0.6}}
		},
	} {
		t.Run(name, func(t *testing.T) { againstPromQL(t, load) })
	}
}

func againstPromQL(t *testing.T, load func(r *rand.Rand, a, b float64) sim.Load) {
	const windows = 30
	type node struct {
		gpu  *sim.GPU
		a, b float64
	}
	var all []promdouble.Series
	fleet := map[string]node{}
	random := rand.New(rand.NewPCG(11, 12))
	scrapes := []time.Duration{time.Second, 5 * time.Second, 15 * time.Second}
	for i := range windows {
		a := 60 + 5*random.Float64()
		b := a + 60 + random.Float64()
		gpu := sim.New(sim.Config{
			Origin: time.Unix(origin, random.Int64N(1e9)), Host: fmt.Sprint("n", i),
			Load: load(random, a, b),
		})
		var readings []sampler.Reading
		for t := random.Float64(); t < b+60; t++ {
			readings = append(readings, gpu.At(t))
		}
		for _, every := range scrapes {
			name := fmt.Sprintf("n%d-%v", i, every)
			var times []int64
			for t := 1 + every.Seconds()*random.Float64(); t < b+60; t += every.Seconds() {
				times = append(times, gpu.Moment(t+0.01*random.Float64()).UnixNano/1e6)
			}
			all = append(all, promdouble.Scrape(map[string]string{"instance": name, "every": every.String()}, gpu.Info(), readings, times)...)
			fleet[name] = node{gpu, a, b}
		}
	}
	dir := t.TempDir()
	openMetrics(t, filepath.Join(dir, "om.txt"), all)
	run(t, tool(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", filepath.Join(dir, "om.txt"), filepath.Join(dir, "data"))
	prom := prometheus(t, "scrape_configs: []\n", filepath.Join(dir, "data"))

	t.Log("error in %, mean of its size / the largest | scrape | increase | increase smoothed | E(end) − E(start) | avg_over_time × time | aggregate --prometheus | within its bound")
	smoothed := prom.knows("increase(up[1m] smoothed)") // since Prometheus 3.16
	for _, every := range scrapes {
		var increase, smooth, difference, average, ours errors
		within := 0
		for name, n := range fleet {
			if !strings.HasSuffix(name, "-"+every.String()) {
				continue
			}
			start, end := n.gpu.Moment(n.a), n.gpu.Moment(n.b)
			truth := n.gpu.TrueJoules(start.Wall(), end.Wall())
			share := func(expr string) float64 {
				results := prom.query(expr)
				if len(results) == 0 {
					return math.NaN()
				}
				x, err := strconv.ParseFloat(results[0].Value[1].(string), 64)
				if err != nil {
					t.Fatal(err)
				}
				return (x - truth) / truth
			}
			counter := fmt.Sprintf(`wattmark_gpu_energy_joules_total{instance=%q}`, name)
			ms := int(end.Sub(start).Milliseconds())
			increase = append(increase, share(fmt.Sprintf("increase(%s[%dms] @ %.3f)", counter, ms, end.Unix())))
			if smoothed {
				smooth = append(smooth, share(fmt.Sprintf("increase(%s[%dms] smoothed @ %.3f)", counter, ms, end.Unix())))
			}
			difference = append(difference, share(fmt.Sprintf("%s @ %.3f - %s @ %.3f", counter, end.Unix(), counter, start.Unix())))
			average = append(average, share(fmt.Sprintf("avg_over_time(wattmark_gpu_power_watts{instance=%q}[%dms] @ %.3f) * %v", name, ms, end.Unix(), end.Sub(start).Seconds())))

			w := window.Window{Start: sampler.WallMoment(start.Wall()), End: sampler.WallMoment(end.Wall())}
			src, err := promsource.Open(t.Context(), promsource.Config{URL: prom.url, Selector: fmt.Sprintf("instance=%q", name), Exporter: promsource.Wattmark()}, w.Start.Wall(), w.End.Wall())
			if err != nil {
				t.Fatal(err)
			}
			r := window.Measure(src, w, window.Limits{MaxGap: every + 2*time.Second, AllowSimulated: true})
			if err := src.Err(); err != nil || !r.Valid() {
				t.Fatal(err, r.AllReasons())
			}
			off := r.Energy().Or(0) - truth
			ours = append(ours, off/truth)
			if math.Abs(off) <= r.Bound().Or(0) {
				within++
			}
		}
		t.Logf("| %v | %v | %v | %v | %v | %v | %d of %d |", every, increase, smooth, difference, average, ours, within, windows)
		if within < windows*9/10 {
			t.Errorf("scraped every %v: %d of %d within the bound", every, within, windows)
		}
	}
}
