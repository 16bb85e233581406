package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/agg"
	"wattmark/window"
)

// marked runs one window of 12.5 s and returns mark-end's answer to these fields.
func (d *daemon) marked(run, fields string) reply {
	d.Helper()
	d.post("/v1/mark-start", "run="+run).window()
	time.Sleep(12500 * time.Millisecond)
	return d.post("/v1/mark-end", "run="+run+"&"+fields)
}

// The result has every key of the contract; what is not known is null.
func TestResultKeys(t *testing.T) {
	inBubble(t, options{spec: "1xMI300X,fault=nocounter"}, func(d *daemon) {
		var got map[string]any
		d.marked("r", "").want(200).decode(&got)
		contract := map[string]any{"": got, "gpus": got["gpus"].([]any)[0], "cost": got["cost"], "agg_result": got["agg_result"], "versions": got["versions"]}
		for part, keys := range map[string]string{
			"": "schema_version run power_valid reasons notes start_unix end_unix duration_s backend simulated expected_gpu_count " +
				"observed_gpu_count avg_power_w avg_total_gpu_power_w total_gpu_energy_j energy_bound_j sensor_tolerance_j " +
				"joules_per_successful_query joules_per_input_token joules_per_output_token joules_per_total_token joules_per_successful_query_bound joules_per_input_token_bound joules_per_output_token_bound joules_per_total_token_bound gpus cost agg_result versions",
			"gpus": "host uuid bus_id index model scope role method energy_j bound_j power_energy_j counter_energy_j crosscheck_ratio " +
				"avg_power_w max_power_w power_limit_w throttled_s max_temperature_c samples max_gap_s coverage_ratio reasons notes",
			"cost":       "cpu_s rss_bytes driver_call_s_max missed_ticks",
			"agg_result": "path status detail",
			"versions":   "wattmark driver library",
		} {
			for key := range strings.FieldsSeq(keys) {
				if _, ok := contract[part].(map[string]any)[key]; !ok {
					t.Errorf("no %s %s", part, key)
				}
			}
		}
		gpu := contract["gpus"].(map[string]any)
		for key, value := range map[string]any{
			"joules_per_successful_query": got["joules_per_successful_query"], "joules_per_input_token": got["joules_per_input_token"],
			"joules_per_output_token": got["joules_per_output_token"], "joules_per_total_token": got["joules_per_total_token"],
			"completed": got["completed"], "expected_gpu_count": got["expected_gpu_count"],
			"counter_energy_j": gpu["counter_energy_j"], "crosscheck_ratio": gpu["crosscheck_ratio"],
		} {
			if value != nil {
				t.Errorf("%s is %v, want null", key, value)
			}
		}
		if got["power_valid"] != true || gpu["method"] != "trapezoid" || gpu["energy_j"] == nil || got["schema_version"] != 1.0 {
			t.Errorf("got %v", got)
		}
	})
}

