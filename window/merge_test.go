package window_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// node is the result of a node with GPUs of this many watts each.
func node(t *testing.T, host string, late time.Duration, watts ...float64) window.Result {
	t.Helper()
	clock, origin := sampler.NewClock(), time.Unix(1_785_585_600, 0)
	var src window.Recorded
	var w window.Window
	for i, x := range watts {
		gpu := sim.New(sim.Config{Host: host, Index: i, Load: sim.Constant(x), Clock: clock, Origin: origin})
		src = append(src, gpu.Series(0, time.Minute, time.Second))
		w = span(gpu, 10+late.Seconds(), 40+late.Seconds())
	}
	expected := len(watts)
	w.Run, w.Expected = "r1", &expected
	r := window.Measure(src, w, allowed())
	r.Backend, r.Versions.Wattmark = "sim", "1.0.0"
	return r
}

func TestMergeAddsNodesUp(t *testing.T) {
	a, b := node(t, "n1", 0, 300, 400), node(t, "n2", 40*time.Millisecond, 500)
	m := window.Merge(a, b)
	if !m.Valid() || len(m.GPUs) != 3 || *m.Expected != 3 || m.Run != "r1" || m.Backend != "sim" {
		t.Errorf("merged: %d GPUs of %v, run %q, backend %q, reasons %v", len(m.GPUs), *m.Expected, m.Run, m.Backend, m.AllReasons())
	}
	if got, want := m.Energy().Or(0), a.Energy().Or(0)+b.Energy().Or(0); math.Abs(got-want) > 1e-6 {
		t.Errorf("energy = %v J, want the sum %v", got, want)
	}
	if got, want := m.Bound().Or(0), math.Hypot(a.Bound().Or(0), b.Bound().Or(0)); math.Abs(got-want) > 0.05*want {
		t.Errorf("bound = %v J, want %v: nodes' counters tick independently", got, want)
	}
	if got, want := m.AvgPower().Or(0), 400.0; math.Abs(got-want) > 1 {
		t.Errorf("average power of a GPU = %v W, want %v", got, want)
	}
	if got := m.Duration(); got != 30040*time.Millisecond {
		t.Errorf("duration = %v, want from the first start to the last end", got)
	}
	if a.Valid() && len(a.GPUs) != 2 {
		t.Error("Merge changed its argument")
	}
}

func TestMergeReasons(t *testing.T) {
	a, b := node(t, "n1", 0, 300, 400), node(t, "n2", 0, 500)
	bad := node(t, "n3", 0, 500)
	bad.GPUs[0].Reasons = []window.Reason{window.GapExceeded}
	none := window.Result{Start: a.Start, End: a.End, Reasons: []window.Reason{window.NoUsableSamples}}
	for _, test := range []struct {
		name    string
		results []window.Result
		want    []window.Reason
	}{
		{"one", []window.Result{a}, []window.Reason{}},
		{"two", []window.Result{a, b}, []window.Reason{}},
		{"the same node twice", []window.Result{a, a}, []window.Reason{window.DuplicateGPU}},
		{"a GPU of another node's", []window.Result{a, b, node(t, "n2", 0, 100)}, []window.Reason{window.DuplicateGPU}},
		{"100 ms apart", []window.Result{a, node(t, "n2", 100*time.Millisecond, 1)}, []window.Reason{}},
		{"101 ms apart", []window.Result{a, node(t, "n2", 101*time.Millisecond, 1)}, []window.Reason{window.DifferentWindows}},
		{
			"the first and the last apart",
			[]window.Result{node(t, "n3", 60*time.Millisecond, 1), a, node(t, "n2", 120*time.Millisecond, 1)},
			[]window.Reason{window.DifferentWindows},
		},
		{"a bad node", []window.Result{a, bad}, []window.Reason{window.GapExceeded}},
		{"a node without GPUs", []window.Result{a, none}, []window.Reason{window.NoUsableSamples}},
		{"none", nil, []window.Reason{window.NoUsableSamples}},
	} {
		m := window.Merge(test.results...)
		if got := m.AllReasons(); !slices.Equal(got, test.want) {
			t.Errorf("%s: reasons = %v, want %v", test.name, got, test.want)
		}
	}
}

func TestMergeOrderDoesNotMatter(t *testing.T) {
	count := func(n int64) *int64 { return &n }
	nodes := []window.Result{
		node(t, "n1", 0, 300, 400), node(t, "n2", 20*time.Millisecond, 500), node(t, "n3", 30*time.Millisecond, 100, 200, 250),
		node(t, "n4", 10*time.Millisecond, 600),
	}
	nodes[1].Notes = []window.Note{window.ClockStep}
	nodes[1].Work = &window.Work{Completed: count(5)}
	nodes[2].Reasons = []window.Reason{window.InvalidQueryCount, window.ExpectedGPUCountMismatch}
	nodes[2].Work = &window.Work{Completed: count(5)}
	nodes[3].Reasons = []window.Reason{window.DuplicateGPU}
	nodes[3].GPUs[0].Reasons = []window.Reason{window.GapExceeded}
	text := func(r window.Result) string {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	want := text(window.Merge(nodes...))
	random := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		random.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		if got := text(window.Merge(nodes...)); got != want {
			t.Fatalf("merged in another order:\n%s\nwant\n%s", got, want)
		}
		cut := 1 + random.IntN(len(nodes)-1)
		nested := window.Merge(window.Merge(nodes[:cut]...), window.Merge(nodes[cut:]...))
		if got := text(nested); got != want {
			t.Fatalf("merged in groups of %d and %d:\n%s\nwant\n%s", cut, len(nodes)-cut, got, want)
		}
	}
}

func TestMergeOfDifferentBenchmarks(t *testing.T) {
	count := func(n int64) *int64 { return &n }
	a, b, c := node(t, "n1", 0, 300), node(t, "n2", 0, 300), node(t, "n3", 0, 300)
	a.Work, b.Work = &window.Work{OutputTokens: count(10)}, &window.Work{OutputTokens: count(20)}
	if m := window.Merge(a, b, c); m.PerOutputToken().OK() {
		t.Errorf("joules per output token of two benchmarks = %v, want missing", m.PerOutputToken())
	}
	if m := window.Merge(c, a); math.Abs(m.PerOutputToken().Or(0)-m.Energy().Or(0)/10) > 1e-9 {
		t.Errorf("joules per output token = %v, want the energy of both nodes over the tokens that one knows", m.PerOutputToken())
	}
}

func TestMergeOfDifferentDaemons(t *testing.T) {
	a, b := node(t, "n1", 0, 300), node(t, "n2", 0, 300)
	b.Backend, b.Versions.Driver, b.Expected = "amd", "6.8", nil
	m := window.Merge(a, b)
	if m.Backend != "mixed" || m.Versions != (window.Versions{Wattmark: "1.0.0"}) || m.Expected != nil {
		t.Errorf("backend %q, versions %+v, expected %v; want mixed, the program's only, not known", m.Backend, m.Versions, m.Expected)
	}
}
