package sampler_test

import (
	"encoding/json"
	"math"
	"testing"

	"wattmark/sampler"
)

func TestZeroValueIsMissing(t *testing.T) {
	var v sampler.Value
	if x, ok := v.Known(); ok || x != 0 || v.OK() || v.Or(7) != 7 {
		t.Errorf("zero Value = %v, %v, OK %v, Or(7) %v; want missing", x, ok, v.OK(), v.Or(7))
	}
	var g sampler.Gauge
	if g.Value().OK() {
		t.Errorf("zero Gauge = %v, want missing", g.Value())
	}
}

func TestSomeKeepsEveryNumber(t *testing.T) {
	for _, x := range []float64{
		0, math.Copysign(0, -1), 1, -1, 0.1, 1e-300, math.SmallestNonzeroFloat64, math.MaxFloat64, -math.MaxFloat64, 123456789.123,
	} {
		got, ok := sampler.Some(x).Known()
		if !ok || math.Float64bits(got) != math.Float64bits(x) {
			t.Errorf("Some(%v) = %v, %v; want the number to the bit", x, got, ok)
		}
		if sampler.Some(x).Or(7) != x {
			t.Errorf("Some(%v).Or(7) = %v", x, sampler.Some(x).Or(7))
		}
		if f := float32(x); !math.IsInf(float64(f), 0) {
			got, ok := sampler.SomeGauge(x).Value().Known()
			if !ok || got != float64(f) {
				t.Errorf("SomeGauge(%v) = %v, %v; want %v", x, got, ok, f)
			}
		}
	}
}

func TestNaNAndInfinityAreMissing(t *testing.T) {
	for _, x := range []float64{math.NaN(), -math.NaN(), math.Float64frombits(^uint64(0)), math.Inf(1), math.Inf(-1)} {
		if v := sampler.Some(x); v.OK() {
			t.Errorf("Some(%v) = %v, want missing", x, v)
		}
		if v := sampler.SomeGauge(x).Value(); v.OK() {
			t.Errorf("SomeGauge(%v) = %v, want missing", x, v)
		}
	}
	if v := sampler.SomeGauge(1e300).Value(); v.OK() {
		t.Errorf("SomeGauge(1e300) = %v, want missing: it is infinite at single precision", v)
	}
}

func TestValueJSON(t *testing.T) {
	for _, test := range []struct {
		value sampler.Value
		text  string
	}{
		{sampler.Value{}, "null"},
		{sampler.Some(0), "0"},
		{sampler.Some(math.Copysign(0, -1)), "-0"},
		{sampler.Some(-1.5), "-1.5"},
		{sampler.Some(0.1), "0.1"},
		{sampler.Some(1e21), "1e+21"},
		{sampler.Some(math.MaxFloat64), "1.7976931348623157e+308"},
	} {
		text, err := json.Marshal(test.value)
		if err != nil || string(text) != test.text {
			t.Errorf("Marshal = %s, %v; want %s", text, err, test.text)
		}
		back := sampler.Some(99)
		if err := json.Unmarshal([]byte(test.text), &back); err != nil || back != test.value {
			t.Errorf("Unmarshal(%s) = %v, %v; want %v", test.text, back, err, test.value)
		}
	}
	for _, bad := range []string{`"1"`, "true", "[]", "1e999"} {
		var v sampler.Value
		if err := json.Unmarshal([]byte(bad), &v); err == nil {
			t.Errorf("Unmarshal(%s) = %v, want an error", bad, v)
		}
	}
}

func TestPowerIsTheClosestToTheInstant(t *testing.T) {
	some := sampler.Some
	for _, test := range []struct {
		reading sampler.Reading
		want    sampler.Value
	}{
		{sampler.Reading{PowerWatts: some(500), InstantWatts: some(600)}, some(600)},
		{sampler.Reading{PowerWatts: some(500), InstantWatts: some(0)}, some(0)},
		{sampler.Reading{PowerWatts: some(500)}, some(500)},
		{sampler.Reading{}, sampler.Value{}},
	} {
		if got := test.reading.Power(); got != test.want {
			t.Errorf("Power of %+v = %v, want %v", test.reading, got, test.want)
		}
	}
}
