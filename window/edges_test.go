package window_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	sim "wattmark/vendor_sim"
	"wattmark/window"
)

func TestRetroactiveEqualsLive(t *testing.T) {
	for _, shape := range shapes() {
		random := rand.New(rand.NewPCG(3, 3))
		apart, interpolated := 0, 0
		for range 60 {
			tr := newTrial(random, "H200", shape, 10)
			method := []window.Method{"", window.Boxcar}[random.IntN(2)]
			live, late := tr.live().measure(method), tr.measure(method)
			if slices.Contains(live.AllNotes(), window.EdgeInterpolated) {
				t.Fatalf("%s: notes of live by %s: %v; its edges lie on readings", shape.name, live.GPUs[0].Method, live.AllNotes())
			}
			if slices.Contains(late.AllNotes(), window.EdgeInterpolated) {
				interpolated++
			}
			if math.Abs(live.Energy().Or(0)-late.Energy().Or(0)) > live.Bound().Or(0)+late.Bound().Or(0) {
				apart++
			}
		}
		if apart > 0 {
			t.Errorf("%s: in %d of 60 windows live and retroactive differ by more than their bounds", shape.name, apart)
		}
		if interpolated < 50 { // an edge may happen to lie beside a reading
			t.Errorf("%s: %d of 60 retroactive windows have the note %s", shape.name, interpolated, window.EdgeInterpolated)
		}
	}
}

func TestOverlappingWindowsMeasureAlone(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	for _, shape := range shapes() {
		outer := newTrial(random, "H200", shape, 40)
		inner, late := outer, outer
		inner.a, inner.b = outer.a+10.3, outer.b-9.6
		late.a, late.b = outer.a+20.4, outer.b+2.2
		for _, tr := range []trial{outer, inner, late} {
			outer.readings = append(outer.readings, tr.a, tr.b)
		}
		var energies []float64
		for _, tr := range []trial{outer, inner, late} {
			tr.readings = outer.readings // each sees the others' polls
			r := tr.measure("")
			if off := math.Abs(r.Energy().Or(0) - tr.truth()); off > 1.5*r.Bound().Or(0)+resolution(r) {
				t.Errorf("%s: window of %.1f s is off by %.2f J, its bound is %.2f J", shape.name, tr.b-tr.a, off, r.Bound().Or(0))
			}
			energies = append(energies, r.Energy().Or(0))
		}
		if energies[1] > energies[0] {
			t.Errorf("%s: a window inside another used %.2f J, the other %.2f J", shape.name, energies[1], energies[0])
		}
	}
}

// E(t) does not depend on the window that asks for it.
func TestWindowsAddUp(t *testing.T) {
	all := shapes()
	for _, method := range []window.Method{"", window.Trapezoid} {
		random := rand.New(rand.NewPCG(6, 6))
		for range 200 {
			tr := newTrial(random, "H200", all[random.IntN(len(all))], 30)
			for range random.IntN(8) { // polls for other windows, some close together
				at := tr.a + 30*random.Float64()
				tr.readings = append(tr.readings, at, at+0.03*random.Float64())
			}
			mark := tr.a + 30*random.Float64() // a window whose mark was followed until the counter's step
			for k := range random.IntN(13) {
				tr.readings = append(tr.readings, mark+0.01*float64(k))
			}
			cuts := []float64{tr.a + 30*random.Float64(), tr.a + 30*random.Float64(), tr.a + 30*random.Float64()}
			if random.IntN(2) == 0 {
				cuts[random.IntN(3)] = tr.readings[len(tr.readings)-1]
			}
			if random.IntN(3) == 0 {
				cuts[random.IntN(3)], cuts[random.IntN(3)] = mark+0.2*random.Float64(), mark+0.2*random.Float64()
			}
			if random.IntN(4) == 0 { // among a flood of marks, each window looks back on another part of the readings
				tr.readings = append(tr.readings, every(mark-12, mark+5, 0.03)...)
			}
			slices.Sort(cuts)
			energy := func(a, b float64) float64 {
				tr.a, tr.b = a, b
				r := tr.measure(method)
				joules, ok := r.Energy().Known()
				if !ok || !r.Valid() || joules < 0 {
					t.Fatalf("energy of %g s = %v, reasons %v", b-a, joules, r.AllReasons())
				}
				return joules
			}
			first, second, whole := energy(cuts[0], cuts[1]), energy(cuts[1], cuts[2]), energy(cuts[0], cuts[2])
			if off := math.Abs(first + second - whole); off > 1e-6 {
				t.Fatalf("method %q: E[%g, %g] + E[%g, %g] = %.9f + %.9f J, E[%g, %g] = %.9f J; off by %g J", method,
					cuts[0], cuts[1], cuts[1], cuts[2], first, second, cuts[0], cuts[2], whole, off)
			}
		}
	}
}

