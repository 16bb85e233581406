package sim

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/sampler"
)

func parse(t *testing.T, text string) []*GPU {
	t.Helper()
	gpus, err := Parse(text, "h", sampler.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	return gpus
}

func TestParseChoosesModelAndLoad(t *testing.T) {
	for _, test := range []struct {
		spec  string
		count int
		model string
		watts map[float64]float64 // by time in s
	}{
		{"4xH100,load=constant,watts=500", 4, "NVIDIA H100 80GB HBM3", map[float64]float64{0: 500, 1e6: 500}},
		{"1xa100,load=constant", 1, "NVIDIA A100-SXM4-80GB", map[float64]float64{0: 360}},
		{"2xA100,load=sine,watts=400,period=4s", 2, "NVIDIA A100-SXM4-80GB", map[float64]float64{0: 230, 1: 400, 3: 60}},
		{"1xH200,load=step", 1, "NVIDIA H200", map[float64]float64{9.9: 78, 10: 630}},
		{"1xH200,start=0s,load=step", 1, "NVIDIA H200", map[float64]float64{-1: 78, 0: 630}},
		{"1xH200,load=step,start=5s,end=8s", 1, "NVIDIA H200", map[float64]float64{4: 78, 5: 630, 8: 78}},
		{"1xB200,load=ramp,watts=940", 1, "NVIDIA B200", map[float64]float64{0: 140, 30: 540, 60: 940, 99: 940}},
		{"1xB200,load=ramp,watts=940,start=10s,period=10s,end=30s", 1, "NVIDIA B200", map[float64]float64{5: 140, 15: 540, 25: 940, 30: 140}},
		{"1xL40S,load=square,watts=300", 1, "NVIDIA L40S", map[float64]float64{0.2: 300, 0.7: 35, 7.2: 300}},
		{"1xMI300X,load=constant,end=9s", 1, "AMD Instinct MI300X", map[float64]float64{1: 675, 9: 140}},
		{"8xH200, load=decode, start=10s, end=70s", 8, "NVIDIA H200", map[float64]float64{}},
	} {
		gpus := parse(t, test.spec)
		if len(gpus) != test.count || gpus[0].Info().Model != test.model {
			t.Errorf("%s: %d × %s, want %d × %s", test.spec, len(gpus), gpus[0].Info().Model, test.count, test.model)
		}
		for at, want := range test.watts {
			for i, gpu := range gpus {
				if got := gpu.Load().PowerWatts(at); math.Abs(got-want) > 1e-9 {
					t.Errorf("%s: power of GPU %d at %g s = %g W, want %g", test.spec, i, at, got, want)
				}
			}
		}
	}
}

func TestParsedGPUsDiffer(t *testing.T) {
	gpus := parse(t, "8xH200,load=decode,seed=7")
	var ids []string
	for i, gpu := range gpus {
		ids = append(ids, gpu.Info().ID())
		if got := gpu.Load().EnergyJoules(3600) / 3600; got < 540 || got > 620 {
			t.Errorf("GPU %d: average of an hour = %g W, want about 580", i, got)
		}
		if i > 0 && gpu.At(10).EnergyJoules == gpus[0].At(10).EnergyJoules {
			t.Errorf("GPU %d shows the same energy as GPU 0", i)
		}
	}
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) != 8 {
		t.Errorf("%d different identities, want 8: %v", len(ids), ids)
	}
	if other := parse(t, "8xH200,seed=8"); other[0].Load().EnergyJoules(10) == gpus[0].Load().EnergyJoules(10) {
		t.Error("seeds 7 and 8 give the same load")
	}
}

func TestParseFaults(t *testing.T) {
	const s = time.Second
	for text, want := range map[string]Fault{
		"drop:10s-15s":        Drop(10*s, 15*s),
		"hang:10s-1m":         Hang(10*s, 60*s),
		"lost:10s":            Lost(10 * s),
		"call:20ms":           CallTime(20 * time.Millisecond),
		"nopower":             PowerMissing(math.MinInt64, math.MaxInt64),
		"nopower:1s-2s":       PowerMissing(s, 2*s),
		"spike:10s-15s:5000":  PowerSpike(10*s, 15*s, 5000),
		"nocounter:10s-15.5s": CounterMissing(10*s, 15500*time.Millisecond),
		"reset:10s":           CounterReset(10 * s),
		"scale:0.5":           CounterScale(0.5),
		"frozen:10s-15s":      CounterFrozen(10*s, 15*s),
	} {
		gpus := parse(t, "2xH200,fault="+text+"@1,fault=lost:1h")
		if got := gpus[0].faults; len(got) != 1 || got[0] != Lost(time.Hour) {
			t.Errorf("%s: GPU 0 has %v, want what is for all", text, got)
		}
		if got := gpus[1].faults; len(got) != 2 || got[0] != want {
			t.Errorf("%s: GPU 1 has %v, want %v first", text, got, want)
		}
	}
	gpus := parse(t, "2xH200,fault=nocounter@1")
	if !gpus[0].Info().HasCounter || gpus[1].Info().HasCounter || gpus[1].At(5).EnergyJoules.OK() {
		t.Error("nocounter@1: want a counter on GPU 0 only")
	}
}

