package sampler

import (
	"bytes"
	"encoding/json"
	"math"
)

// Value is a measured number that may be missing. The zero Value is missing, so that nothing is ever read as 0 by
// default; 0 itself is a number like any other. Value is 8 bytes: a day of readings of eight GPUs stays in memory.
type Value struct {
	// The complement of the IEEE 754 bits: the zero Value then has the bits of a NaN, which no measurement has.
	bits uint64
}

// Some returns x as a Value. NaN and infinities are not measurements: they come out missing.
func Some(x float64) Value {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return Value{}
	}
	return Value{^math.Float64bits(x)}
}

// Known returns the number and true, or 0 and false if it is missing.
func (v Value) Known() (float64, bool) {
	if v.bits == 0 {
		return 0, false
	}
	return math.Float64frombits(^v.bits), true
}

// OK reports whether the value is present.
func (v Value) OK() bool { return v.bits != 0 }

// Or returns the number, or alt if it is missing.
func (v Value) Or(alt float64) float64 {
	if x, ok := v.Known(); ok {
		return x
	}
	return alt
}

// MarshalJSON writes a missing value as null.
func (v Value) MarshalJSON() ([]byte, error) {
	x, ok := v.Known()
	if !ok {
		return []byte("null"), nil
	}
	return json.Marshal(x)
}

// UnmarshalJSON reads null as missing.
func (v *Value) UnmarshalJSON(text []byte) error {
	if bytes.Equal(text, []byte("null")) {
		*v = Value{}
		return nil
	}
	var x float64
	if err := json.Unmarshal(text, &x); err != nil {
		return err
	}
	*v = Some(x)
	return nil
}

// Gauge is a Value at single precision, for the context of a measurement (temperature, clocks, utilisation), which
// drivers give as small whole numbers. Power and energy are never Gauges.
type Gauge struct{ bits uint32 }

// SomeGauge returns x as a Gauge; NaN and infinities come out missing.
func SomeGauge(x float64) Gauge {
	f := float32(x)
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return Gauge{}
	}
	return Gauge{^math.Float32bits(f)}
}

// Value returns the gauge as a Value.
func (g Gauge) Value() Value {
	if g.bits == 0 {
		return Value{}
	}
	return Some(float64(math.Float32frombits(^g.bits)))
}
