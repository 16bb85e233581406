package agg_test

import (
	"io"
	"slices"
	"testing"
	"time"

	"wattmark/agg"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// BenchmarkEncodeWindow is the text of a window of ten minutes of eight GPUs: most of what a mark-end does itself.
func BenchmarkEncodeWindow(b *testing.B) {
	var all []sampler.Series
	for i := range 8 {
		gpu := sim.New(sim.Config{Index: i, Load: sim.Sine{Mean: 500, Amplitude: 150, Period: 7}})
		all = append(all, gpu.Series(0, 10*time.Minute, time.Second))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := agg.EncodeWindow(io.Discard, []byte("{}"), window.Limits{}, nil, slices.Values(all)); err != nil {
			b.Fatal(err)
		}
	}
}
