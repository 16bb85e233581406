package window_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// busy is a GPU under load from 20 s to 40 s.
func busy(model string, faults ...sim.Fault) *sim.GPU {
	limit := sim.New(sim.Config{Model: model}).Info().PowerLimitWatts.Or(0)
	return sim.New(sim.Config{
		Model: model, Faults: faults, Load: sim.Busy{Load: sim.Constant(0.9 * limit), IdleWatts: 0.1 * limit, Start: 20, End: 40},
	})
}

func TestGapsAndEdges(t *testing.T) {
	drop := func(from, to float64) []sim.Fault { return []sim.Fault{sim.Drop(seconds(from), seconds(to))} }
	counterMissing := func(from, to float64) []sim.Fault {
		return []sim.Fault{sim.CounterMissing(seconds(from), seconds(to))}
	}
	none := []window.Reason{}
	gap, bracket := []window.Reason{window.GapExceeded}, []window.Reason{window.NotBracketed}
	for _, test := range []struct {
		name    string
		model   string
		method  window.Method
		a, b    float64
		faults  []sim.Fault
		reasons []window.Reason
		notes   []window.Note // those of gaps
		used    window.Method
		maxGap  float64
	}{
		{"no gap", "H200", "", 22, 38, nil, none, nil, window.Counter, 1},
		{"three seconds exactly", "H200", "", 22, 38, drop(30.5, 32.5), none, nil, window.Counter, 3},
		{"three seconds exactly, by power", "H200", window.Boxcar, 22, 38, drop(30.5, 32.5), none, nil, window.Boxcar, 3},
		{"four seconds, bridged", "H200", "", 22, 38, drop(30.5, 33.5), none, []window.Note{window.GapBridged}, window.Counter, 4},
		{"ten seconds, bridged", "H200", "", 22, 38, drop(25.5, 34.5), none, []window.Note{window.GapBridged}, window.Counter, 10},
		{"four seconds, by power", "H200", window.Boxcar, 22, 38, drop(30.5, 33.5), gap, nil, window.Boxcar, 4},
		{"four seconds, instantaneous power", "A100", window.Trapezoid, 22, 38, drop(30.5, 33.5), gap, nil, window.Trapezoid, 4},
		{"four seconds, counter faulty", "H200", "", 22, 38, append(drop(30.5, 33.5), sim.CounterScale(0.5)), gap, nil, window.Boxcar, 4},
		{"four seconds, counter reset in them", "H200", "", 22, 38, append(drop(30.5, 33.5), sim.CounterReset(seconds(32))), gap, nil, window.Boxcar, 4},
		{"over the start", "H200", "", 22, 38, drop(20.5, 23.5), gap, nil, window.Counter, 4},
		{"over the end", "H200", "", 22, 38, drop(36.5, 39.5), gap, nil, window.Counter, 4},
		{"over the whole window", "H200", "", 22, 24, drop(20.5, 25.5), gap, nil, window.Counter, 6},
		{"begins at the start's reading", "H200", "", 22, 38, drop(22.5, 25.5), none, []window.Note{window.GapBridged}, window.Counter, 4},
		{"ends at the end's reading", "H200", "", 22, 38, drop(34.5, 37.5), none, []window.Note{window.GapBridged}, window.Counter, 4},
		{"before the window", "H200", "", 22, 38, drop(17.5, 20.5), none, nil, window.Counter, 1},
		{"after the window", "H200", "", 22, 38, drop(39.5, 45.5), none, nil, window.Counter, 1},
		{"counter missing inside", "H200", "", 22, 38, counterMissing(28.5, 32.5), none, []window.Note{window.GapBridged}, window.Counter, 5},
		{"counter missing at the start", "H200", "", 22, 38, counterMissing(20.5, 24.5), none, []window.Note{window.CounterMissing}, window.Boxcar, 1},
		{"counter missing at the end", "H200", "", 22, 38, counterMissing(36.5, 100), none, []window.Note{window.CounterMissing}, window.Boxcar, 1},
		{"counter missing all along", "H200", "", 22, 38, counterMissing(0, 100), none, []window.Note{window.CounterMissing}, window.Boxcar, 1},
		{"readings begin inside", "H200", "", 22, 38, drop(0, 25.5), bracket, nil, window.Counter, math.NaN()},
		{"readings end inside", "H200", "", 22, 38, []sim.Fault{sim.Lost(seconds(30))}, bracket, nil, window.Counter, math.NaN()},
		{"readings begin just after the start", "H200", window.Boxcar, 22, 38, drop(0, 22.5), bracket, nil, window.Boxcar, math.NaN()},
	} {
		gpu := busy(test.model, test.faults...)
		limits := allowed()
		limits.Method = test.method
		// A gap of whole seconds is not a whole number of them in floating point, seen from most edges.
		off := float64(rand.New(rand.NewPCG(1, 1)).IntN(1e6)) * 1e-9
		series := gpu.Series(seconds(off), seconds(60+off), time.Second)
		r := window.Measure(window.Recorded{series}, span(gpu, test.a+off, test.b+off), limits)
		got := r.GPUs[0]
		if got.Method != test.used || !slices.Equal(got.Reasons, test.reasons) {
			t.Errorf("%s: by %s, reasons %v; want by %s, %v", test.name, got.Method, got.Reasons, test.used, test.reasons)
		}
		for _, note := range []window.Note{window.GapBridged, window.CounterMissing} {
			if slices.Contains(got.Notes, note) != slices.Contains(test.notes, note) {
				t.Errorf("%s: notes = %v, want of gaps %v", test.name, got.Notes, test.notes)
			}
		}
		if longest, known := got.MaxGapS.Known(); known == math.IsNaN(test.maxGap) || known && math.Abs(longest-test.maxGap) > 1e-6 {
			t.Errorf("%s: longest gap = %v s, want %v", test.name, got.MaxGapS, test.maxGap)
		}
		want := truth(gpu, test.a+off, test.b+off)
		if energy, ok := got.Energy.Known(); r.Valid() && (!ok || math.Abs(energy-want) > got.Bound.Or(0)+0.01) {
			t.Errorf("%s: energy = %.2f J ± %.2f, want %.2f", test.name, energy, got.Bound.Or(0), want)
		}
	}
}

