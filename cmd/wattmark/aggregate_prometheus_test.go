package main

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wattmark/internal/promdouble"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
)

// scrapedFleet is a Prometheus that scraped three nodes every so often, and the GPU of each. Their load is one benchmark.
func scrapedFleet(every time.Duration) (*promdouble.Server, []*sim.GPU) {
	server, gpus := &promdouble.Server{}, make([]*sim.GPU, 3)
	for i := range gpus {
		gpus[i] = sim.New(sim.Config{
			Load:   sim.Busy{Load: sim.Constant(500 + 20*float64(i)), IdleWatts: 80, Start: 100.4, End: 160.9},
			Origin: time.Unix(1_790_000_000, 0),
		})
		var readings []sampler.Reading
		for t := 40.1 + 0.2*float64(i); t < 230; t++ {
			readings = append(readings, gpus[i].At(t))
		}
		var times []int64
		for t := 41.7 + 0.1*float64(i); t < 230; t += every.Seconds() {
			times = append(times, gpus[i].Moment(t).UnixNano/1e6)
		}
		target := map[string]string{"instance": fmt.Sprintf("node%d:9844", i), "job": "wattmark"}
		server.Add(promdouble.Scrape(target, gpus[i].Info(), readings, times)...)
	}
	return server, gpus
}

// benched is a benchmark's result with the window of scrapedFleet's load.
const benched = `{"benchmark_start_time_unix": 1790000100.4, "benchmark_end_time_unix": 1790000160.9, "duration": 60.5,
 "completed": 10, "total_input_tokens": 2000, "total_output_tokens": 1000}`

func TestAggregatePrometheus(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		every time.Duration
		args  []string
		says  string
	}{
		{"scraped every second", time.Second, nil, "3 GPUs, scraped every 1s"},
		{"scraped every 15 seconds", 15 * time.Second, []string{"--max-gap", "20s"}, "3 GPUs, scraped every 1"},
	} {
		server, gpus := scrapedFleet(test.every)
		web := httptest.NewServer(server)
		defer web.Close()
		dir := t.TempDir()
		write(t, dir, "r.json", benched)
		write(t, dir, "agg_r.json", `{"hw": "h200"}`)
		args := append([]string{
			"aggregate", "--prometheus", web.URL, "--selector", `{job="wattmark"}`, "--bench-result", "r.json",
			"--agg-result", "agg_r.json", "--expected-num-gpus", "3", "--allow-simulated", "--require-power",
		}, test.args...)
		_, errs, code := wattmark(t, dir, nil, args...)
		if code != 0 || !strings.Contains(errs, test.says) {
			t.Fatalf("%s: exit code %d\n%s\nwant %q", test.name, code, errs, test.says)
		}
		out, errs, code := wattmark(t, dir, nil, append(args, "--json")...)
		if code != 0 {
			t.Fatalf("%s: %s", test.name, errs)
		}
		r, truth := decode(t, []byte(out)), 0.0
		for _, gpu := range gpus {
			truth += gpu.TrueJoules(gpu.Moment(100.4).Wall(), gpu.Moment(160.9).Wall())
		}
		energy, bound := r.number(t, "total_gpu_energy_j"), r.number(t, "energy_bound_j")
		if math.Abs(energy-truth) > bound || r["power_valid"] != true || r["backend"] != "prometheus" || bound > 0.1*truth {
			t.Errorf("%s: %.1f J ± %.1f, true %.1f; reasons %v", test.name, energy, bound, truth, r["reasons"])
		}
		patched := decode(t, []byte(read(t, dir, "agg_r.json")))
		if got, want := patched.number(t, "joules_per_output_token"), energy/1000; math.Abs(got-want) > 1e-6 || patched["power_valid"] != 1.0 {
			t.Errorf("%s: joules_per_output_token %v, want %v", test.name, got, want)
		}
		if validation := read(t, dir, "power_validation_r.json"); !strings.Contains(validation, web.URL) {
			t.Errorf("%s: the validation file does not name its source:\n%s", test.name, validation)
		}
	}
}

func TestAggregatePrometheusWithoutABenchmark(t *testing.T) {
	t.Parallel()
	server, gpus := scrapedFleet(time.Second)
	web := httptest.NewServer(server)
	defer web.Close()
	out, errs, code := wattmark(t, t.TempDir(), nil, "aggregate", "--prometheus", web.URL, "--selector", `instance="node1:9844"`,
		"--start-unix", "1790000110", "--end-unix", "1790000120.5", "--allow-simulated", "--require-power", "--json")
	if code != 0 {
		t.Fatal(errs)
	}
	r := decode(t, []byte(out))
	truth := gpus[1].TrueJoules(gpus[1].Moment(110).Wall(), gpus[1].Moment(120.5).Wall())
	if energy := r.number(t, "total_gpu_energy_j"); math.Abs(energy-truth) > r.number(t, "energy_bound_j") || len(r.gpus(t)) != 1 {
		t.Errorf("%v J of %d GPUs, want %v J of one", energy, len(r.gpus(t)), truth)
	}
}

