package agg_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"

	"wattmark/agg"
	"wattmark/sampler"
	"wattmark/window"
)

func sources() agg.Sources {
	return agg.Sources{Telemetry: "gpu_metrics.csv", Benchmark: "results/R.json", ReportedDuration: sampler.Some(3.25)}
}

// validated returns the validation file of r, as text and parsed.
func validated(t *testing.T, r window.Result, from agg.Sources) ([]byte, map[string]any) {
	t.Helper()
	text, err := agg.Validation(r, from)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return text, v
}

// counted is a valid result by the energy counter of two nodes, in three roles, with all there is to say.
func counted() window.Result {
	r := measured()
	r.Run, r.Expected, r.Notes = "r<2>", nil, []window.Note{window.ClockStep}
	r.Start.MonoNano, r.End.MonoNano = 5e9, 8.000000001e9
	for i := range r.GPUs {
		r.GPUs[i].Method = window.Counter
		r.GPUs[i].Index = 0
		r.GPUs[i].CounterEnergy = sampler.Some(1500)
		r.GPUs[i].PowerEnergy = sampler.Some(1470)
	}
	r.GPUs[0].Host, r.GPUs[0].Role = "node2", "decode"
	r.GPUs[1].Role = "prefill"
	r.GPUs[1].Notes = []window.Note{window.GapBridged}
	return r
}

func TestValidationFiles(t *testing.T) {
	mixed := invalid()
	mixed.GPUs[0].Method = window.Boxcar
	mixed.GPUs[1].Energy = sampler.Value{}
	for name, r := range map[string]window.Result{"trapezoid": measured(), "counter": counted(), "invalid": mixed, "empty": {
		Run: "r1", Reasons: []window.Reason{window.InvalidBenchmarkWindow, window.NoUsableSamples},
	}} {
		from := sources()
		if name == "empty" {
			from = agg.Sources{}
		}
		got, _ := validated(t, r, from)
		golden(t, "validation_"+name+".json", got)
	}
}

func TestIntegrationMethod(t *testing.T) {
	for method, want := range map[window.Method]string{
		window.Counter:   "hardware_energy_counter_with_edge_correction",
		window.Boxcar:    "per_device_sum_of_sensor_averaged_power",
		window.Trapezoid: "per_device_trapezoidal_with_linear_boundary_interpolation",
	} {
		r := measured()
		r.GPUs[0].Method, r.GPUs[1].Method = method, method
		if _, v := validated(t, r, sources()); v["integration_method"] != want {
			t.Errorf("%s: got %v, want %s", method, v["integration_method"], want)
		}
		r.GPUs = append(r.GPUs, window.GPU{Index: 2, Method: "other"})
		if _, v := validated(t, r, sources()); v["integration_method"] != "mixed_see_per_gpu_method" {
			t.Errorf("%s and another: got %v", method, v["integration_method"])
		}
	}
}

