package window_test

import (
	"testing"
	"time"

	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// A day read every four seconds has a gap after each reading: it must not cost the square of their number. 36 s of the
// processor before, 30 ms now.
func TestManyGaps(t *testing.T) {
	gpu := sim.New(sim.Config{Load: sim.Constant(450)})
	series := readAt(gpu, every(0, 120_000, 4)...)
	began := time.Now()
	r := window.Measure(window.Recorded{series}, span(gpu, 40, 119_900), allowed())
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	truth := gpu.TrueJoules(r.Start.Wall(), r.End.Wall())
	if off := r.Energy().Or(0) - truth; !r.Valid() || off > r.Bound().Or(0) || off < -r.Bound().Or(0) {
		t.Errorf("reasons %v, off by %v J, bound %v", r.AllReasons(), off, r.Bound())
	}
}
