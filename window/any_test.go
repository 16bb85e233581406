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

// anything makes a series and a window of arbitrary bytes: times that repeat, fall or jump, either clock, values that
// are missing, negative, huge or stand still.
func anything(data []byte) (sampler.Series, window.Window) {
	next := func() byte {
		if len(data) == 0 {
			return 0
		}
		b := data[0]
		data = data[1:]
		return b
	}
	value := func(x float64) sampler.Value {
		return sampler.Some([]float64{x, x, x, x, 2 * x, 0, -x, math.MaxUint64, math.NaN(), math.Inf(1)}[next()%10])
	}
	series := sampler.Series{Info: sampler.Info{
		Host: "n1", UUID: "GPU-1", HasCounter: next()%4 > 0, CounterPeriod: time.Duration(next()%4) * 100 * time.Millisecond,
		PowerPeriod: time.Duration(next()%3) * 500 * time.Millisecond, PowerRefresh: time.Duration(next()%3) * 100 * time.Millisecond,
		PowerLimitWatts: value(700),
	}}
	steps := []time.Duration{time.Second, time.Second, time.Second, 900 * time.Millisecond, time.Millisecond, 0, 10 * time.Second, -time.Second}
	at := sampler.Moment{UnixNano: 1e18, MonoNano: 1e12}
	wallOnly := next()%4 == 0
	joules := 1e6
	start := at.Add(time.Duration(next()) * 100 * time.Millisecond)
	w := window.Window{Start: start, End: start.Add(time.Duration(next())*100*time.Millisecond - 500*time.Millisecond)}
	if next()%3 == 0 {
		w.Start.MonoNano = 0
	}
	if next()%3 == 0 {
		w.End.MonoNano = 0
	}
	for len(data) > 0 {
		at = at.Add(steps[int(next())%len(steps)])
		joules += 100 * float64(next()%8)
		r := sampler.Reading{At: at, Call: time.Duration(next()%4) * 10 * time.Millisecond}
		if wallOnly {
			r.At.MonoNano = 0
		}
		if next()%50 == 0 {
			at.UnixNano += 3600e9
		}
		r.EnergyJoules, r.PowerWatts, r.InstantWatts = value(joules), value(500), value(500)
		series.Readings = append(series.Readings, r)
	}
	return series, w
}

// checkAny checks what holds for any result.
func checkAny(t *testing.T, data []byte) {
	t.Helper()
	series, w := anything(data)
	for _, method := range []window.Method{"", window.Counter, window.Boxcar, window.Trapezoid} {
		r := window.Measure(window.Recorded{series}, w, window.Limits{Method: method})
		if _, err := json.Marshal(r); err != nil {
			t.Fatalf("method %q: %v", method, err)
		}
		for _, gpu := range r.GPUs {
			energy, ok := gpu.Energy.Known()
			if ok != gpu.Bound.OK() || ok != gpu.AvgPower.OK() || gpu.SharedBound.Or(0) > gpu.Bound.Or(0) {
				t.Fatalf("method %q: energy %v ± %v (shared %v), power %v: want all or none", method, gpu.Energy, gpu.Bound, gpu.SharedBound, gpu.AvgPower)
			}
			if energy < 0 || gpu.Bound.Or(0) < 0 || gpu.Tolerance.Or(0) < 0 || gpu.MaxGapS.Or(0) < 0 || gpu.Coverage.Or(0) < 0 || gpu.Coverage.Or(0) > 1 {
				t.Fatalf("method %q: %+v", method, gpu)
			}
			if !ok && r.Valid() {
				t.Fatalf("method %q: valid without an energy: %+v", method, gpu)
			}
		}
		if again := window.Measure(window.Recorded{series}, w, window.Limits{Method: method}); again.Energy() != r.Energy() {
			t.Fatalf("method %q: measured twice: %v and %v", method, r.Energy(), again.Energy())
		}
	}
}

func FuzzMeasure(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("a window over a handful of readings, some of them odd, one after the other"))
	f.Fuzz(checkAny)
}

func TestAnyReadings(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 800 {
		data := make([]byte, 14+random.IntN(300))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		checkAny(t, data)
	}
}

func TestOrderOfGPUsDoesNotMatter(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	clock, origin := sampler.NewClock(), time.Now()
	var src window.Recorded
	var w window.Window
	for i := range 6 {
		load := shapes()[i].load(random, 10, 40)
		gpu := sim.New(sim.Config{Index: i, Load: load, Clock: clock, Origin: origin})
		src = append(src, gpu.Series(0, time.Minute, time.Second))
		w = span(gpu, 10.3, 40.4)
	}
	src = append(src, sampler.Series{Info: sim.New(sim.Config{Index: 6}).Info()})
	for _, wallOnly := range []bool{false, true} {
		if wallOnly {
			w.Start.MonoNano, w.End.MonoNano = 0, 0
		}
		want := window.Measure(src, w, allowed())
		for range 20 {
			shuffled := slices.Clone(src)
			random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			got := window.Measure(shuffled, w, allowed())
			if got.Duration() != want.Duration() || !slices.Equal(got.AllReasons(), want.AllReasons()) {
				t.Fatalf("shuffled: %v, reasons %v; want %v, %v", got.Duration(), got.AllReasons(), want.Duration(), want.AllReasons())
			}
			for _, gpu := range got.GPUs {
				i := slices.IndexFunc(want.GPUs, func(g window.GPU) bool { return g.ID() == gpu.ID() })
				if gpu.Energy != want.GPUs[i].Energy || gpu.Bound != want.GPUs[i].Bound || gpu.Method != want.GPUs[i].Method {
					t.Fatalf("shuffled: GPU %d %v ± %v by %s, want %v ± %v", gpu.Index, gpu.Energy, gpu.Bound, gpu.Method,
						want.GPUs[i].Energy, want.GPUs[i].Bound)
				}
			}
		}
	}
}

func TestOnly(t *testing.T) {
	a, b := sim.New(sim.Config{Index: 0}), sim.New(sim.Config{Index: 1})
	src := window.Recorded{a.Series(0, time.Minute, time.Second), b.Series(0, time.Minute, time.Second)}
	for _, test := range []struct {
		ids  []string
		want []int
	}{
		{nil, []int{0, 1}},
		{[]string{b.Info().ID()}, []int{1}},
		{[]string{b.Info().ID(), a.Info().ID()}, []int{0, 1}},
		{[]string{"n/GPU-of-another-node"}, nil},
	} {
		var got []int
		for _, gpu := range window.Measure(window.Only(src, test.ids...), span(a, 10, 20), allowed()).GPUs {
			got = append(got, gpu.Index)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("Only %v = GPUs %v, want %v", test.ids, got, test.want)
		}
	}
	for series := range window.Only(src, a.Info().ID(), b.Info().ID()).Series(a.Moment(10), a.Moment(20)) {
		if series.Info.Index != 0 || len(series.Readings) != 11 {
			t.Errorf("first series: GPU %d with %d readings, want GPU 0 with 11", series.Info.Index, len(series.Readings))
		}
		break // a consumer may stop
	}
}
