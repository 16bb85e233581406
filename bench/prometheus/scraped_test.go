//go:build real

// Package prometheus proves what wattmark says of Prometheus against a real one: make test-real.
package prometheus

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// daemon starts wattmark on eight simulated GPUs, with DCGM's names at an address of their own.
func daemon(t *testing.T, program, dcgm string) (base string, stop func()) {
	t.Helper()
	dir := t.TempDir()
	port := filepath.Join(dir, "port")
	stop = background(t, program, "serve", "--backend", "sim", "--sim", "8xH200,load=decode", "--allow-simulated",
		"--listen", "127.0.0.1:0", "--port-file", port, "--results-dir", dir, "--dcgm-listen", dcgm)
	server{t: t}.until("wattmark listens", 20*time.Second, func() bool {
		text, err := os.ReadFile(port)
		base = "http://127.0.0.1:" + strings.TrimSpace(string(text))
		return err == nil && len(text) > 0
	})
	return base, stop
}

func post(t *testing.T, address string, fields ...string) map[string]any {
	t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	response, err := http.PostForm(address, form)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		t.Fatalf("%s: %d %s %v", address, response.StatusCode, text, err)
	}
	return decode(t, text)
}

// A real Prometheus scrapes the daemon once a second for a minute: PromQL's increase, the window API and aggregate
// --prometheus agree on a window's energy; every query of the dashboard has data; what is gone is gone.
func TestScraped(t *testing.T) {
	deploy, err := filepath.Abs("../../deploy")
	if err != nil {
		t.Fatal(err)
	}
	program := wattmark(t)
	dcgm := freeAddress(t)
	base, stop := daemon(t, program, dcgm)
	prom := prometheus(t, fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 5s}
rule_files: ['%s/prometheus/wattmark.rules.yml']
scrape_configs:
  - {job_name: wattmark, static_configs: [{targets: ['%s']}]}
  - {job_name: dcgm, static_configs: [{targets: ['%s']}]}
`, deploy, strings.TrimPrefix(base, "http://"), dcgm), t.TempDir())
	prom.until("a scrape is in", 20*time.Second, func() bool {
		up := prom.query(`wattmark_gpu_power_watts`)
		return len(up) == 8
	})
	time.Sleep(4 * time.Second) // the counters are calibrated, and idle scrapes lie before the window

	// A window of a minute, and two before it, so that there is something to count.
	for i := range 2 {
		post(t, base+"/v1/mark-start", "run", fmt.Sprint("short", i))
		time.Sleep(3 * time.Second)
		post(t, base+"/v1/mark-end", "run", fmt.Sprint("short", i), "completed", "1", "total_input_tokens", "1", "total_output_tokens", "1", "agg_result", "agg_none.json")
	}
	post(t, base+"/v1/mark-start", "run", "minute")
	time.Sleep(time.Minute)
	window := post(t, base+"/v1/mark-end", "run", "minute")
	time.Sleep(3 * time.Second) // the scrape after the end

	energy, bound := window["total_gpu_energy_j"].(float64), window["energy_bound_j"].(float64)
	start, end, seconds := window["start_unix"].(float64), window["end_unix"].(float64), window["duration_s"].(float64)
	t.Logf("%s", strings.SplitN(run(t, tool(t, "prometheus"), "--version"), "\n", 2)[0])
	t.Logf("| window API | %.1f J ± %.1f over %.3f s |", energy, bound, seconds)
	compare := func(name, expr string, limit float64) {
		t.Helper()
		got := prom.number(expr)
		off := 100 * (got - energy) / energy
		t.Logf("| %s | %.1f J | %+.3f %% |", name, got, off)
		if math.Abs(off) > limit {
			t.Errorf("%s is off by %.3f %%, want at most %v %%", name, off, limit)
		}
	}
	ms := int(seconds * 1000)
	counter := `wattmark_gpu_energy_joules_total{method="counter"}`
	compare("increase(counter)", fmt.Sprintf("sum(increase(%s[%dms] @ %.3f))", counter, ms, end), 2)
	compare("increase(power's integral)", fmt.Sprintf(`sum(increase(wattmark_gpu_energy_joules_total{method="boxcar"}[%dms] @ %.3f))`, ms, end), 2)
	compare("avg_over_time(power) × time", fmt.Sprintf("sum(avg_over_time(wattmark_gpu_power_watts[%dms] @ %.3f)) * %.3f", ms, end, seconds), 2)

	for _, metrics := range [][]string{{"wattmark"}, {"dcgm", "--reading-age", "100ms"}} { // DCGM's names show readings at most so old
		offline := decode(t, []byte(run(t, program, append([]string{
			"aggregate", "--prometheus", prom.url, "--selector", fmt.Sprintf("job=%q", metrics[0]),
			"--start-unix", fmt.Sprintf("%.6f", start), "--end-unix", fmt.Sprintf("%.6f", end), "--allow-simulated", "--require-power", "--json",
			"--expected-num-gpus", "8", "--metrics",
		}, metrics...)...)))
		again, offlineBound := offline["total_gpu_energy_j"].(float64), offline["energy_bound_j"].(float64)
		t.Logf("| aggregate --prometheus --metrics %s | %.1f J ± %.1f | %+.3f %% |", metrics[0], again, offlineBound, 100*(again-energy)/energy)
		if off := math.Abs(again - energy); off > bound+offlineBound {
			t.Errorf("aggregate --prometheus --metrics %s is off by %.1f J, bounds %.1f and %.1f J", metrics[0], off, bound, offlineBound)
		}
	}

	checkNames(t, base)
	checkDashboard(t, prom, filepath.Join(deploy, "grafana", "wattmark.json"))
	for _, record := range []string{"instance:wattmark_gpu_power_watts:sum", "instance:wattmark_gpu_energy_watts:rate1m", "instance_gpu:wattmark_gpu_power:ratio_of_limit"} {
		if len(prom.query(record)) == 0 {
			t.Errorf("%s records nothing", record)
		}
	}

	stop()
	prom.until("the target is down", 10*time.Second, func() bool { return prom.number(`up{job="wattmark"}`) == 0 })
	if left := prom.query("wattmark_gpu_power_watts"); len(left) > 0 {
		t.Errorf("power of a daemon that is gone: %v", left)
	}
}

// checkDashboard asks for every query of the dashboard.
func checkDashboard(t *testing.T, prom server, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var board any
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "15s", "$__range", "2m", "$__interval", "5s", "$job", ".*", "$instance", ".*", "$gpu", ".*")
	asked := 0
	var visit func(any)
	visit = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, child := range node {
				visit(child)
			}
		case map[string]any:
			if expr, ok := node["expr"].(string); ok {
				asked++
				if len(prom.query(variables.Replace(expr))) == 0 {
					t.Errorf("the dashboard's %s has no data", expr)
				}
			}
			for _, child := range node {
				visit(child)
			}
		}
	}
	visit(board)
	if t.Logf("%d queries of the dashboard", asked); asked < 30 {
		t.Errorf("%d queries in the dashboard: were they found?", asked)
	}
}

// The rules, their unit tests and the configuration are good, by Prometheus' own tool.
func TestRules(t *testing.T) {
	promtool := tool(t, "promtool")
	t.Chdir("../../deploy/prometheus")
	for _, args := range [][]string{
		{"check", "rules", "wattmark.rules.yml"}, {"test", "rules", "wattmark.rules.test.yml"}, {"check", "config", "prometheus.yml"},
	} {
		t.Log(run(t, promtool, args...))
	}
}

// checkNames has promtool look at the names, types and texts of /metrics.
func checkNames(t *testing.T, base string) {
	t.Helper()
	response, err := http.Get(base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	check := exec.Command(tool(t, "promtool"), "check", "metrics")
	check.Stdin = response.Body
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
