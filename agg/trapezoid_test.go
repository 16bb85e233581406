package agg_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"wattmark/agg"
	"wattmark/sampler"
	"wattmark/window"
)

func TestTrapezoid(t *testing.T) {
	for _, tt := range []struct {
		name        string
		unix, watts []float64
		start, end  float64
		joules, gap float64 // NaN: missing
		reason      window.Reason
	}{
		{"edges on readings", []float64{0, 1, 2}, []float64{100, 300, 100}, 0, 2, 400, 1, ""},
		{"edges between readings", []float64{0, 2}, []float64{100, 300}, 0.5, 1.5, 200, 2, ""},
		{"edge a hair from a reading", []float64{0, 1, 2}, []float64{100, 300, 100}, 5e-10, 2, 400, 1, ""},
		{"gap of the limit", []float64{0, 3}, []float64{5, 5}, 1, 2, 5, 3, ""},
		{"gap", []float64{0, 3.5}, []float64{5, 5}, 1, 2, 5, 3.5, window.GapExceeded},
		{"gaps outside do not count", []float64{-9, 0, 1, 9}, []float64{5, 5, 5, 5}, 0, 1, 5, 1, ""},
		{"starts late", []float64{1, 2, 3}, []float64{5, 5, 5}, 0, 2, math.NaN(), math.NaN(), window.NotBracketed},
		{"ends early", []float64{0, 1}, []float64{5, 5}, 0, 2, math.NaN(), math.NaN(), window.NotBracketed},
		{"one reading", []float64{0}, []float64{5}, 0, 2, math.NaN(), math.NaN(), window.InsufficientSamples},
		{"none", nil, nil, 0, 2, math.NaN(), math.NaN(), window.InsufficientSamples},
	} {
		t.Run(tt.name, func(t *testing.T) {
			joules, gap, reason := agg.Trapezoid(tt.unix, tt.watts, tt.start, tt.end, 3)
			if reason != tt.reason || gap.OK() == math.IsNaN(tt.gap) || gap.OK() && gap.Or(0) != tt.gap {
				t.Errorf("gap %v, reason %q, want %v, %q", gap, reason, tt.gap, tt.reason)
			}
			if joules.OK() == math.IsNaN(tt.joules) || math.Abs(joules.Or(0)-tt.joules) > 1e-6 {
				t.Errorf("%v J, want %v", joules, tt.joules)
			}
		})
	}
}

// There is one arithmetic: Measure finds the same, up to the nanosecond to which its times go.
func TestTrapezoidAsMeasure(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		start := 1.7e9 + rng.Float64()*1e8
		end := start + 1 + rng.ExpFloat64()*20
		series := sampler.Series{}
		var unix, watts []float64
		for at := start - rng.Float64()*4 + 0.5; at < end+1.5; at += 0.01 + rng.ExpFloat64()*rng.ExpFloat64()*0.7 {
			p := rng.Float64() * 1000
			unix, watts = append(unix, at), append(watts, p)
			series.Readings = append(series.Readings, sampler.Reading{At: sampler.UnixMoment(at), PowerWatts: sampler.Some(p)})
		}
		w := window.Window{Start: sampler.UnixMoment(start), End: sampler.UnixMoment(end)}
		measured := window.Measure(window.Recorded{series}, w, window.Limits{Method: window.Trapezoid})
		joules, gap, reason := agg.Trapezoid(unix, watts, start, end, 3)
		gpu, want := measured.GPUs[0], window.Reason("")
		if len(gpu.Reasons) > 0 {
			want = gpu.Reasons[0]
		}
		if reason != want || math.Abs(gap.Or(-1)-gpu.MaxGapS.Or(-1)) > 1e-6 {
			t.Fatalf("gap %v, reason %q; Measure: %v, %q", gap, reason, gpu.MaxGapS, want)
		}
		if off := math.Abs(joules.Or(-1) - gpu.Energy.Or(-1)); off > 2e-9*1000*math.Sqrt(float64(len(unix))) {
			t.Fatalf("%v J; Measure: %v J", joules, gpu.Energy)
		}
	}
}
