package agg_test

import (
	"testing"

	"wattmark/agg"
	"wattmark/sampler"
)

// The percentiles of later schemas: set where they are asked for and known, gone where the result is not valid.
func TestExtraKeys(t *testing.T) {
	r := measured()
	r.Stats.P75, r.Stats.P90 = sampler.Some(1200.00049), sampler.Some(1300)
	keys, err := agg.Keys(r)
	if err != nil {
		t.Fatal(err)
	}
	keys = append(keys, agg.ExtraKeys(r)...)
	n := float64(len(r.GPUs))
	if len(keys) < 4 || n != 2 {
		t.Fatalf("%v of %v GPUs", keys, n)
	}
	want := []agg.Key{{"p75_power_w", "600.0"}, {"p75_total_gpu_power_w", "1200.0"}, {"p90_power_w", "650.0"}, {"p90_total_gpu_power_w", "1300.0"}}
	for i, k := range keys[len(keys)-4:] {
		if k != want[i] {
			t.Errorf("%v, want %v", k, want[i])
		}
	}
	once, err := agg.Patch([]byte(`{"hw": "h200", "p75_power_w": 3}`), keys)
	if err != nil {
		t.Fatal(err)
	}
	if twice, err := agg.Patch(once, keys); err != nil || string(twice) != string(once) {
		t.Errorf("twice: %s, %v; once: %s", twice, err, once)
	}
	bad, err := agg.Keys(invalid())
	if err != nil {
		t.Fatal(err)
	}
	bad = append(bad, agg.ExtraKeys(invalid())...)
	const left = `{"hw": "h200", "power_metric_schema_version": 2, "power_valid": 0}`
	if got, err := agg.Patch(once, bad); err != nil || string(got) != left {
		t.Errorf("not valid: %s, %v, want %s", got, err, left)
	}
	if got, err := agg.Patch([]byte(left), bad); err != nil || string(got) != left {
		t.Errorf("not valid, twice: %s, %v", got, err)
	}
}