// What a valid window sets in the aggregate: these keys in this order, rounded; every other byte stays.
func TestAggregateKeys(t *testing.T) {
	const seven = "power_metric_schema_version power_valid avg_power_w avg_total_gpu_power_w total_gpu_energy_j " +
		"joules_per_successful_query joules_per_input_token joules_per_output_token joules_per_total_token"
	for _, c := range []struct{ name, start, keys string }{
		{"one role", "", seven},
		{"prefill", "role=prefill", seven + " prefill_gpu_energy_j prefill_avg_power_w prefill_joules_per_input_token"},
		{"decode", "role=decode", seven + " decode_gpu_energy_j decode_avg_power_w decode_joules_per_output_token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, options{}, func(d *daemon) {
				d.write("agg_r.json", aggregate)
				d.write("r.json", counts)
				d.post("/v1/mark-start", "run=r&"+c.start).window()
				time.Sleep(12500 * time.Millisecond)
				r := d.post("/v1/mark-end", "run=r&benchmark_result=r.json&agg_result=agg_r.json").result()
				d.wantTrue(r)
				text := string(d.read("agg_r.json"))
				kept := strings.TrimSuffix(aggregate, "\n}")
				if !strings.HasPrefix(text, kept+",\n") || !strings.HasSuffix(text, "\n}") {
					t.Fatalf("bytes that are not ours changed: %s", text)
				}
				var keys []string
				for line := range strings.SplitSeq(strings.TrimPrefix(text, kept+",\n"), "\n") {
					m := regexp.MustCompile(`^  "(\w+)": (-?[0-9.]+),?$`).FindStringSubmatch(line)
					if m == nil {
						break // the brace
					}
					keys = append(keys, m[1])
					_, decimals, _ := strings.Cut(m[2], ".")
					most := 6
					if strings.HasSuffix(m[1], "_w") || strings.HasSuffix(m[1], "_j") {
						most = 3
					}
					if len(decimals) > most {
						t.Errorf("%s has more than %d decimals", line, most)
					}
				}
				if got := strings.Join(keys, " "); got != c.keys {
					t.Errorf("keys\n%s, want\n%s", got, c.keys)
				}
				patched := d.json2("agg_r.json")
				joules := r.Energy().Or(0)
				for key, want := range map[string]float64{
					"power_metric_schema_version": 2, "power_valid": 1, "total_gpu_energy_j": joules,
					"avg_total_gpu_power_w": joules / 12.5, "avg_power_w": joules / 12.5 / 8, "joules_per_successful_query": joules / 100,
					"joules_per_input_token": joules / 51200, "joules_per_output_token": joules / 12800, "joules_per_total_token": joules / 64000,
				} {
					if got, ok := patched[key].(float64); !ok || math.Abs(got-want) > 0.00051 {
						t.Errorf("%s = %v, want %f", key, patched[key], want)
					}
				}
			})
		})
	}
}

func TestValidationFile(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		d.write("r.json", counts)
		r := d.marked("run-1", "benchmark_result=r.json").result()
		got := d.json("power_validation_r.json")
		for key := range strings.FieldsSeq("schema_version power_valid reasons telemetry_source benchmark_result benchmark_window " +
			"integration_method expected_gpu_count observed_gpu_count observed_gpu_ids per_gpu_sample_counts per_gpu_max_sample_gap_s " +
			"per_gpu_energy_j device_issues accumulator_check metrics") {
			if _, ok := got[key]; !ok {
				t.Errorf("no %s", key)
			}
		}
		metrics := got["metrics"].(map[string]any)
		if got["power_valid"] != true || got["telemetry_source"] != "power_window_run-1.json" || got["benchmark_result"] != "r.json" ||
			math.Abs(metrics["total_gpu_energy_j"].(float64)-r.Energy().Or(0)) > 1e-6 {
			t.Errorf("got %s", d.read("power_validation_r.json"))
		}
		// Its name, where there is no result file or another one is asked for.
		d.marked("run-2", "completed=1&total_input_tokens=1&total_output_tokens=1&agg_result=agg.json").result()
		d.marked("run-3", "validation_result=v.json").result()
		for _, name := range []string{"power_validation_run-2.json", "v.json"} {
			if d.json(name)["power_valid"] != true {
				t.Errorf("%s: %s", name, d.read(name))
			}
		}
	})
}

