//go:build linux && cgo

package nvmldouble

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

func TestTraceIsTheIntegralOfItsPower(t *testing.T) {
	traces := map[string]struct {
		trace Trace
		watts func(t float64) float64
	}{
		"steps": {
			Trace{Steps: []Step{{2 * time.Second, 100}, {5 * time.Second, 700}, {6500 * time.Millisecond, 80}}},
			func(t float64) float64 {
				switch {
				case t < 5:
					return 100
				case t < 6.5:
					return 700
				}
				return 80
			},
		},
		"sine": {
			Trace{Sine: Sine{Mean: 400, Amplitude: 300, Period: 700 * time.Millisecond}},
			func(t float64) float64 { return 400 + 300*math.Sin(2*math.Pi*t/0.7) },
		},
		"decode": {
			Trace{Decode: Decode{
				Idle: 80, Prefill: 690, Plateau: 470, PrefillTime: 300 * time.Millisecond,
				BusyTime: 1700 * time.Millisecond, Period: 2 * time.Second, Start: time.Second,
			}},
			func(t float64) float64 {
				switch x := math.Mod(t-1, 2); {
				case t < 1:
					return 80
				case x < 0.3:
					return 690
				case x < 1.7:
					return 470
				}
				return 80
			},
		},
		"sum": {
			Trace{Steps: []Step{{0, 50}}, Sine: Sine{Mean: 0, Amplitude: 10, Period: 3 * time.Second}},
			func(t float64) float64 { return 50 + 10*math.Sin(2*math.Pi*t/3) },
		},
	}
	const dt = 1e-4
	for name, test := range traces {
		sum := 0.0
		for i := range 120_000 { // to 12 s, by the midpoint rule
			if i%7_000 == 0 {
				at := time.Duration(float64(i) * dt * 1e9)
				if got := test.trace.Joules(at); math.Abs(got-sum) > 0.1 {
					t.Errorf("%s: Joules(%v) = %v, numeric integral %v", name, at, got, sum)
				}
			}
			sum += test.watts((float64(i)+0.5)*dt) * dt
		}
		if got, want := test.trace.Joules(-time.Second), -test.watts(-0.5); name != "sine" && name != "sum" && math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: Joules(-1s) = %v, want %v", name, got, want)
		}
	}
}

