package window_test

import (
	"fmt"
	"testing"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// BenchmarkMeasure is the cost of a mark-end, and of GET /v1/energy for a day.
func BenchmarkMeasure(b *testing.B) {
	for _, span := range []time.Duration{10 * time.Minute, time.Hour, 24 * time.Hour} {
		b.Run(fmt.Sprintf("%vx8", span), func(b *testing.B) {
			var src window.Recorded
			var w window.Window
			for i := range 8 {
				gpu := sim.New(sim.Config{Index: i, Load: sim.Sine{Mean: 500, Amplitude: 150, Period: 7}})
				src = append(src, gpu.Series(0, span+10*time.Second, time.Second))
				w = window.Window{Start: gpu.Moment(5), End: gpu.Moment(5 + span.Seconds())}
			}
			b.ReportAllocs()
			var r window.Result
			for b.Loop() {
				r = window.Measure(src, w, window.Limits{AllowSimulated: true})
			}
			if !r.Valid() || len(r.GPUs) != 8 {
				b.Fatalf("reasons = %v, want a valid result", r.AllReasons())
			}
		})
	}
}

// BenchmarkFlood is a mark-end among so many others that the GPUs were read every 30 ms, as often as marks make them be,
// and every 10 ms in bursts.
func BenchmarkFlood(b *testing.B) {
	for _, length := range []float64{0.5, 2} {
		b.Run(fmt.Sprintf("%vsx8", length), func(b *testing.B) {
			var src window.Recorded
			var w window.Window
			for i := range 8 {
				gpu := sim.New(sim.Config{Index: i, Load: sim.Sine{Mean: 500, Amplitude: 150, Period: 7}})
				all := gpu.Series(0, 20*time.Second, 5*time.Millisecond)
				var readings []sampler.Reading
				for k, r := range all.Readings {
					if k%6 == 0 || k%200 < 24 && k%2 == 0 {
						readings = append(readings, r)
					}
				}
				all.Readings = readings
				src = append(src, all)
				w = window.Window{Start: gpu.Moment(19.9 - length), End: gpu.Moment(19.9)}
			}
			b.ReportAllocs()
			var r window.Result
			for b.Loop() {
				r = window.Measure(src, w, window.Limits{AllowSimulated: true})
			}
			if !r.Valid() || len(r.GPUs) != 8 {
				b.Fatalf("reasons = %v, want a valid result", r.AllReasons())
			}
		})
	}
}
