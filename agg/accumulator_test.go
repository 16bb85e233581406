package agg_test

import (
	"math"
	"slices"
	"testing"

	"wattmark/sampler"
)

func TestAccumulatorCheck(t *testing.T) {
	check := func(values ...float64) map[string]any { // counter, power; counter, power
		r := measured()
		r.GPUs = r.GPUs[:0]
		for i := 0; i < len(values); i += 2 {
			gpu := measured().GPUs[0]
			gpu.Index = i / 2
			gpu.CounterEnergy, gpu.PowerEnergy = sampler.Some(values[i]), sampler.Some(values[i+1])
			r.GPUs = append(r.GPUs, gpu)
		}
		_, v := validated(t, r, sources())
		if v["power_valid"] != true {
			t.Errorf("%v: the check touched validity", values)
		}
		got, _ := v["accumulator_check"].(map[string]any)
		return got
	}
	none := math.Inf(1) // comes out missing
	for _, test := range []struct {
		name    string
		values  []float64
		error   any
		within  any
		matched []any
		without []any
	}{
		{"match", []float64{1000, 1000, 1000, 1000}, 0.0, true, []any{"0", "1"}, []any{}},
		{"5 %", []float64{1000, 950}, 0.05, true, []any{"0"}, []any{}},
		{"beyond 5 %", []float64{1000, 949}, 0.051, false, []any{"0"}, []any{}},
		{"beyond 5 %, upwards", []float64{1000, 1051}, 0.051, false, []any{"0"}, []any{}},
		{"zero delta", []float64{0, 1000}, nil, false, []any{"0"}, []any{}},
		{"a GPU without power", []float64{1000, 1000, 1000, none}, 0.0, true, []any{"0"}, []any{"1"}},
		{"a GPU without a counter", []float64{1000, 1000, none, 1000}, 0.0, true, []any{"0"}, []any{}},
	} {
		got := check(test.values...)
		if got["available"] != true || got["relative_error"] != test.error || got["within_tolerance"] != test.within ||
			!slices.Equal(got["integrated_gpu_ids"].([]any), test.matched) || !slices.Equal(got["unmatched_gpus"].([]any), test.without) {
			t.Errorf("%s: got %v", test.name, got)
		}
	}
	if got := check(1000, 1000, -10, 10); got["within_tolerance"] != false || !slices.Equal(got["negative_delta_gpus"].([]any), []any{"1"}) {
		t.Errorf("negative delta: got %v", got)
	}
	if got := check(none, 1000, 1000, none); got != nil {
		t.Errorf("nothing to compare: got %v, want null", got)
	}
}