// Where a mark was followed, or lies on a step, E is pieced together of many readings: of the same ones for any window.
func TestEnergyAtAMarkDoesNotDependOnTheWindow(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	square := shapes()[4]
	for range 300 {
		tr := newTrial(random, "H200", square, 12)
		mark := tr.a + 4 + 4*random.Float64()
		tr.readings = append(tr.readings, every(mark, mark+0.13*random.Float64(), 0.01)...)
		near := 0.15 * float64(1+20*random.IntN(2)) // s, of the mark, or farther
		a, b, c := mark-3*random.Float64(), mark+near*(2*random.Float64()-1), mark+0.15+near*random.Float64()
		c = max(c, b+0.01)
		energy := func(from, to float64) float64 {
			tr.a, tr.b = from, to
			return tr.measure("").Energy().Or(math.NaN())
		}
		a = min(a, b-0.3)
		if off := energy(a, b) + energy(b, c) - energy(a, c); !(math.Abs(off) <= 1e-6) {
			t.Fatalf("E[%g, %g] + E[%g, %g] is off by %g J from E[%g, %g]", a, b, b, c, off, a, c)
		}
	}
}

func TestEnergyGrowsWithTheWindow(t *testing.T) {
	all := shapes()
	random := rand.New(rand.NewPCG(8, 8))
	for _, method := range []window.Method{"", window.Boxcar, window.Trapezoid} {
		for range 25 {
			tr := newTrial(random, "H200", all[random.IntN(len(all))], 5)
			if random.IntN(2) == 0 {
				tr = tr.dense()
			}
			mark := tr.a + 5*random.Float64()
			tr.readings = append(tr.readings, every(mark, mark+0.115*random.Float64(), 0.01)...)
			ends := every(tr.a+0.003, tr.a+5, 0.05)
			ends = append(ends, every(mark-0.02, mark+0.13, 0.004)...)
			slices.Sort(ends)
			last := 0.0
			for _, end := range ends {
				tr.b = max(end, tr.a+0.001)
				if energy := tr.measure(method).Energy().Or(-1); energy < last-1e-9 {
					t.Fatalf("method %q: %.6f J up to %g s, %.6f J up to the end before: a longer window has less", method, energy, end, last)
				} else {
					last = energy
				}
			}
		}
	}
}

// Averaged power is a difference of E, so E is known but for the history before the window.
func TestBoxcarWindowsAddUpWithinTheirBounds(t *testing.T) {
	all := shapes()
	random := rand.New(rand.NewPCG(6, 6))
	for range 100 {
		tr := newTrial(random, "H200", all[random.IntN(len(all))], 30)
		a, b, c := tr.a, tr.a+5+20*random.Float64(), tr.b
		energy := func(a, b float64) (joules, bound float64) {
			tr.a, tr.b = a, b
			r := tr.measure(window.Boxcar)
			return r.Energy().Or(math.NaN()), r.Bound().Or(math.NaN())
		}
		first, bound1 := energy(a, b)
		second, bound2 := energy(b, c)
		whole, bound := energy(a, c)
		if off := math.Abs(first + second - whole); !(off <= bound1+bound2+bound) {
			t.Errorf("parts of %.2f + %.2f J, whole %.2f J: off by %.2f J, bounds %.2f", first, second, whole, off, bound1+bound2+bound)
		}
	}
}