func TestExactlyTheLongestGapPasses(t *testing.T) {
	gpu := sim.New(sim.Config{Load: sim.Constant(500)})
	random := rand.New(rand.NewPCG(2, 2))
	for range 2000 {
		off := time.Duration(random.Int64N(1e9))
		series := gpu.Series(off, off+40*time.Second, 3*time.Second)
		for i := range series.Readings { // exactly three seconds, to the nanosecond
			series.Readings[i].At.MonoNano = 1e15 + int64(off) + int64(i)*3e9
			series.Readings[i].At.UnixNano = 1e18 + int64(off) + int64(i)*3e9
		}
		start := sampler.Moment{UnixNano: 1e18 + 10e9, MonoNano: 1e15 + 10e9}
		w := window.Window{Start: start, End: start.Add(20 * time.Second)}
		limits := allowed()
		limits.Method = window.Boxcar
		if r := window.Measure(window.Recorded{series}, w, limits); !r.Valid() {
			t.Fatalf("readings every 3 s: reasons %v, longest gap %v; want none", r.AllReasons(), r.GPUs[0].MaxGapS.Or(0))
		}
		limits.MaxGap = 3*time.Second - time.Microsecond
		if r := window.Measure(window.Recorded{series}, w, limits); !slices.Contains(r.AllReasons(), window.GapExceeded) {
			t.Fatalf("readings every 3 s with a limit just below: reasons %v, want %s", r.AllReasons(), window.GapExceeded)
		}
	}
}

func TestCoverage(t *testing.T) {
	gpu := busy("H200", sim.Drop(seconds(25.5), seconds(29.5)))
	got := measured(t, gpu.Series(0, time.Minute, time.Second), span(gpu, 20, 40))
	if coverage := got.Coverage.Or(-1); math.Abs(coverage-0.75) > 1e-9 { // 25 to 30 of 20 s
		t.Errorf("coverage = %v with 5 of 20 s in a gap, want 0.75", coverage)
	}
	if got.Samples != 17 {
		t.Errorf("readings inside the window = %d, want 17", got.Samples)
	}
}