func TestParseSaysWhatIsAllowed(t *testing.T) {
	for spec, want := range map[string]string{
		"":                                "want COUNTxMODEL, such as 8xH200",
		"H200":                            "want COUNTxMODEL",
		"0xH200":                          `count "0": want 1 to 64`,
		"65xH200":                         "want 1 to 64",
		"8xV100":                          "known are H100, H200, B200, A100, L40S, MI300X",
		"8xH200,load=dcode":               "load=dcode: want decode, constant, step, ramp, sine or square",
		"8xH200,watt=3":                   "known are load, watts, period, start, end, seed, host and fault",
		"8xH200,watts=-3":                 "want a number from 1 to 10000",
		"8xH200,watts=NaN":                "want a number from 1 to 10000",
		"8xH200,seed=x":                   "want a whole number",
		"8xH200,host=":                    "want a name",
		"8xH200,period=3":                 "such as 10s",
		"8xH200,period=2h":                "want a time from 1ms to 1h",
		"8xH200,start=9s,end=5s":          "end 5s is not after start 9s",
		"8xH200,load=step,end=5s":         "end 5s is not after start 10s",
		"8xH200,fault=fire":               "want drop:FROM-TO, hang:FROM-TO",
		"8xH200,fault=drop:10s":           "such as 10s",
		"8xH200,fault=drop:10s-5s":        "want a time from 10.000000001s",
		"8xH200,fault=drop:1s-5s:3":       "after the span",
		"8xH200,fault=lost:1s@8":          "@8: want an index from 0 to 7",
		"8xH200,fault=spike:1s-5s":        "want a number",
		"8xH200,fault=scale:x":            "want a number from 0 to 100",
		"8xH200,,":                        "unknown option",
		strings.Repeat("9", 30) + "xH200": "want 1 to 64",
	} {
		_, err := Parse(spec, "h", sampler.NewClock())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): err = %v, want it to say %q", spec, err, want)
		}
	}
}

func TestNewPanicsOnAnUnknownModel(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("want a panic")
		}
	}()
	New(Config{Model: "V100"})
}

// FuzzParse: what is accepted gives finite readings, and a truth that never falls.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"8xH200", "2xA100,load=sine,period=1ms", "1xMI300X,load=ramp,start=1s", "3xH200,fault=hang:1s-2s@2,seed=9",
		"1xL40S,load=square,watts=1e3,period=1h,end=1ns", "1xB200,fault=spike:0s-1h:1e6,fault=scale:0,fault=reset:5s",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		gpus, err := Parse(text, "h", sampler.NewClock())
		if err != nil {
			return
		}
		gpu := gpus[len(gpus)-1]
		last := gpu.Load().EnergyJoules(-1)
		for _, at := range []float64{0, 1e-9, 0.5, 1, 59.99, 3600, 1e7} {
			joules := gpu.Load().EnergyJoules(at)
			if math.IsNaN(joules) || joules < last-1e-6 || gpu.Load().PowerWatts(at) < 0 {
				t.Fatalf("%q: energy at %g s = %g J after %g, power %g W", text, at, joules, last, gpu.Load().PowerWatts(at))
			}
			last = joules
			reading := gpu.At(at)
			if reading.EnergyJoules.Or(0) < 0 || reading.PowerWatts.Or(0) < 0 {
				t.Fatalf("%q: reading at %g s = %+v", text, at, reading)
			}
		}
	})
}

func TestParseHost(t *testing.T) {
	if got := parse(t, "2xH200,host=n7")[1].Info().Host; got != "n7" {
		t.Errorf("host = %q, want n7", got)
	}
	if got := parse(t, "2xH200")[1].Info().Host; got == "n7" || got == "" {
		t.Errorf("host = %q, want the one that the program is on", got)
	}
}
