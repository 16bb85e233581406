package window_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// twoGPUs is a valid result of two GPUs with everything in it.
func twoGPUs(t *testing.T) window.Result {
	t.Helper()
	clock, origin := sampler.NewClock(), time.Now()
	var src window.Recorded
	var w window.Window
	for i := range 2 {
		gpu := sim.New(sim.Config{Index: i, Host: "n1", Load: sim.Constant(400 + 100*float64(i)), Clock: clock, Origin: origin})
		src = append(src, gpu.Series(0, time.Minute, time.Second))
		w = span(gpu, 10.2, 40.7)
	}
	expected := 2
	w.Run, w.Expected, w.Role = "r1", &expected, "decode"
	r := window.Measure(src, w, allowed())
	if !r.Valid() {
		t.Fatalf("reasons = %v, want none", r.AllReasons())
	}
	completed, input, output := int64(10), int64(1000), int64(500)
	r.Work = &window.Work{Completed: &completed, InputTokens: &input, OutputTokens: &output}
	r.Backend = "sim"
	r.Cost.CPUSeconds = sampler.Some(0.01)
	r.Aggregate = window.Aggregate{Path: "agg_r1.json", Status: "patched"}
	r.Versions = window.Versions{Wattmark: "1.0.0", Driver: "simulated"}
	return r
}

// fields decodes an object.
func fields(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func TestResultJSONHasTheKeysOfTheContract(t *testing.T) {
	text, err := json.Marshal(twoGPUs(t))
	if err != nil {
		t.Fatal(err)
	}
	object := fields(t, text)
	check := func(where string, got any, want ...string) {
		t.Helper()
		keys := got.(map[string]any)
		for _, key := range want {
			if _, ok := keys[key]; !ok {
				t.Errorf("%s has no %q, only %v", where, key, slices.Sorted(maps.Keys(keys)))
			}
		}
	}
	check("result", object, "schema_version", "run", "power_valid", "reasons", "notes", "start_unix", "end_unix", "duration_s",
		"backend", "simulated", "expected_gpu_count", "observed_gpu_count", "avg_power_w", "avg_total_gpu_power_w", "total_gpu_energy_j",
		"energy_bound_j", "sensor_tolerance_j", "joules_per_successful_query", "joules_per_input_token", "joules_per_output_token",
		"joules_per_total_token", "gpus", "cost", "agg_result", "versions")
	check("gpu", object["gpus"].([]any)[0], "host", "uuid", "bus_id", "index", "model", "scope", "role", "method", "energy_j", "bound_j",
		"power_energy_j", "counter_energy_j", "crosscheck_ratio", "avg_power_w", "max_power_w", "power_limit_w", "throttled_s",
		"max_temperature_c", "samples", "max_gap_s", "coverage_ratio", "reasons", "notes")
	check("cost", object["cost"], "cpu_s", "rss_bytes", "driver_call_s_max", "missed_ticks")
	check("agg_result", object["agg_result"], "path", "status", "detail")
	check("versions", object["versions"], "wattmark", "driver", "library")
	for key, want := range map[string]any{
		"schema_version": 1.0, "run": "r1", "power_valid": true, "simulated": true, "expected_gpu_count": 2.0, "observed_gpu_count": 2.0,
		"backend": "sim",
	} {
		if object[key] != want {
			t.Errorf("%s = %v, want %v", key, object[key], want)
		}
	}
	if got := object["duration_s"].(float64); math.Abs(got-30.5) > 1e-6 {
		t.Errorf("duration_s = %v, want 30.5", got)
	}
	if gpu := object["gpus"].([]any)[1].(map[string]any); gpu["role"] != "decode" || gpu["index"] != 1.0 || gpu["host"] != "n1" {
		t.Errorf("gpu = %v", gpu)
	}
}

func TestMissingIsNullAndListsAreNeverNull(t *testing.T) {
	gpu := sim.New(sim.Config{})
	for name, r := range map[string]window.Result{
		"no readings":     window.Measure(window.Recorded{{Info: gpu.Info()}}, span(gpu, 1, 2), allowed()),
		"no GPUs":         window.Measure(window.Recorded{}, span(gpu, 1, 2), allowed()),
		"impossible span": window.Measure(window.Recorded{}, span(gpu, 2, 1), allowed()),
		"zero":            {},
		"merge of none":   window.Merge(),
	} {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		object := fields(t, text)
		for _, key := range []string{
			"avg_power_w", "avg_total_gpu_power_w", "total_gpu_energy_j", "energy_bound_j", "sensor_tolerance_j", "expected_gpu_count",
			"joules_per_successful_query", "joules_per_input_token", "joules_per_output_token", "joules_per_total_token",
		} {
			if value, ok := object[key]; value != nil || !ok {
				t.Errorf("%s: %s = %v, want null", name, key, value)
			}
		}
		for _, key := range []string{"reasons", "notes", "gpus"} {
			if _, ok := object[key].([]any); !ok {
				t.Errorf("%s: %s = %v, want a list", name, key, object[key])
			}
		}
		for _, gpu := range object["gpus"].([]any) {
			for _, key := range []string{"energy_j", "bound_j", "crosscheck_ratio", "max_gap_s", "throttled_s", "max_power_w"} {
				if value := gpu.(map[string]any)[key]; value != nil {
					t.Errorf("%s: gpu %s = %v, want null", name, key, value)
				}
			}
		}
	}
}

func TestResultRoundTrip(t *testing.T) {
	full := twoGPUs(t)
	bad := full
	bad.Reasons = []window.Reason{window.ExpectedGPUCountMismatch, window.InvalidBenchmarkResult}
	bad.Notes = []window.Note{window.ClockStep}
	bad.GPUs = slices.Clone(full.GPUs)
	bad.GPUs[0].Reasons = []window.Reason{window.GapExceeded}
	bad.GPUs[1].Reasons = []window.Reason{window.GapExceeded, window.SimulatedPower}
	bad.GPUs[1].Notes = []window.Note{window.CounterRejected, window.CounterFell}
	bad.Expected = nil
	bad.Work = nil
	gpu := sim.New(sim.Config{})
	for name, want := range map[string]window.Result{
		"full": full, "with reasons": bad, "no readings": window.Measure(window.Recorded{{Info: gpu.Info()}}, span(gpu, 1, 2), allowed()),
	} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got window.Result
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: Unmarshal(Marshal) =\n%+v, want\n%+v", name, got, want)
		}
		again, err := json.Marshal(got)
		if err != nil || !bytes.Equal(again, text) {
			t.Errorf("%s: marshalled again: %v\n%s, want\n%s", name, err, again, text)
		}
	}
	if got, want := bad.AllReasons(), []window.Reason{
		window.ExpectedGPUCountMismatch, window.InvalidBenchmarkResult, window.GapExceeded, window.SimulatedPower,
	}; !slices.Equal(got, want) || bad.Valid() {
		t.Errorf("all reasons = %v, valid %v; want %v, each once, and not", got, bad.Valid(), want)
	}
}

