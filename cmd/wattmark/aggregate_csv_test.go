package main

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The trapezoid with its edges interpolated, by hand. GPU 0 draws 500 W at 1001 s and 600 W at 1005 s:
// 550 J up to 1002, 1100 J up to 1004, 550 J up to 1005. GPU 1 draws 250 W more all the time.
func TestAggregateCSV(t *testing.T) {
	o := offline{
		csv: recorded(
			[][2]float64{{1000, 400}, {1002, 600}, {1004, 500}, {1006, 700}},
			[][2]float64{{1000, 650}, {1002, 850}, {1004, 750}, {1006, 950}},
		),
		benchmark: metered(map[string]any{"benchmark_start_time_unix": 1001, "benchmark_end_time_unix": 1005}),
	}
	got := o.measure(t)
	want := map[string]float64{
		"power_metric_schema_version": 2, "power_valid": 1, "avg_power_w": 675, "avg_total_gpu_power_w": 1350,
		"total_gpu_energy_j": 5400, "joules_per_successful_query": 540, "joules_per_input_token": 54,
		"joules_per_output_token": 108, "joules_per_total_token": 36,
	}
	wantNumbers(t, got.numbers(t), want)
	for key, want := range map[string]any{
		"power_valid": true, "reasons": []any{}, "telemetry_source": "gpu_metrics.csv", "benchmark_result": "r.json",
		"benchmark_window": map[string]any{
			"start_time_unix": 1001.0, "end_time_unix": 1005.0, "reported_duration_s": 4.0, "integration_duration_s": 4.0,
			"completed": 10.0, "total_input_tokens": 100.0, "total_output_tokens": 50.0,
		},
		"integration_method": "per_device_trapezoidal_with_linear_boundary_interpolation",
		"expected_gpu_count": 2.0, "observed_gpu_count": 2.0, "observed_gpu_ids": []any{"0", "1"},
		"per_gpu_sample_counts":    map[string]any{"0": 4.0, "1": 4.0},
		"per_gpu_max_sample_gap_s": map[string]any{"0": 2.0, "1": 2.0},
		"per_gpu_energy_j":         map[string]any{"0": 2200.0, "1": 3200.0},
		"device_issues":            map[string]any{}, "accumulator_check": nil,
	} {
		if !reflect.DeepEqual(got.validation[key], want) {
			t.Errorf("%s = %v, want %v", key, got.validation[key], want)
		}
	}
	// The keys stand in the contract's order, and what was there stays as it was.
	if !strings.HasPrefix(got.aggregate, "{\n  \"hw\": \"h200\",\n  \"power_metric_schema_version\": 2,\n  \"power_valid\": 1,\n  \"avg_power_w\": 675.0,") {
		t.Errorf("aggregate = %s", got.aggregate)
	}
	if want := []string{"agg_r.json", "gpu_metrics.csv", "power_validation_r.json", "r.json"}; !slices.Equal(got.files, want) {
		t.Errorf("files = %v, want %v", got.files, want)
	}
}

// 500 W on average per GPU over 3 s: InferenceX's AgentX example.
func TestAggregateCSVAgentX(t *testing.T) {
	got := offline{
		csv:       recorded(steady(400, 999, 1004), steady(600, 999, 1004)),
		benchmark: metered(map[string]any{"benchmark_end_time_unix": 1003, "duration": 3, "completed": 2, "total_input_tokens": 300, "total_output_tokens": 150}),
	}.measure(t)
	wantNumbers(t, got.numbers(t), map[string]float64{
		"power_metric_schema_version": 2, "power_valid": 1, "avg_power_w": 500, "avg_total_gpu_power_w": 1000,
		"total_gpu_energy_j": 3000, "joules_per_successful_query": 1500, "joules_per_input_token": 10,
		"joules_per_output_token": 20, "joules_per_total_token": 6.666667,
	})
}