// The window's file is enough to finish the job elsewhere, with the same numbers.
func TestWindowFileGivesTheSameNumbers(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		time.Sleep(30 * time.Second)
		s := d.post("/v1/mark-start", "run=r").window()
		time.Sleep(30 * time.Second)
		// The benchmark's own window reaches further back than the marks and what is kept around them.
		own := fmt.Sprintf(`{"benchmark_start_time_unix":%f,"benchmark_end_time_unix":%f,"duration":45,"completed":9,"total_input_tokens":90,"total_output_tokens":900}`,
			s.StartUnix-20, s.StartUnix+25)
		time.Sleep(30 * time.Second)
		d.post("/v1/mark-start", "run=q").window()
		time.Sleep(10 * time.Second)
		for run, body := range map[string]string{
			"r": `{"run":"r","agg_result":"agg.json","benchmark":` + counts + `}`,
			"q": `{"run":"q","agg_result":"agg.json","benchmark":` + own + `}`,
		} {
			live := d.post("/v1/mark-end", body).result()
			if live.Aggregate.Status != "pending" || !live.Energy().OK() {
				t.Fatalf("aggregate %+v, reasons %v", live.Aggregate, live.AllReasons())
			}
			var file agg.WindowFile
			if err := json.Unmarshal(d.read("power_window_"+run+".json"), &file); err != nil {
				t.Fatal(err)
			}
			var asked fields
			if err := json.Unmarshal([]byte(body), &asked); err != nil {
				t.Fatal(err)
			}
			benchmark := agg.InlineBenchmark(asked.Benchmark)
			later := agg.Conclude(window.Recorded(file.Series), file.Window(), file.Limits, &benchmark)
			a, errA := agg.Keys(live)
			b, errB := agg.Keys(later)
			if errA != nil || errB != nil || !slices.Equal(a, b) || live.Energy() != later.Energy() || live.Bound() != later.Bound() {
				t.Errorf("%s: live %v %v, from the file %v %v", run, a, errA, b, errB)
			}
		}
	})
}

// Simulated energy is not to be published by accident.
func TestSimulatedIsNotValid(t *testing.T) {
	inBubble(t, options{config: func(c *Config) { c.Limits.AllowSimulated = false }}, func(d *daemon) {
		d.write("r.json", counts)
		d.write("agg_r.json", `{"a":1,"avg_power_w":5,"power_valid":1}`)
		r := d.marked("r", "benchmark_result=r.json&agg_result=agg_r.json").result()
		if !slices.Equal(r.AllReasons(), []window.Reason{window.SimulatedPower}) || !r.Simulated() || !r.Energy().OK() {
			t.Errorf("reasons %v, energy %v", r.AllReasons(), r.Energy())
		}
		if got := d.json("agg_r.json"); !maps.Equal(got, map[string]any{"a": 1.0, "power_valid": 0.0, "power_metric_schema_version": 2.0}) {
			t.Errorf("aggregate %v", got)
		}
		if got := fmt.Sprint(d.json("power_validation_r.json")["reasons"]); got != "[simulated_power]" {
			t.Errorf("validation file: reasons %s", got)
		}
	})
}

// A results folder that cannot be written is a note, and no folder at all is no obstacle.
func TestWithoutResultsFolder(t *testing.T) {
	inBubble(t, options{config: func(c *Config) { c.Results, c.ResultsDir = nil, "" }}, func(d *daemon) {
		d.post("/v1/mark-start", "run=r").window()
		time.Sleep(5 * time.Second)
		d.post("/v1/mark-end", "run=r&benchmark_result=r.json").problem(422, "forbidden_path")
		d.wantTrue(d.post("/v1/mark-end", "run=r&completed=5&total_input_tokens=5&total_output_tokens=5").result())
		d.post("/v1/mark-end", "run=r&completed=6&total_input_tokens=5&total_output_tokens=5").result()
		d.get("/v1/windows/gone").problem(404, "unknown_run")
		d.server.Interrupt()
	})
	inBubble(t, options{}, func(d *daemon) {
		if err := os.Mkdir(filepath.Join(d.dir, "power_window_r.json"), 0o755); err != nil {
			t.Fatal(err)
		}
		r := d.marked("r", "").result()
		d.wantTrue(r)
		if !slices.Equal(r.AllNotes(), []window.Note{window.FileUnwritable}) {
			t.Errorf("notes %v", r.AllNotes())
		}
	})
}

// Several nodes share a results folder.
func TestNodeInFileNames(t *testing.T) {
	inBubble(t, options{config: func(c *Config) { c.Node = "n7" }}, func(d *daemon) {
		d.write("r.json", counts)
		first := d.marked("run", "benchmark_result=r.json")
		first.result()
		for _, name := range []string{"power_window_run_n7.json", "power_validation_r_n7.json"} {
			d.json(name)
		}
		d.server.ended = archive{} // as after a restart
		if got := d.get("/v1/windows/run"); string(got.text) != string(first.text) {
			t.Errorf("from disk:\n%s\nwant\n%s", got.text, first.text)
		}
	})
}