func TestTooFewReadings(t *testing.T) {
	gpu := busy("H200")
	for _, test := range []struct {
		name   string
		at     []float64
		reason window.Reason
	}{
		{"none", nil, window.NoUsableSamples},
		{"all long before", []float64{1, 2, 3}, window.NoUsableSamples},
		{"all long after", []float64{50, 51}, window.NoUsableSamples},
		{"one", []float64{22.5}, window.InsufficientSamples},
		{"one at each edge's wrong side", []float64{22.5, 37.5}, window.NotBracketed},
	} {
		r := window.Measure(window.Recorded{readAt(gpu, test.at...)}, span(gpu, 22, 38), allowed())
		if got := r.GPUs[0]; !slices.Equal(got.Reasons, []window.Reason{test.reason}) || got.Energy.OK() || got.AvgPower.OK() || got.Bound.OK() {
			t.Errorf("%s: reasons %v, energy %v ± %v, power %v; want %s, no numbers", test.name, got.Reasons, got.Energy, got.Bound,
				got.AvgPower, test.reason)
		}
		if r.Energy().OK() || r.TotalPower().OK() || r.AvgPower().OK() || r.Bound().OK() || r.Tolerance().OK() {
			t.Errorf("%s: totals %v, %v, %v, %v, %v; want missing", test.name, r.Energy(), r.TotalPower(), r.AvgPower(), r.Bound(), r.Tolerance())
		}
		if observed := r.Observed(); (observed == 0) != (test.reason == window.NoUsableSamples) {
			t.Errorf("%s: observed GPUs = %d", test.name, observed)
		}
	}
	if r := window.Measure(window.Recorded{}, span(gpu, 22, 38), allowed()); !slices.Equal(r.Reasons, []window.Reason{window.NoUsableSamples}) {
		t.Errorf("no GPUs: reasons = %v, want %s", r.Reasons, window.NoUsableSamples)
	}
}

func TestOneReadingAtEachEdgeIsEnough(t *testing.T) {
	gpu := busy("H200")
	got := measured(t, readAt(gpu, 22, 24.9), span(gpu, 22, 24.9))
	if want := truth(gpu, 22, 24.9); math.Abs(got.Energy.Or(0)-want) > got.Bound.Or(0) {
		t.Errorf("energy = %.2f J ± %.2f, want %.2f", got.Energy.Or(0), got.Bound.Or(0), want)
	}
}

func TestExpectedGPUCount(t *testing.T) {
	a, b := busy("H200"), sim.New(sim.Config{Index: 1})
	both := window.Recorded{a.Series(0, time.Minute, time.Second), b.Series(0, time.Minute, time.Second)}
	silent := window.Recorded{both[0], {Info: b.Info()}}
	count := func(n int) *int { return &n }
	for _, test := range []struct {
		name     string
		src      window.Recorded
		expected *int
		reasons  []window.Reason
	}{
		{"not given", both, nil, []window.Reason{}},
		{"as expected", both, count(2), []window.Reason{}},
		{"too few", both, count(3), []window.Reason{window.ExpectedGPUCountMismatch}},
		{"too many", both, count(1), []window.Reason{window.ExpectedGPUCountMismatch}},
		{"zero", both, count(0), []window.Reason{window.InvalidExpectedGPUCount}},
		{"negative", both, count(-1), []window.Reason{window.InvalidExpectedGPUCount}},
		{"one gave no reading", silent, count(2), []window.Reason{window.ExpectedGPUCountMismatch, window.NoUsableSamples}},
		{"one gave no reading, one expected", silent, count(1), []window.Reason{window.NoUsableSamples}},
	} {
		w := span(a, 22, 38)
		w.Expected = test.expected
		if got := window.Measure(test.src, w, allowed()).AllReasons(); !slices.Equal(got, test.reasons) {
			t.Errorf("%s: reasons = %v, want %v", test.name, got, test.reasons)
		}
	}
}

func TestSimulatedReason(t *testing.T) {
	gpu := busy("H200")
	src := window.Recorded{gpu.Series(0, time.Minute, time.Second)}
	if r := window.Measure(src, span(gpu, 22, 38), window.Limits{}); !slices.Equal(r.AllReasons(), []window.Reason{window.SimulatedPower}) {
		t.Errorf("reasons = %v, want %s", r.AllReasons(), window.SimulatedPower)
	}
	if r := window.Measure(src, span(gpu, 22, 38), allowed()); !r.Valid() || !r.Simulated() {
		t.Errorf("allowed: valid %v, simulated %v; want both", r.Valid(), r.Simulated())
	}
	src[0].Info.Simulated = false
	if r := window.Measure(src, span(gpu, 22, 38), window.Limits{}); !r.Valid() || r.Simulated() {
		t.Errorf("hardware: valid %v, simulated %v; want valid only", r.Valid(), r.Simulated())
	}
}
