package main

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// A daemon that was stopped before mark-end leaves a window up to then: that is not what a benchmark without stamps of its
// own was, but one whose own window lies inside is measured all the same.
func TestAggregateOfInterruptedWindow(t *testing.T) {
	t.Parallel()
	d := serve(t, nil, "--backend", "sim", "--sim", "2xH200,load=constant,watts=500", "--allow-simulated").ready()
	d.must("/v1/mark-start", "run", "r")
	from := time.Now().Add(100 * time.Millisecond)
	time.Sleep(1500 * time.Millisecond)
	if _, err := d.stop(); err != nil {
		t.Fatal(err)
	}
	const counts = `"completed": 1, "total_input_tokens": 2, "total_output_tokens": 3}`
	stamps := fmt.Sprintf(`{"benchmark_start_time_unix": %.3f, "benchmark_end_time_unix": %.3f, "duration": 1.0, `,
		float64(from.UnixMilli())/1e3, float64(from.UnixMilli())/1e3+1)
	write(t, d.results, "agg_r.json", "{}")
	for benchmark, want := range map[string][]string{"{" + counts: {"window_interrupted"}, stamps + counts: nil} {
		write(t, d.results, "r.json", benchmark)
		out, errs, code := wattmark(t, d.results, nil, "aggregate", "--json", "--window", "power_window_r.json", "--bench-result", "r.json", "--agg-result", "agg_r.json")
		if got := decode(t, []byte(out)); code != 0 || !slices.Equal(got.reasons(), want) {
			t.Errorf("%s: %d %s, reasons %v, want %v", benchmark, code, errs, got["reasons"], want)
		}
	}
}
