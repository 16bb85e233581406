//go:build real

package prometheus

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
)

// The fleet: so many nodes of eight GPUs, read and scraped once a second for a window and a little around it.
const (
	nodes, perNode = 1000, 8
	length         = 600 // s
	around         = 20  // s of samples before and after
	origin         = 1_790_000_000
)

// column is one GPU's metrics as text, scrape by scrape.
type column struct{ power, instant, energy, stamp []string }

// eight are the GPUs of one node, of which each node has copies, and their true energy in the window.
func eight() (columns [perNode]column, truth float64) {
	for i := range columns {
		serving := sim.NewDecode(sim.ServingH200(uint64(i) + 1))
		gpu := sim.New(sim.Config{
			Index: i, Origin: time.Unix(origin, 0),
			Load: sim.Busy{Load: serving, IdleWatts: 80, Start: around + 0.4, End: around + 0.4 + length},
		})
		truth += gpu.TrueJoules(gpu.Moment(around+0.4).Wall(), gpu.Moment(around+0.4+length).Wall())
		first := gpu.At(0.3).EnergyJoules.Or(0)
		text := func(v sampler.Value) string { return strconv.FormatFloat(v.Or(0), 'f', -1, 64) }
		for t := 0.3; t < 2*around+length; t++ {
			r := gpu.At(t)
			c := &columns[i]
			c.power, c.instant = append(c.power, text(r.PowerWatts)), append(c.instant, text(r.InstantWatts))
			c.energy = append(c.energy, text(sampler.Some(r.EnergyJoules.Or(0)-first)))
			c.stamp = append(c.stamp, text(sampler.Some(r.At.Unix())))
		}
	}
	return columns, truth * nodes
}

// fill writes what Prometheus would have of the fleet as OpenMetrics text. Each node is scraped at a time of its own.
func fill(t *testing.T, path string, columns [perNode]column) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	out := bufio.NewWriterSize(file, 1<<20)
	family := func(name, kind, labels string, values func(gpu int) []string) {
		_, _ = fmt.Fprintf(out, "# TYPE %s %s\n", strings.TrimSuffix(name, "_total"), kind)
		for node := range nodes {
			for gpu := range perNode {
				series := fmt.Sprintf(`%s{instance="node%04d:9844",job="wattmark",gpu="%d",uuid="GPU-%04d-%d"%s} `, name, node, gpu, node, gpu, labels)
				for second, value := range values(gpu) {
					_, _ = out.WriteString(series)
					_, _ = out.WriteString(value)
					_, _ = out.WriteString(" " + strconv.Itoa(origin+second) + "." + fmt.Sprintf("%03d\n", 310+node%600))
				}
			}
		}
	}
	constant := func(text string) func(int) []string {
		values := make([]string, 2*around+length)
		for i := range values {
			values[i] = text
		}
		return func(int) []string { return values }
	}
	const prefix = "wattmark_gpu_"
	family(prefix+"info", "gauge", `,vendor="nvidia",model="NVIDIA H200",pci_bus_id="0000:1b:00.0",driver_version="590.48.01",power_source="average"`, constant("1"))
	family(prefix+"power_limit_watts", "gauge", "", constant("700"))
	family(prefix+"energy_step_seconds", "gauge", "", constant("0.1"))
	family(prefix+"power_watts", "gauge", "", func(gpu int) []string { return columns[gpu].power })
	family(prefix+"instant_power_watts", "gauge", "", func(gpu int) []string { return columns[gpu].instant })
	family(prefix+"energy_joules_total", "counter", `,method="counter"`, func(gpu int) []string { return columns[gpu].energy })
	family(prefix+"last_sample_timestamp_seconds", "gauge", "", func(gpu int) []string { return columns[gpu].stamp })
	_, _ = out.WriteString("# EOF\n")
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
}

// A window of ten minutes of a thousand nodes with eight GPUs each is measured in seconds, and rightly.
func TestFleet(t *testing.T) {
	const limit = 10 * time.Second
	columns, truth := eight()
	dir := t.TempDir()
	text, data := filepath.Join(dir, "fleet.txt"), filepath.Join(dir, "data")
	began := time.Now()
	fill(t, text, columns)
	info, err := os.Stat(text)
	if err != nil {
		t.Fatal(err)
	}
	run(t, tool(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", text, data)
	_ = os.Remove(text)
	t.Logf("filled from %d MB of text in %.0f s", info.Size()>>20, time.Since(began).Seconds())
	program := wattmark(t)
	prom := prometheus(t, "scrape_configs: []\n", data)

	result := filepath.Join(dir, "r.json")
	benched := fmt.Sprintf(`{"benchmark_start_time_unix": %d.4, "benchmark_end_time_unix": %d.4, "duration": %d, "completed": 1000, "total_input_tokens": 1000000, "total_output_tokens": 100000}`,
		origin+around, origin+around+length, length)
	if err := os.WriteFile(result, []byte(benched), 0o644); err != nil {
		t.Fatal(err)
	}
	best := time.Hour
	for range 3 {
		began := time.Now()
		answer := decode(t, []byte(run(t, "/usr/bin/env", "time", "-f", "%M", "-o", filepath.Join(dir, "rss"), program, "aggregate", "--prometheus", prom.url,
			"--selector", `job="wattmark"`, "--bench-result", result, "--expected-num-gpus", fmt.Sprint(nodes*perNode), "--require-power", "--json")))
		took := time.Since(began)
		energy, bound := answer["total_gpu_energy_j"].(float64), answer["energy_bound_j"].(float64)
		rss, _ := os.ReadFile(filepath.Join(dir, "rss"))
		t.Logf("%d GPUs, %d s: %.1f MJ ± %.1f, off by %+.4f %%, in %.1f s; resident at most %s kB", nodes*perNode, length,
			energy/1e6, bound/1e6, 100*(energy-truth)/truth, took.Seconds(), strings.TrimSpace(string(rss)))
		if math.Abs(energy-truth) > bound || len(answer["gpus"].([]any)) != nodes*perNode {
			t.Errorf("%.0f J ± %.0f, true %.0f", energy, bound, truth)
		}
		best = min(best, took)
	}
	if best > limit {
		t.Errorf("%.1f s, want at most %v", best.Seconds(), limit)
	}
}