// A window that has only just ended is measured when it is bracketed.
func TestAggregatePrometheusAtOnce(t *testing.T) {
	t.Parallel()
	server := &promdouble.Server{}
	now := time.Now()
	gpu := sim.New(sim.Config{Load: sim.Constant(500), Origin: now.Add(-100 * time.Second)})
	scrape := func(from, to float64) []promdouble.Series {
		var readings []sampler.Reading
		for s := 0.0; s < to; s++ {
			readings = append(readings, gpu.At(s))
		}
		var times []int64
		for s := from; s < to; s++ {
			times = append(times, gpu.Moment(s).UnixNano/1e6)
		}
		series := promdouble.Scrape(map[string]string{"instance": "n1:9844"}, gpu.Info(), readings, times)
		for _, one := range series {
			if from > 1 && one.Labels["__name__"] == "wattmark_gpu_energy_joules_total" { // since the daemon's start, not since from
				for i := range one.Samples {
					one.Samples[i].Value = gpu.At(math.Floor(from+float64(i))).EnergyJoules.Or(0) - gpu.At(0).EnergyJoules.Or(0)
				}
			}
		}
		return series
	}
	server.Add(scrape(0.5, 100)...)
	time.AfterFunc(time.Second, func() { server.Add(scrape(100.5, 104)...) })
	web := httptest.NewServer(server)
	defer web.Close()
	unix := func(s float64) string { return fmt.Sprintf("%.3f", gpu.Moment(s).Unix()) }
	out, errs, code := wattmark(t, t.TempDir(), nil, "aggregate", "--prometheus", web.URL, "--start-unix", unix(40), "--end-unix", unix(100),
		"--allow-simulated", "--require-power", "--json")
	if code != 0 || !strings.Contains(errs, "waiting") {
		t.Fatalf("exit code %d\n%s\n%s", code, errs, out)
	}
	if r := decode(t, []byte(out)); math.Abs(r.number(t, "total_gpu_energy_j")-30e3) > r.number(t, "energy_bound_j")+1 {
		t.Errorf("%v J, want 30 kJ", r["total_gpu_energy_j"])
	}
}

func TestAggregatePrometheusRefusals(t *testing.T) {
	t.Parallel()
	server, _ := scrapedFleet(15 * time.Second)
	web := httptest.NewServer(server)
	defer web.Close()
	dir := t.TempDir()
	write(t, dir, "r.json", benched)
	write(t, dir, "plain.json", `{"completed": 10, "total_input_tokens": 2000, "total_output_tokens": 1000}`)
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--bench-result", "r.json", "--require-power", "--allow-simulated"}, 1, "more than --max-gap 3s"},
		{[]string{"--bench-result", "r.json", "--require-power", "--max-gap", "20s"}, 1, "simulated_power"},
		{[]string{"--bench-result", "plain.json", "--require-power", "--allow-simulated"}, 1, "invalid_benchmark_window"},
		{[]string{"--bench-result", "r.json", "--selector", `job="other"`}, 1, "no GPU"},
		{[]string{"--bench-result", "r.json", "--expected-num-gpus", "4", "--require-power", "--allow-simulated", "--max-gap", "20s"}, 1, "expected_gpu_count_mismatch"},
		{[]string{"--bench-result", "r.json", "--prometheus-http-config", "missing.yml"}, 1, "missing.yml"},
		{[]string{"--bench-result", "r.json", "--prefill-gpus", "1", "--decode-gpus", "1", "--require-power", "--allow-simulated", "--max-gap", "20s"}, 1, "expected_gpu_count_mismatch"},
		{[]string{"--bench-result", "r.json", "--prefill-gpus", "1", "--decode-gpus", "2", "--require-power", "--allow-simulated", "--max-gap", "20s"}, 0, "valid"},
		{nil, 2, "--bench-result"},
		{[]string{"--start-unix", "1790000110"}, 2, "--end-unix"},
		{[]string{"--start-unix", "1790000110", "--end-unix", "1790000110"}, 2, "not after"},
		{[]string{"--start-unix", "now", "--end-unix", "1790000110"}, 2, "not a time"},
	} {
		_, errs, code := wattmark(t, dir, nil, append([]string{"aggregate", "--prometheus", web.URL}, test.args...)...)
		if code != test.code || !strings.Contains(errs, test.says) {
			t.Errorf("%q: exit code %d\n%s\nwant %d, %q", test.args, code, errs, test.code, test.says)
		}
	}
	web.Close()
	if _, errs, code := wattmark(t, dir, nil, "aggregate", "--prometheus", web.URL, "--bench-result", "r.json"); code != 1 || !strings.Contains(errs, "refused") {
		t.Errorf("no server: exit code %d\n%s", code, errs)
	}
}

// The server may want a token: it is in a file, and in no message.
func TestAggregatePrometheusAuthorization(t *testing.T) {
	t.Parallel()
	server, _ := scrapedFleet(time.Second)
	server.Fail = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "Bearer s3cret" {
			return false
		}
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	web := httptest.NewServer(server)
	defer web.Close()
	dir := t.TempDir()
	write(t, dir, "r.json", benched)
	write(t, dir, "token", "s3cret\n")
	write(t, dir, "http.yml", "authorization:\n  credentials_file: token\n")
	base := []string{"aggregate", "--prometheus", web.URL, "--bench-result", "r.json", "--allow-simulated", "--require-power"}
	if _, errs, code := wattmark(t, dir, nil, base...); code != 1 || !strings.Contains(errs, "401") {
		t.Errorf("without a token: exit code %d\n%s", code, errs)
	}
	if _, errs, code := wattmark(t, dir, nil, append(base, "--prometheus-http-config", "http.yml")...); code != 0 || strings.Contains(errs, "s3cret") {
		t.Errorf("with a token: exit code %d\n%s", code, errs)
	}
}
