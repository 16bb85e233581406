package agg_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"wattmark/agg"
	"wattmark/sampler"
	"wattmark/window"
)

// measured is a valid result: two GPUs at 500 W for three seconds, two queries, 300 tokens in, 150 out.
// Its metrics are those of AgentX's own test of the power path.
func measured() window.Result {
	completed, in, out, expected := int64(2), int64(300), int64(150), 2
	start := sampler.UnixMoment(1755000000)
	r := window.Result{
		Run: "r1", Start: start, End: start.Add(3 * time.Second), Expected: &expected, Backend: "nvidia",
		Work:     &window.Work{Completed: &completed, InputTokens: &in, OutputTokens: &out},
		Versions: window.Versions{Wattmark: "1.0.0", Driver: "580.82.07", Library: "13.580.82.07"},
	}
	for i := range 2 {
		r.GPUs = append(r.GPUs, window.GPU{
			Host: "node1", UUID: fmt.Sprintf("GPU-%d", i), Index: i, Vendor: "nvidia", Model: "H200", Method: window.Trapezoid,
			Energy: sampler.Some(1500), Bound: sampler.Some(3), SharedBound: sampler.Some(0), Tolerance: sampler.Some(75),
			PowerEnergy: sampler.Some(1500), MaxGapS: sampler.Some(1), Samples: 4,
		})
	}
	return r
}

// invalid is measured with a GPU that was not sampled for more than three seconds.
func invalid() window.Result {
	r := measured()
	r.GPUs[1].Reasons = []window.Reason{window.GapExceeded}
	return r
}

func TestKeys(t *testing.T) {
	got, err := agg.Keys(measured())
	want := []agg.Key{
		{"power_metric_schema_version", "2"},
		{"power_valid", "1"},
		{"avg_power_w", "500.0"},
		{"avg_total_gpu_power_w", "1000.0"},
		{"total_gpu_energy_j", "3000.0"},
		{"joules_per_successful_query", "1500.0"},
		{"joules_per_input_token", "10.0"},
		{"joules_per_output_token", "20.0"},
		{"joules_per_total_token", "6.666667"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}

	got, err = agg.Keys(invalid())
	want = []agg.Key{{"power_metric_schema_version", "2"}, {"power_valid", "0"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("invalid: got %v, %v, want %v", got, err, want)
	}
}

func TestKeysOfRoles(t *testing.T) {
	r := measured()
	r.GPUs = append(r.GPUs, r.GPUs[1])
	r.GPUs[0].Role, r.GPUs[1].Role, r.GPUs[2].Role = "prefill", "decode", "decode"
	got, err := agg.Keys(r)
	want := []agg.Key{
		{"prefill_gpu_energy_j", "1500.0"},
		{"decode_gpu_energy_j", "3000.0"},
		{"prefill_avg_power_w", "500.0"},
		{"decode_avg_power_w", "500.0"},
		{"prefill_joules_per_input_token", "5.0"},
		{"decode_joules_per_output_token", "20.0"},
	}
	if err != nil || len(got) != 15 || !slices.Equal(got[9:], want) {
		t.Errorf("got %v, %v\nwant at the end %v", got, err, want)
	}

	r = measured() // a node that only decodes
	r.GPUs[0].Role, r.GPUs[1].Role = "decode", "decode"
	got, err = agg.Keys(r)
	want = []agg.Key{{"decode_gpu_energy_j", "3000.0"}, {"decode_avg_power_w", "500.0"}, {"decode_joules_per_output_token", "20.0"}}
	if err != nil || len(got) != 12 || !slices.Equal(got[9:], want) {
		t.Errorf("got %v, %v\nwant at the end %v", got, err, want)
	}
}

func TestKeysNeedEveryMetric(t *testing.T) {
	for name, lose := range map[string]func(*window.Result){
		"benchmark":    func(r *window.Result) { r.Work = nil },
		"input tokens": func(r *window.Result) { r.Work.InputTokens = nil },
		"energy":       func(r *window.Result) { r.GPUs[0].Energy = sampler.Value{} },
		"duration":     func(r *window.Result) { r.End = r.Start },
	} {
		r := measured()
		lose(&r)
		if keys, err := agg.Keys(r); !errors.Is(err, agg.ErrNoMetric) {
			t.Errorf("without %s: %v, %v, want %v", name, keys, err, agg.ErrNoMetric)
		}
	}
}

func TestNumbersLikePython(t *testing.T) {
	type numbers struct{ X, Repr, Three, Six string }
	reference(t, "numbers", 20000, func(c numbers) {
		x := hexFloat(t, c.X)
		if got := agg.PythonFloat(x); got != c.Repr {
			t.Errorf("%s: got %s, want %s", c.X, got, c.Repr)
		}
		if got := agg.PythonFloat(agg.Round(x, 3)); got != c.Three {
			t.Errorf("%s to 3: got %s, want %s", c.Repr, got, c.Three)
		}
		if got := agg.PythonFloat(agg.Round(x, 6)); got != c.Six {
			t.Errorf("%s to 6: got %s, want %s", c.Repr, got, c.Six)
		}
	})
}