func TestPerUnitOfWork(t *testing.T) {
	r := twoGPUs(t)
	energy := r.Energy().Or(0)
	if want := 900 * 30.5; math.Abs(energy-want) > 1 {
		t.Fatalf("energy = %v J, want %v", energy, want)
	}
	for name, test := range map[string]struct {
		got  sampler.Value
		want float64
	}{
		"query":        {r.PerQuery(), energy / 10},
		"input token":  {r.PerInputToken(), energy / 1000},
		"output token": {r.PerOutputToken(), energy / 500},
		"any token":    {r.PerTotalToken(), energy / 1500},
		"total power":  {r.TotalPower(), energy / 30.5},
		"GPU power":    {r.AvgPower(), energy / 30.5 / 2},
	} {
		if x, ok := test.got.Known(); !ok || math.Abs(x-test.want) > 1e-9*test.want {
			t.Errorf("per %s: %v, want %v", name, x, test.want)
		}
	}
	count := func(n int64) *int64 { return &n }
	for name, work := range map[string]*window.Work{
		"no benchmark": nil, "no counts": {}, "zero": {Completed: count(0), InputTokens: count(0), OutputTokens: count(0)},
		"negative": {Completed: count(-1), InputTokens: count(-1), OutputTokens: count(-1)},
	} {
		r.Work = work
		if r.PerQuery().OK() || r.PerInputToken().OK() || r.PerOutputToken().OK() || r.PerTotalToken().OK() {
			t.Errorf("%s: %v, %v, %v, %v; want missing", name, r.PerQuery(), r.PerInputToken(), r.PerOutputToken(), r.PerTotalToken())
		}
	}
	r.Work = &window.Work{InputTokens: count(7)}
	if r.PerTotalToken().OK() || !r.PerInputToken().OK() {
		t.Error("with input tokens only, want joules per input token and none per total token")
	}
	r.GPUs[0].Energy = sampler.Value{}
	if r.Energy().OK() || r.PerInputToken().OK() || r.AvgPower().OK() {
		t.Error("without the energy of one GPU, want no totals")
	}
}

func TestBoundsOfGPUsAddUp(t *testing.T) {
	gpu := func(bound, shared float64) window.GPU {
		return window.GPU{Energy: sampler.Some(100), Bound: sampler.Some(bound), SharedBound: sampler.Some(shared), Tolerance: sampler.Some(5)}
	}
	for name, test := range map[string]struct {
		gpus []window.GPU
		want float64
	}{
		"independent errors add up in squares": {[]window.GPU{gpu(3, 0), gpu(4, 0)}, 5},
		"common errors linearly":               {[]window.GPU{gpu(3, 3), gpu(4, 4)}, 7},
		"both":                                 {[]window.GPU{gpu(5, 4), gpu(5, 4)}, math.Sqrt(9 + 9 + 64)},
	} {
		r := window.Result{GPUs: test.gpus}
		if got := r.Bound().Or(-1); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: bound = %v, want %v", name, got, test.want)
		}
		if got := r.Tolerance().Or(-1); got != 5*float64(len(test.gpus)) {
			t.Errorf("%s: tolerance = %v, want the sum: cards of one kind err alike", name, got)
		}
	}
}
