//go:build linux && cgo

package nvidia

import (
	"encoding/binary"
	"math"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wattmark/sampler"
)

// support is what is known of whether a GPU has a sensor. Only a GPU that never answered can be found to lack it, and
// only by saying so: an error such as "GPU is lost" decides nothing.
type support uint8

const (
	untried support = iota
	answers
	refused
)

// note takes in the outcome of a call, and reports whether it showed that the sensor is lacking.
func (s *support) note(code Code) bool {
	switch {
	case code == 0:
		*s = answers
	case *s == untried && code.refusal():
		*s = refused
		return true
	}
	return false
}

// sensor is one number that NVML gives, in one way of asking.
type sensor struct {
	support support
	code    Code          // of the last try; NotSupported where it is not asked
	value   sampler.Value // of the last try, in W or J
}

// set takes in a number in mW or mJ.
func (s *sensor) set(milli float64, code Code) (lacking bool) {
	s.code, s.value = code, sampler.Value{}
	if code == 0 {
		s.value = sampler.Some(milli / 1000)
	}
	return s.support.note(code)
}

// lacks makes a sensor one that is never asked.
func (s *sensor) lacks() { *s = sensor{support: refused, code: NotSupported} }

// orElse returns the sensor's value. Where the driver says that it does not support it, it returns that of the
// fallback, which is asked then.
func (s *sensor) orElse(fallback *sensor, ask func() (float64, Code)) sampler.Value {
	if s.code.refusal() && fallback.support != refused {
		fallback.set(ask())
		return fallback.value
	}
	return s.value
}

// field is a sensor that GetFieldValues gives.
type field struct {
	sensor
	id, scope uint32
}

// milli returns the number in a field's answer, which NVML types at run time.
func milli(f nvml.FieldValue) (float64, Code) {
	if code := Code(int32(f.NvmlReturn)); code != 0 {
		return 0, code
	}
	return number(nvml.ValueType(f.ValueType), f.Value)
}

// number returns the number in a union of NVML's.
func number(kind nvml.ValueType, value [8]byte) (float64, Code) {
	bits := binary.NativeEndian.Uint64(value[:])
	half := binary.NativeEndian.Uint32(value[:])
	switch kind {
	case nvml.VALUE_TYPE_UNSIGNED_INT:
		return float64(half), 0
	case nvml.VALUE_TYPE_SIGNED_INT:
		return float64(int32(half)), 0
	case nvml.VALUE_TYPE_UNSIGNED_LONG, nvml.VALUE_TYPE_UNSIGNED_LONG_LONG:
		return float64(bits), 0
	case nvml.VALUE_TYPE_SIGNED_LONG_LONG:
		return float64(int64(bits)), 0
	case nvml.VALUE_TYPE_UNSIGNED_SHORT:
		return float64(binary.NativeEndian.Uint16(value[:])), 0
	case nvml.VALUE_TYPE_DOUBLE:
		return math.Float64frombits(bits), 0
	}
	return 0, NotSupported
}