// What makes a run invalid, and that nothing else of the benchmark's data is lost for it. The cases are those of
// InferenceX's tests (facts/inferencex.md, section 3) and every reason of section 2.4.
func TestAggregateCSVReasons(t *testing.T) {
	two := recorded(steady(400, 998, 1006), steady(600, 998, 1006))
	without := func(csv string, rows ...string) string {
		for _, row := range rows {
			csv = strings.Replace(csv, row+"\n", "", 1)
		}
		return csv
	}
	for _, tt := range []struct {
		name   string
		o      offline
		want   string
		issues map[string]any
	}{
		{"garbage far outside", offline{csv: two + "500, 0, N/A\n2000, , -5\n"}, "", nil},
		{"gap of exactly 3 s", offline{csv: without(two, "1001, 0, 400 W", "1002, 0, 400 W")}, "", nil},
		{
			"gap",
			offline{csv: without(two, "1001, 0, 400 W", "1002, 0, 400 W", "1003, 0, 400 W")},
			"sampling_gap_exceeded",
			map[string]any{"0": []any{"sampling_gap_exceeded"}},
		},
		{
			"every GPU has to enclose the window",
			offline{csv: recorded(steady(400, 998, 1006), steady(600, 1001, 1006))},
			"benchmark_window_not_bracketed",
			map[string]any{"1": []any{"benchmark_window_not_bracketed"}},
		},
		{
			"two readings after the window",
			offline{csv: recorded(steady(400, 998, 1006), [][2]float64{{1005.5, 1}, {1006.5, 1}})},
			"benchmark_window_not_bracketed",
			map[string]any{"1": []any{"benchmark_window_not_bracketed"}},
		},
		{
			"last reading 3.1 s before",
			offline{csv: recorded(steady(400, 998, 1006), append([][2]float64{{996.9, 5}}, steady(600, 1000, 1006)[1:]...))},
			"benchmark_window_not_bracketed",
			map[string]any{"1": []any{"benchmark_window_not_bracketed"}},
		},
		{
			"one reading",
			offline{csv: recorded(steady(400, 998, 1006), steady(600, 1000, 1000))},
			"insufficient_power_samples",
			map[string]any{"1": []any{"insufficient_power_samples"}},
		},
		{"count", offline{csv: two, expected: "4"}, "expected_gpu_count_mismatch", nil},
		{"TP4 on a box of 8", offline{csv: recorded(slices.Repeat([][][2]float64{steady(5, 998, 1006)}, 8)...), expected: "4"}, "expected_gpu_count_mismatch", nil},
		{"count of none", offline{csv: two, expected: "0"}, "invalid_expected_gpu_count expected_gpu_count_mismatch", nil},
		{"negative count", offline{csv: two, expected: "-1"}, "invalid_expected_gpu_count expected_gpu_count_mismatch", nil},
		{"bad time", offline{csv: two + "foo, 0, 5\n"}, "invalid_timestamp_sample", nil},
		{"bad time far away", offline{csv: strings.Replace(two, "\n", "\n10, 0, 5\ntorn by ki\n11, 0, 5\n", 1)}, "invalid_timestamp_sample", nil},
		{"bad power", offline{csv: two + "1002, 0, N/A\n"}, "invalid_power_sample", nil},
		{"negative power", offline{csv: two + "1002, 0, -1\n"}, "invalid_power_sample", nil},
		{"no GPU", offline{csv: two + "1002, , 5\n"}, "gpu_identity_missing", nil},
		{"nothing near the window", offline{csv: recorded(steady(400, 10, 20))}, "no_usable_power_samples expected_gpu_count_mismatch", nil},
		{"no CSV", offline{}, "telemetry_file_missing", nil},
		{"no columns", offline{csv: "a,b\n1,2\n"}, "timestamp_column_missing power_column_missing gpu_identity_column_missing", nil},
		{"no GPU column", offline{csv: "timestamp, power\n1000, 5\n"}, "gpu_identity_column_missing", nil},
		{"header only", offline{csv: "timestamp, index, power\n"}, "no_usable_power_samples expected_gpu_count_mismatch", nil},
		{"bad benchmark and bad file", offline{benchmark: metered(map[string]any{"completed": 0}), expected: "0"}, "invalid_successful_query_count invalid_expected_gpu_count telemetry_file_missing", nil},
		{"duration off", offline{csv: two, benchmark: metered(map[string]any{"duration": 4.6})}, "benchmark_duration_mismatch", nil},
		{"duration off by little", offline{csv: two, benchmark: metered(map[string]any{"duration": 4.4})}, "", nil},
		{"no window", offline{csv: two, benchmark: metered(map[string]any{"benchmark_start_time_unix": nil})}, "invalid_benchmark_window", nil},
		{"no stamps", offline{csv: two, benchmark: metered(map[string]any{"benchmark_start_time_unix": nil, "benchmark_end_time_unix": nil})}, "invalid_benchmark_window", nil},
		{"window backwards", offline{csv: two, benchmark: metered(map[string]any{"benchmark_end_time_unix": 999})}, "invalid_benchmark_window", nil},
		{"no output tokens", offline{csv: two, benchmark: metered(map[string]any{"total_output_tokens": 0})}, "invalid_output_token_count", nil},
		{
			"no counts",
			offline{csv: two, benchmark: metered(map[string]any{"completed": 10.5, "total_input_tokens": true, "total_output_tokens": nil})},
			"invalid_successful_query_count invalid_input_token_count invalid_output_token_count", nil,
		},
		{"no JSON", offline{csv: two, raw: "{"}, "invalid_benchmark_result", nil},
		{"a list", offline{csv: two, raw: "[1, 2]"}, "aggregation_internal_error", nil},
		{"not UTF-8", offline{csv: two, raw: "{\"model\": \"\xe9\"}"}, "aggregation_internal_error", nil},
		{"no aggregate", offline{csv: two, aggregate: "-"}, "aggregate_result_missing", nil},
		{"broken aggregate", offline{csv: two, aggregate: "{"}, "aggregate_result_unwritable", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.o.benchmark == nil {
				tt.o.benchmark = metered(nil)
			}
			got := tt.o.measure(t)
			if got.reasons() != tt.want {
				t.Errorf("reasons = %s, want %s", got.reasons(), tt.want)
			}
			if got.code != 0 || got.validation["power_valid"] != (tt.want == "") {
				t.Errorf("exit code %d, power_valid %v\n%s", got.code, got.validation["power_valid"], got.errs)
			}
			if issues := got.validation["device_issues"]; tt.issues != nil && !reflect.DeepEqual(issues, tt.issues) {
				t.Errorf("device_issues = %v, want %v", issues, tt.issues)
			}
			if tt.want == "" || tt.o.aggregate != "" {
				return
			}
			const invalid = "{\n  \"hw\": \"h200\",\n  \"power_metric_schema_version\": 2,\n  \"power_valid\": 0\n}"
			if got.aggregate != invalid {
				t.Errorf("aggregate = %s", got.aggregate)
			}
			if metrics, ok := got.validation["metrics"].(map[string]any); !ok || len(metrics) > 0 {
				t.Errorf("metrics = %v, want none", got.validation["metrics"])
			}
		})
	}
}

