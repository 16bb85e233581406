package main

import (
	"maps"
	"reflect"
	"testing"
)

// The energy counters beside the CSV, over the whole recording: 8 s of 400 W and 600 W are 3200 J and 4800 J.
func TestAggregateCSVAccumulators(t *testing.T) {
	csv := recorded(steady(400, 998, 1006), steady(600, 998, 1006))
	const start = "gpu,total_energy_consumption\n0,1000\n1,2000.5\n"
	check := func(start, end string) any {
		t.Helper()
		files := map[string]string{}
		for name, text := range map[string]string{"gpu_metrics_energy_start.csv": start, "gpu_metrics_energy_end.csv": end} {
			if text != "" {
				files[name] = text
			}
		}
		got := offline{csv: csv, benchmark: metered(nil), files: files}.measure(t)
		if got.code != 0 || got.validation["power_valid"] != true {
			t.Errorf("power_valid = %v: the check is advisory", got.validation["power_valid"])
		}
		return got.validation["accumulator_check"]
	}
	full := func(changes map[string]any) map[string]any {
		c := map[string]any{
			"available": true, "accumulator_delta_j": 8000.0, "integrated_stream_j": 8000.0, "relative_error": 0.0,
			"within_tolerance": true, "tolerance": 0.05, "per_gpu_delta_j": map[string]any{"0": 3200.0, "1": 4800.0},
			"integrated_gpu_ids": []any{"0", "1"}, "unmatched_gpus": []any{}, "negative_delta_gpus": []any{}, "stream_span_s": 8.0,
		}
		maps.Copy(c, changes)
		return c
	}
	no := func(reason string) map[string]any { return map[string]any{"available": false, "reason": reason} }
	for _, tt := range []struct {
		name, start, end string
		want             any
	}{
		{"none", "", "", nil},
		{"match", start, "gpu,total_energy_consumption\n0,4200\n1,6800.5\n", full(nil)},
		{
			"beyond 5 %", start, "gpu,total_energy_consumption\n0,4200\n1,8800.5\n",
			full(map[string]any{
				"accumulator_delta_j": 10000.0, "relative_error": 0.2, "within_tolerance": false,
				"per_gpu_delta_j": map[string]any{"0": 3200.0, "1": 6800.0},
			}),
		},
		{"no start", "", start, no("missing_start_snapshot")},
		{"no end", start, "", no("missing_end_snapshot")},
		{"start without numbers", "gpu,total_energy_consumption\n0,N/A\n", start, no("unparseable_start_snapshot")},
		{"end without columns", start, "nothing\n", no("unparseable_end_snapshot")},
		{
			"a counter that fell", start, "gpu,total_energy_consumption\n0,9000\n1,1000.5\n",
			full(map[string]any{
				"accumulator_delta_j": 7000.0, "relative_error": 1.0 / 7, "within_tolerance": false,
				"per_gpu_delta_j": map[string]any{"0": 8000.0, "1": -1000.0}, "negative_delta_gpus": []any{"1"},
			}),
		},
		{
			"a counter without power, power without a counter", start + "5,1\n", "gpu,total_energy_consumption\n0,4200\n5,1001\n",
			full(map[string]any{
				"accumulator_delta_j": 4200.0, "integrated_stream_j": 3200.0, "relative_error": 1000.0 / 4200, "within_tolerance": false,
				"per_gpu_delta_j": map[string]any{"0": 3200.0, "5": 1000.0}, "integrated_gpu_ids": []any{"0"}, "unmatched_gpus": []any{"1", "5"},
			}),
		},
		{
			"no energy", start, start,
			full(map[string]any{
				"accumulator_delta_j": 0.0, "relative_error": nil, "within_tolerance": false,
				"per_gpu_delta_j": map[string]any{"0": 0.0, "1": 0.0},
			}),
		},
		{
			"as amd-smi 26.2 prints it", "gpu,socket_power,power_management,total_energy_consumption\n0,238,ENABLED,1000\n1,N/A,N/A,N/A\n",
			"gpu,socket_power,power_management,total_energy_consumption\n0,238,ENABLED,4200\n1,240,ENABLED,6800\n",
			full(map[string]any{
				"accumulator_delta_j": 3200.0, "integrated_stream_j": 3200.0, "per_gpu_delta_j": map[string]any{"0": 3200.0},
				"integrated_gpu_ids": []any{"0"}, "unmatched_gpus": []any{"1"},
			}),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := check(tt.start, tt.end); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("accumulator_check = %v\nwant %v", got, tt.want)
			}
		})
	}
	got := offline{benchmark: metered(nil), files: map[string]string{
		"gpu_metrics_energy_start.csv": start, "gpu_metrics_energy_end.csv": start,
	}}.measure(t)
	if want := no("cross_check_error"); !reflect.DeepEqual(got.validation["accumulator_check"], want) {
		t.Errorf("no recording: accumulator_check = %v, want %v", got.validation["accumulator_check"], want)
	}
}