func TestShortWindows(t *testing.T) {
	constant := shape{load: func(*rand.Rand, float64, float64) sim.Load { return sim.Constant(600) }}
	outside, all := 0, 0
	for _, seconds := range []float64{1e-9, 1e-6, 0.001, 0.02, 0.09, 0.1, 0.11, 0.5, 0.999} {
		random := rand.New(rand.NewPCG(7, 7))
		for _, kind := range []string{"live", "retroactive"} {
			for range 20 {
				tr := newTrial(random, "H200", constant, 0)
				tr.b = tr.a + seconds
				tr = kinds()[kind](tr)
				r := tr.measure("")
				energy, bound := r.Energy().Or(-1), r.Bound().Or(-1)
				all++
				if math.Abs(energy-tr.truth()) > bound+0.002 {
					outside++
				}
				if !r.Valid() || energy < 0 {
					t.Errorf("%s window of %v s: %.6f J; reasons %v", kind, seconds, energy, r.AllReasons())
				}
				if most := 1.2 * 700 * seconds; bound > most+1e-9 {
					t.Errorf("%s window of %v s: bound = %g J, want at most what the GPU can use, %g", kind, seconds, bound, most)
				}
			}
		}
	}
	if outside > all/50 {
		t.Errorf("the truth lies outside the bound in %d of %d windows", outside, all)
	}
}

// An interval holds a load, or a pause, that neither reading next to it shows.
func TestShortChangesBetweenTwoReadings(t *testing.T) {
	for _, test := range []struct {
		name           string
		inside, beside float64 // W
	}{{"load", 680, 78}, {"pause", 20, 600}} {
		gpu := sim.New(sim.Config{Load: sim.Busy{Load: sim.Constant(test.inside), IdleWatts: test.beside, Start: 20.3, End: 20.5}})
		series := gpu.Series(0, 40*time.Second, time.Second)
		for _, w := range [][2]float64{{20.3, 20.5}, {20.25, 20.55}, {20.1, 20.9}, {20.3, 25}, {10, 20.5}, {20.4, 20.45}} {
			r := window.Measure(window.Recorded{series}, span(gpu, w[0], w[1]), allowed())
			energy, bound, want := r.Energy().Or(-1), r.Bound().Or(-1), truth(gpu, w[0], w[1])
			if math.Abs(energy-want) > bound {
				t.Errorf("short %s: window from %g to %g: %.1f J ± %.1f, want %.1f", test.name, w[0], w[1], energy, bound, want)
			}
		}
	}
}

// Power that sinks within a tick of the counter makes a reading look as if the GPU had given energy back.
func TestEnergyNeverFalls(t *testing.T) {
	sensors := sim.HopperSensors()
	sensors.RefreshPhase = 50 * time.Millisecond
	gpu := sim.New(sim.Config{Sensors: sensors, Load: sim.Step(650, 78, 20.42)})
	series := readAt(gpu, every(0, 40, 1, 20.44, 20.46)...) // of the counter's tick at 20.4; power is refreshed at 20.45
	energy := func(a, b float64) float64 {
		return measured(t, series, span(gpu, a, b)).Energy.Or(-1)
	}
	before, between, after := energy(10, 20.44), energy(20.44, 20.46), energy(10, 20.46)
	if between < 0 || after < before || math.Abs(before+between-after) > 1e-6 {
		t.Errorf("energy up to 20.44 s, from there to 20.46 s, and up to there = %.3f, %.3f, %.3f J; want a sum of parts", before, between, after)
	}
}

// The bound of an edge between two readings does not vanish because they are far apart.
func TestBoundAtLongIntervals(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, 2900 * time.Millisecond, 10 * time.Second} {
		for _, method := range []window.Method{"", window.Boxcar} {
			gpu := sim.New(sim.Config{Load: sim.Constant(500)})
			series := gpu.Series(0, 200*time.Second, interval)
			limits := allowed()
			limits.MaxGap, limits.Method = time.Minute, method
			r := window.Measure(window.Recorded{series}, span(gpu, 44.4, 123.4), limits)
			energy, bound, want := r.Energy().Or(-1), r.Bound().Or(-1), truth(gpu, 44.4, 123.4)
			least := 10.0 // J: a part of a tick
			if method == window.Boxcar && interval == time.Second {
				least = 2 // steady power, averaged without a gap, is known to the regularity of its refreshes
			}
			if !r.Valid() || math.Abs(energy-want) > bound || bound < least {
				t.Errorf("readings every %v, method %q: %.1f J ± %.2f, want %.1f ± at least %g; reasons %v", interval, method, energy,
					bound, want, least, r.AllReasons())
			}
		}
	}
}