// The counts that were refused show as 0, so that the file explains itself; so does an error nobody expected.
func TestAggregateCSVAudit(t *testing.T) {
	two := recorded(steady(400, 998, 1006), steady(600, 998, 1006))
	got := offline{csv: two, benchmark: metered(map[string]any{"completed": -3, "total_input_tokens": "100"})}.measure(t)
	w, _ := got.validation["benchmark_window"].(map[string]any)
	if w["completed"] != 0.0 || w["total_input_tokens"] != 0.0 || w["total_output_tokens"] != 50.0 {
		t.Errorf("benchmark_window = %v", w)
	}
	if energies, _ := got.validation["per_gpu_energy_j"].(map[string]any); energies["0"] != 1600.0 {
		t.Errorf("per_gpu_energy_j = %v, want what was measured", energies)
	}
	for raw, want := range map[string][2]string{
		"[1]":  {"AttributeError", "'list' object has no attribute 'get'"},
		"3":    {"AttributeError", "'int' object has no attribute 'get'"},
		"null": {"AttributeError", "'NoneType' object has no attribute 'get'"},
		"\xff": {"UnicodeDecodeError", "'utf-8' codec can't decode byte 0xff in position 0: invalid or incomplete character"},
	} {
		got := offline{csv: two, raw: raw}.measure(t)
		text, err := json.Marshal(got.validation["internal_error"])
		if err != nil || string(text) != string(must(jsonOf(map[string]string{"type": want[0], "message": want[1]}))) {
			t.Errorf("%q: internal_error = %s, want %v", raw, text, want)
		}
		if w := got.validation["benchmark_window"]; w != nil {
			t.Errorf("%q: benchmark_window = %v, want null", raw, w)
		}
	}
}