// The C side's integral is the Go side's: with a tick of 1 ns the counter is the truth itself.
func TestCounterIsTheTrueEnergy(t *testing.T) {
	traces := []Trace{
		Constant(512.5),
		{Steps: []Step{{0, 100}, {99 * time.Second, 700}, {100 * time.Second, 80}, {101 * time.Second, 333}}},
		{Sine: Sine{Mean: 400, Amplitude: 300, Period: 70 * time.Millisecond}},
		{Decode: Decode{
			Idle: 80, Prefill: 690, Plateau: 470, PrefillTime: 3 * time.Millisecond,
			BusyTime: 17 * time.Millisecond, Period: 20 * time.Millisecond, Start: 50 * time.Second,
		}},
	}
	script := Script{Origin: ago(100 * time.Second)}
	for _, trace := range traces {
		script.GPUs = append(script.GPUs, GPU{Power: trace, CounterPeriod: time.Nanosecond})
	}
	library := open(t, script)
	for i := range traces {
		for range 50 {
			got, before, after := counter(t, gpu(t, library, i))
			// the double ties its clocks to within some µs
			least := script.TrueJoules(i, script.Origin, before.Add(-50*time.Microsecond)) - 0.001
			most := script.TrueJoules(i, script.Origin, after.Add(50*time.Microsecond)) + 0.001
			if got < least || got > most {
				t.Fatalf("GPU %d: counter %v J, truth between %v and %v", i, got, least, most)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func TestCounterTicks(t *testing.T) {
	script := Script{Origin: ago(time.Minute), GPUs: []GPU{{
		Power: Constant(500), CounterPeriod: 100 * time.Millisecond, CounterPhase: 37 * time.Millisecond, CounterBaseJoules: 1e6,
	}}}
	device := gpu(t, open(t, script), 0)
	seen := map[float64]bool{}
	begin := time.Now()
	for range 60 {
		got, before, after := counter(t, device)
		atTick := func(when time.Time) float64 {
			const phase = 37 * time.Millisecond
			tick := (when.Sub(script.Origin) - phase).Truncate(100*time.Millisecond) + phase
			return 1e6 + 500*tick.Seconds()
		}
		least, most := atTick(before.Add(-50*time.Microsecond)), atTick(after.Add(50*time.Microsecond)) // a tick may fall into the call
		if got < least-0.002 || got > most+0.002 || math.Abs(math.Remainder(got-least, 50)) > 0.002 {
			t.Errorf("counter = %v at %v, want %v to %v", got, after.Sub(script.Origin), least, most)
		}
		seen[got] = true
		time.Sleep(5 * time.Millisecond)
	}
	// In 0.3 s there are three ticks; a machine that is slow may look on for longer, and miss some.
	if took := time.Since(begin); len(seen) < 3 || len(seen) > int(took/(100*time.Millisecond))+2 {
		t.Errorf("%d values in %v, want one per tick", len(seen), took)
	}
}

func TestCounterFaults(t *testing.T) {
	const before = 100 * time.Second // the origin; the faults lie between it and now
	for _, test := range []struct {
		name  string
		fault Fault
		want  float64 // J at 100 s, of 500 W
	}{
		{"none", Hangs("nothing"), 50_000},
		{"reset", CounterReset(90 * time.Second), 5_000},
		{"scaled for ever", CounterScaled(0.5), 25_000},
		{"scaled for a while", CounterScaled(1.3).From(10 * time.Second).To(30 * time.Second), 53_000},
		{"frozen", CounterFrozen().From(40 * time.Second), 20_000},
		{"frozen and caught up", CounterFrozen().From(40 * time.Second).To(50 * time.Second), 50_000},
		{"grows per read", CounterGrowsPerRead(1e6), 1_050_000},
	} {
		t.Run(test.name, func(t *testing.T) {
			script := Script{Origin: ago(before), GPUs: []GPU{{Power: Constant(500), Faults: []Fault{test.fault}}}}
			device := gpu(t, open(t, script), 0)
			got, _, _ := counter(t, device)
			if test.name == "grows per read" { // reads are counted since the library was loaded
				next, _, _ := counter(t, device)
				got = 50_000 + next - got
			}
			if late := 500 * time.Since(script.Origin.Add(before)).Seconds(); math.Abs(got-test.want) > 51+1.3*late {
				t.Errorf("counter = %v, want %v", got, test.want)
			}
		})
	}
}

func TestSensorsLag(t *testing.T) {
	// At 100 s the power steps from 100 to 500 W; look 0.4 s later.
	script := Script{GPUs: []GPU{{Power: Trace{Steps: []Step{{0, 100}, {100 * time.Second, 500}}}, Scopes: 3, ModuleExtraWatts: 70}}}
	device := gpu(t, open(t, script), 0)
	values := []nvml.FieldValue{{FieldId: 185}, {FieldId: 186}, {FieldId: 186, ScopeId: 1}, {FieldId: 188}}
	for tries := 0; ; tries++ {
		script.Origin = ago(100*time.Second + 450*time.Millisecond)
		play(t, script)
		if ret := device.GetFieldValues(values); ret != nvml.SUCCESS {
			t.Fatal(int(ret))
		}
		if age := time.Since(script.Origin) - 100*time.Second; age < 490*time.Millisecond {
			break
		} else if tries == 50 {
			t.Fatalf("always too late, the last time by %v", age-490*time.Millisecond)
		}
	}
	for i, want := range []uint32{100_000*6/10 + 500_000*4/10, 500_000, 570_000} {
		if got := binary.NativeEndian.Uint32(values[i].Value[:]); max(got, want)-min(got, want) > 1 {
			t.Errorf("field %d scope %d = %d mW, want %d", values[i].FieldId, values[i].ScopeId, got, want)
		}
	}
	if values[3].NvmlReturn != uint32(nvml.ERROR_NOT_SUPPORTED) {
		t.Errorf("field 188: %d", values[3].NvmlReturn)
	}
}
