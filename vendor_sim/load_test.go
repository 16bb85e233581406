package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// integrate is the integral of load's power from 0 to t by Gauss' rule of three points, on pieces between jumps.
func integrate(load Load, t float64, jumps []float64) float64 {
	low, high := min(0, t), max(0, t)
	edges := []float64{low, high}
	for _, jump := range jumps {
		if low < jump && jump < high {
			edges = append(edges, jump)
		}
	}
	slices.Sort(edges)
	parts := max(2, 640/len(edges)) // of a piece
	joules := 0.0
	for i := range len(edges) - 1 {
		h := (edges[i+1] - edges[i]) / float64(parts)
		for part := range parts {
			middle := edges[i] + (float64(part)+0.5)*h
			d := h / 2 * math.Sqrt(0.6)
			joules += h / 18 * (5*load.PowerWatts(middle-d) + 8*load.PowerWatts(middle) + 5*load.PowerWatts(middle+d))
		}
	}
	return math.Copysign(joules, t*joules)
}

// every returns the multiples of step from -100 s to 100 s, moved by offsets.
func every(step float64, offsets ...float64) (times []float64) {
	for k := -math.Ceil(100 / step); k*step <= 100; k++ {
		for _, offset := range offsets {
			times = append(times, k*step+offset)
		}
	}
	return times
}

func TestEnergyIsTheIntegralOfPower(t *testing.T) {
	serving := ServingH200(7)
	decode := NewDecode(serving)
	jumpsOfDecode := func() (times []float64) {
		for _, start := range decode.starts {
			times = append(times, start, start-decode.period())
		}
		return times
	}()
	later := func(times []float64, by float64) (moved []float64) {
		for _, x := range times {
			moved = append(moved, x+by)
		}
		return moved
	}
	for _, test := range []struct {
		name  string
		load  Load
		jumps []float64
	}{
		{"constant", Constant(431.5), nil},
		{"step", Step(80, 690, 12.34), []float64{12.34}},
		{"step in the past", Step(80, 690, -5), []float64{-5}},
		{"steps", Steps{{Watts: 80}, {3, 300}, {7.5, 0}, {40, 700}}, []float64{3, 7.5, 40}},
		{"no steps", Steps{}, nil},
		{"ramp", Ramp{80, 700, 10, 25}, []float64{10, 25}},
		{"falling ramp through 0", Ramp{700, 80, -20, 30}, []float64{-20, 30}},
		{"ramp of no length", Ramp{80, 700, 10, 10}, []float64{10}},
		{"sine", Sine{Mean: 400, Amplitude: 300, Period: 9, Phase: 1}, every(9, 0)},
		{"square", Square{Low: 80, High: 700, Period: 1, Duty: 0.5}, every(1, 0, 0.5)},
		{"lopsided square", Square{Low: 80, High: 700, Period: 0.7, Duty: 0.13}, every(0.7, 0, 0.13*0.7)},
		{"decode", decode, jumpsOfDecode},
		{"scale", Scale{Ramp{80, 700, 10, 25}, 0.97}, []float64{10, 25}},
		{"offset", Offset{Square{Low: 80, High: 700, Period: 1, Duty: 0.5}, 33}, every(1, 0, 0.5)},
		{"shift", Shift{Step(80, 690, 5), 3.25}, []float64{8.25}},
		{"decode shifted", Shift{decode, 0.125}, later(jumpsOfDecode, 0.125)},
		{"busy", Busy{Sine{Mean: 400, Amplitude: 300, Period: 50}, 78, 10, 60}, []float64{10, 60}},
		{"busy since before 0", Busy{Constant(600), 78, -10, 60}, []float64{-10, 60}},
	} {
		for _, end := range []float64{-60.7, -3, 0, 0.0001, 1, 12.34, 33.3, 99.99} {
			want := integrate(test.load, end, test.jumps)
			if got := test.load.EnergyJoules(end); !near(got, want, 1e-9) {
				t.Errorf("%s: E(%g) = %.9f J, want %.9f", test.name, end, got, want)
			}
		}
	}
}

// near reports whether two energies are equal to the relative tolerance, or to 1 µJ.
func near(got, want, tolerance float64) bool {
	return math.Abs(got-want) <= max(1e-6, tolerance*math.Abs(want))
}

func TestDecodeLooksLikeServing(t *testing.T) {
	serving := ServingH200(1)
	load := Busy{Load: NewDecode(serving), IdleWatts: 78, Start: 5, End: 305}
	for _, at := range []float64{-1, 0, 4.999, 305, 1e4} {
		if got := load.PowerWatts(at); got != 78 {
			t.Errorf("power at %g s = %g W, want the idle 78", at, got)
		}
	}
	peak, low := 0.0, math.Inf(1)
	for at := 5.0; at < 305; at += 0.003 {
		watts := load.PowerWatts(at)
		peak, low = max(peak, watts), min(low, watts)
	}
	if peak > serving.PrefillWatts || peak < 0.99*serving.PrefillWatts {
		t.Errorf("peak = %g W, want nearly %g", peak, serving.PrefillWatts)
	}
	if want := serving.LowWatts * (1 - serving.DriftRatio); low < want || low > 1.02*want {
		t.Errorf("lowest = %g W, want a little over %g", low, want)
	}
	average := load.EnergyJoules(305) - load.EnergyJoules(5)
	if average /= 300; average < 550 || average > 610 {
		t.Errorf("average = %g W, want between 550 and 610", average)
	}
}

func TestDecodeIsRepeatable(t *testing.T) {
	a, b, other := NewDecode(ServingH200(3)), NewDecode(ServingH200(3)), NewDecode(ServingH200(4))
	differs := false
	for at := 0.0; at < 500; at += 0.917 {
		if a.PowerWatts(at) != b.PowerWatts(at) || a.EnergyJoules(at) != b.EnergyJoules(at) {
			t.Fatalf("two loads of seed 3 differ at %g s", at)
		}
		differs = differs || a.EnergyJoules(at) != other.EnergyJoules(at)
	}
	if !differs {
		t.Error("seeds 3 and 4 give the same load")
	}
}

// Hours are as exact as seconds: the energy of any span is that of the same span in the first pattern.
func TestDecodeStaysExactForHours(t *testing.T) {
	decode := NewDecode(ServingH200(5))
	random := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		from := random.Float64() * decode.period() / 2
		to := from + random.Float64()*decode.period()/2
		day := math.Floor(86400/decode.period()) * decode.period()
		want := decode.EnergyJoules(to) - decode.EnergyJoules(from)
		if got := decode.EnergyJoules(day+to) - decode.EnergyJoules(day+from); !near(got, want, 1e-6) {
			t.Fatalf("energy of [%g, %g] = %.6f J on the next day, want %.6f", from, to, got, want)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	decode := NewDecode(ServingH200(1))
	for _, at := range []float64{10, 86400} {
		b.Run(fmt.Sprintf("%gs", at), func(b *testing.B) {
			for b.Loop() {
				decode.EnergyJoules(at)
			}
		})
	}
}
