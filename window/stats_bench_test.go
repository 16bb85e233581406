package window_test

import (
	"fmt"
	"testing"

	"wattmark/sampler"
	"wattmark/window"
)

// What the statistics add to a measurement: compare with the commit before.
func BenchmarkMeasureHours(b *testing.B) {
	for _, hours := range []int{1, 24} {
		b.Run(fmt.Sprint(hours, "h"), func(b *testing.B) {
			var src window.Recorded
			for i := range 8 {
				src = append(src, shaped(i, hours*3600, func(x float64) float64 { return 400 + float64(int(x)%97) }, func(r *sampler.Reading, _ int) { r.ThrottleKnown = true }))
			}
			w := window.Window{Start: src[0].Readings[10].At, End: src[0].Readings[len(src[0].Readings)-10].At}
			b.ReportAllocs()
			for b.Loop() {
				window.Measure(src, w, window.Limits{})
			}
		})
	}
}
