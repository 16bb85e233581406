package agg_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/agg"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// recordedWindow is a window over simulated GPUs, and its file.
func recordedWindow(t *testing.T, from, to float64) (agg.WindowFile, window.Recorded, window.Window) {
	t.Helper()
	var src window.Recorded
	var w window.Window
	for i := range 2 {
		gpu := sim.New(sim.Config{Index: i, Load: sim.NewDecode(sim.ServingH200(uint64(i)))})
		src = append(src, gpu.Series(-20*time.Second, 100*time.Second, time.Second))
		w = window.Window{Run: "r1", Start: gpu.Moment(from), End: gpu.Moment(to)}
	}
	limits := window.Limits{MaxGap: window.DefaultMaxGap, AllowSimulated: true}
	result := agg.Conclude(src, w, limits, nil)
	return agg.WindowFile{Result: result, Limits: limits, Series: slices.Collect(agg.Kept(src, w))}, src, w
}

// The file alone gives the numbers again, with the marks and with a benchmark's own window inside them.
func TestWindowFileMeasuresAgain(t *testing.T) {
	file, src, w := recordedWindow(t, 10.3, 40.7)
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	var back agg.WindowFile
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back.Series, file.Series) || back.Limits != file.Limits {
		t.Error("readings or limits changed on the way through the file")
	}
	start := w.Start.Unix() + 1.5
	benchmark := agg.Benchmark{
		Start: sampler.Some(start), End: sampler.Some(start + 20), Duration: sampler.Some(20), HasWindow: true,
	}
	for _, b := range []*agg.Benchmark{nil, &benchmark} {
		want := agg.Conclude(src, w, file.Limits, b)
		got := agg.Conclude(window.Recorded(back.Series), back.Window(), back.Limits, b)
		if got.Energy() != want.Energy() || got.Bound() != want.Bound() || got.Duration() != want.Duration() || !got.Valid() {
			t.Errorf("from the file %v J ± %v, reasons %v; want %v ± %v", got.Energy(), got.Bound(), got.AllReasons(), want.Energy(), want.Bound())
		}
	}
}

func TestWindowFileKeepsEveryReading(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	some := func() sampler.Value {
		if rng.IntN(4) == 0 {
			return sampler.Value{}
		}
		return sampler.Some(number(rng))
	}
	gauge := func() sampler.Gauge {
		if rng.IntN(4) == 0 {
			return sampler.Gauge{}
		}
		return sampler.SomeGauge(number(rng))
	}
	var readings []sampler.Reading
	for range 3000 {
		r := sampler.Reading{
			At:   sampler.Moment{UnixNano: rng.Int64(), MonoNano: rng.Int64()},
			Call: time.Duration(rng.Int64N(1e9)), PowerWatts: some(), InstantWatts: some(), EnergyJoules: some(),
			TemperatureC: gauge(), ClockMHz: gauge(), MemoryClockMHz: gauge(), Utilization: gauge(),
			MemoryUtilization: gauge(), Stretched: rng.IntN(2) == 0,
		}
		if r.ThrottleKnown = rng.IntN(2) == 0; r.ThrottleKnown {
			r.Throttle = sampler.Throttle(rng.Uint32())
		}
		readings = append(readings, r)
	}
	file := agg.WindowFile{Series: []sampler.Series{{Info: sampler.Info{UUID: "GPU-1"}, Readings: readings}}}
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	var back agg.WindowFile
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	for i, got := range back.Series[0].Readings {
		if got != readings[i] {
			t.Fatalf("reading %d = %+v, want %+v", i, got, readings[i])
		}
	}
}

// number is of any kind that drivers give or could: whole milliwatts, halves of the last digit, huge, tiny, negative, −0.
func number(rng *rand.Rand) float64 {
	x := math.Pow(10, float64(rng.IntN(40)-15)) * rng.NormFloat64()
	switch whole := float64(rng.Int64N(1 << uint(1+rng.IntN(55)))); rng.IntN(6) {
	case 0:
		return whole / 1000
	case 1:
		return -whole / 1000
	case 2:
		return math.Nextafter(whole/1000, math.Inf(1))
	case 3:
		return whole / 10000
	case 4:
		return math.Copysign(float64(rng.IntN(2)), x)
	default:
		return x
	}
}

// Numbers are as short as they can be: a utilisation of 0.98 is held in 32 bits, and files of before had it as
// 0.9800000190734863, which reads the same.
func TestWindowFileNumbersAreShort(t *testing.T) {
	reading := sampler.Reading{
		PowerWatts: sampler.Some(651.5), InstantWatts: sampler.Some(12.34), EnergyJoules: sampler.Some(123456789.123),
		TemperatureC: sampler.SomeGauge(61), ClockMHz: sampler.SomeGauge(1980), Utilization: sampler.SomeGauge(0.98),
	}
	text, err := json.Marshal(agg.WindowFile{Series: []sampler.Series{{Readings: []sampler.Reading{reading}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"power_w":[651.5]`, `"instant_power_w":[12.34]`, `"energy_counter_j":[123456789.123]`, `"temperature_c":[61]`,
		`"clock_mhz":[1980]`, `"memory_clock_mhz":[null]`, `"utilization_ratio":[0.98]`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s\nwant %s in it", text, want)
		}
	}
	var old agg.WindowFile
	if err := json.Unmarshal([]byte(strings.Replace(string(text), "[0.98]", "[0.9800000190734863]", 1)), &old); err != nil {
		t.Fatal(err)
	}
	if got := old.Series[0].Readings[0]; got != reading {
		t.Errorf("read from an older file: %+v, want %+v", got, reading)
	}
}

func TestWindowFileRefusesColumnsOfDifferentLength(t *testing.T) {
	file, _, _ := recordedWindow(t, 1, 5)
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	cut := strings.Replace(string(text), `"power_w":[`, `"power_w":[1,`, 1)
	if err := json.Unmarshal([]byte(cut), &agg.WindowFile{}); err == nil {
		t.Error("a column that is longer than the others was accepted")
	}
}

// Marks that enclose more than the benchmark says it measured are a note where its result has no window of its own.
func TestDurationDiffers(t *testing.T) {
	_, src, w := recordedWindow(t, 10, 40)
	for duration, want := range map[float64]bool{30: false, 30.4: false, 29.4: true, 12: true, 31: true} {
		b := agg.Benchmark{Duration: sampler.Some(duration)}
		r := agg.Conclude(src, w, window.Limits{AllowSimulated: true}, &b)
		if got := slices.Contains(r.AllNotes(), window.DurationDiffers); got != want || !r.Valid() {
			t.Errorf("30 s window, duration %v s: notes %v, reasons %v", duration, r.AllNotes(), r.AllReasons())
		}
	}
}