// InferenceX's consumers find its keys first and in its order.
func TestValidationKeys(t *testing.T) {
	text, _ := validated(t, measured(), sources())
	decoder := json.NewDecoder(bytes.NewReader(text))
	var keys []string
	depth := 0
	for {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		switch token := token.(type) {
		case json.Delim:
			depth += map[json.Delim]int{'{': 1, '[': 1, '}': -1, ']': -1}[token]
		case string:
			if depth == 1 {
				keys = append(keys, token)
				var value json.RawMessage
				if err := decoder.Decode(&value); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	want := []string{
		"schema_version", "power_valid", "reasons", "telemetry_source", "benchmark_result", "benchmark_window",
		"integration_method", "expected_gpu_count", "observed_gpu_count", "observed_gpu_ids", "per_gpu_sample_counts",
		"per_gpu_max_sample_gap_s", "per_gpu_energy_j", "device_issues", "accumulator_check", "metrics",
	}
	if len(keys) < len(want) || !slices.Equal(keys[:len(want)], want) {
		t.Errorf("got %v, want first %v", keys, want)
	}
}

func TestValidationMetricsHaveSixDecimals(t *testing.T) {
	r := measured()
	r.GPUs[0].Energy = sampler.Some(1000.123456789)
	_, v := validated(t, r, sources())
	if got := v["metrics"].(map[string]any)["total_gpu_energy_j"]; got != 2500.123457 {
		t.Errorf("total_gpu_energy_j = %v, want 2500.123457", got)
	}
}

func TestValidationWindow(t *testing.T) {
	r := measured()
	r.Reasons = []window.Reason{window.InvalidOutputTokenCount}
	r.Work.OutputTokens = nil
	_, v := validated(t, r, sources())
	want := map[string]any{
		"start_time_unix": 1755000000.0, "end_time_unix": 1755000003.0, "reported_duration_s": 3.25, "integration_duration_s": 3.0,
		"completed": 2.0, "total_input_tokens": 300.0, "total_output_tokens": 0.0, // refused, so 0
	}
	if got := v["benchmark_window"].(map[string]any); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if metrics := v["metrics"].(map[string]any); len(metrics) > 0 {
		t.Errorf("an invalid result has metrics %v", metrics)
	}

	r = measured()
	r.Work = nil // nobody said
	_, v = validated(t, r, agg.Sources{})
	got := v["benchmark_window"].(map[string]any)
	if got["completed"] != nil || got["reported_duration_s"] != nil || v["benchmark_result"] != nil {
		t.Errorf("without a benchmark: %v, %v", got, v["benchmark_result"])
	}
	if metrics := v["metrics"].(map[string]any); metrics["total_gpu_energy_j"] != 3000.0 || metrics["joules_per_output_token"] != nil {
		t.Errorf("without a benchmark: %v", metrics)
	}

	for _, reason := range []window.Reason{window.InvalidBenchmarkResult, window.InvalidBenchmarkWindow} {
		r.Reasons = []window.Reason{reason}
		if _, v := validated(t, r, sources()); v["benchmark_window"] != nil {
			t.Errorf("%s: window %v, want null", reason, v["benchmark_window"])
		}
	}
}

// The stamps come out as the benchmark wrote them, and their difference as Python reckons it.
func TestValidationStamps(t *testing.T) {
	r := measured()
	r.Start, r.End = sampler.UnixMoment(1755000000.1234567), sampler.UnixMoment(1755000003.7654321)
	_, v := validated(t, r, sources())
	got := v["benchmark_window"].(map[string]any)
	if got["start_time_unix"] != 1755000000.1234567 || got["end_time_unix"] != 1755000003.7654321 ||
		got["integration_duration_s"] != 3.6419754028320312 { // python3 -c 'print(1755000003.7654321 - 1755000000.1234567)'
		t.Errorf("got %v", got)
	}
}

func TestValidationNamesGPUs(t *testing.T) {
	r := measured()
	r.GPUs = nil
	for _, index := range []int{10, 2, 0} {
		gpu := measured().GPUs[0]
		gpu.Index = index
		r.GPUs = append(r.GPUs, gpu)
	}
	r.GPUs[0].Reasons = []window.Reason{window.NoUsableSamples}
	text, v := validated(t, r, sources())
	if got := v["observed_gpu_ids"].([]any); !slices.Equal(got, []any{"0", "2"}) {
		t.Errorf("observed %v, want 0 and 2", got)
	}
	if got := v["device_issues"].(map[string]any)["10"].([]any); !slices.Equal(got, []any{"no_usable_power_samples"}) {
		t.Errorf("issues of 10: %v", got)
	}
	if two, ten := bytes.Index(text, []byte(`"2": 1500.0`)), bytes.Index(text, []byte(`"10": 1500.0`)); two < 0 || ten < two {
		t.Errorf("2 does not come before 10 in\n%s", text)
	}

	r.GPUs[2] = r.GPUs[1] // measured twice
	_, v = validated(t, r, sources())
	if got := v["observed_gpu_ids"].([]any); !slices.Equal(got, []any{"node1/GPU-0#2", "node1/GPU-0#3"}) {
		t.Errorf("observed %v", got)
	}
}

func TestValidationNames(t *testing.T) {
	for _, test := range []struct{ benchmark, run, node, want string }{
		{"R.json", "r1", "", "power_validation_R.json"},
		{"/w/results/R_tp8.5_conc4.json", "r1", "", "/w/results/power_validation_R_tp8.5_conc4.json"},
		{"sub/R", "r1", "", "sub/power_validation_R.json"},
		{"R.", "r1", "", "power_validation_R..json"},
		{".json", "r1", "", "power_validation_.json.json"},
		{"", "r1.5", "", "power_validation_r1.5.json"},
		{"R.json", "r1", "n2", "power_validation_R_n2.json"},
	} {
		got := agg.ValidationName(test.benchmark, test.run, test.node)
		if got != test.want || agg.CheckValidationName(got) != nil {
			t.Errorf("ValidationName(%q, %q, %q) = %q, %v, want %q", test.benchmark, test.run, test.node, got, agg.CheckValidationName(got), test.want)
		}
	}
	long := string(bytes.Repeat([]byte("é"), 124))
	a, b := agg.ValidationName(long+"a.json", "", ""), agg.ValidationName(long+"b.json", "", "")
	if len(a) > 255 || len(b) > 255 || a == b {
		t.Errorf("long names: %d bytes %q, %d bytes %q", len(a), a, len(b), b)
	}
	for name, want := range map[string]error{
		"power_validation.json": nil, "audit.json": nil, "sub/x.json": nil, "agg_/x.json": nil,
		"agg_R.json": agg.ErrValidationName, "sub/agg_R.json": agg.ErrValidationName, "results.json": agg.ErrValidationName,
		"results_1.json": agg.ErrValidationName, "power_window_r1.json": agg.ErrValidationName, "wattmark_marks.json": agg.ErrValidationName,
		"x.txt": agg.ErrValidationName, "json": agg.ErrValidationName, ".json": agg.ErrValidationName, "": agg.ErrValidationName,
	} {
		if err := agg.CheckValidationName(name); !errors.Is(err, want) {
			t.Errorf("CheckValidationName(%q) = %v, want %v", name, err, want)
		}
	}
}
