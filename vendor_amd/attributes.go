package amd

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Attributes of gpu_metrics v1.9 that are read, by their number.
const (
	attributeHotspot        = 0
	attributePower          = 3
	attributeActivity       = 4
	attributeMemoryActivity = 5
	attributeEnergy         = 7
	attributeStamp          = 8
	attributeClock          = 33 // one value per compute die
	attributeMemory         = 37
)

// unitWatt is the unit code that a power attribute must have.
const unitWatt = 3

// parseAttributes reads gpu_metrics v1.9: after the header and an i32 number of attributes, each is a u64
// (unit<<24 | type<<20 | id<<10 | count) and count packed values. Attributes that are not known are stepped over, so
// that later drivers may add some.
func parseAttributes(b []byte, name string) (sample, error) {
	s := sample{table: name}
	short := func() (sample, error) {
		return sample{}, fmt.Errorf("gpu_metrics v%s: %w in its attributes", name, ErrTableShort)
	}
	if len(b) < 8 {
		return short()
	}
	attributes := int32(binary.LittleEndian.Uint32(b[4:]))
	counts, stamp := uint64(math.MaxUint64), uint64(math.MaxUint64)
	rest := b[8:]
	for range attributes {
		if len(rest) < 8 {
			return short()
		}
		head := binary.LittleEndian.Uint64(rest)
		unit, kind, id, count := head>>24, head>>20&0xF, head>>10&0x3FF, int(head&0x3FF)
		width := 1 << (kind >> 1) // U8, S8, U16, S16, U32, S32, U64, S64
		if kind > 7 {
			return sample{}, fmt.Errorf("gpu_metrics v%s: attribute %d: %w: type %d", name, id, ErrTableUnknown, kind)
		}
		rest = rest[8:]
		if len(rest) < count*width {
			return short()
		}
		values := rest[:count*width]
		rest = rest[count*width:]
		if count == 0 {
			continue
		}
		x, ok := first(values, width)
		switch id {
		case attributeHotspot:
			s.temperatureC = gauge(float64(x), ok)
		case attributePower:
			s.setPower(float64(x), ok && unit == unitWatt, sensorSocket)
		case attributeActivity:
			s.utilization = share(float64(x), ok)
		case attributeMemoryActivity:
			s.memoryUtilization = share(float64(x), ok)
		case attributeEnergy:
			if ok {
				counts = x
			}
		case attributeStamp:
			if ok {
				stamp = x
			}
		case attributeClock:
			s.clockMHz = gauge(float64(x), ok)
		case attributeMemory:
			s.memoryMHz = gauge(float64(x), ok)
		}
	}
	s.setEnergy(counts, stamp)
	return s, nil
}

// first returns the first of some little-endian values; all ones mean "not available".
func first(values []byte, width int) (uint64, bool) {
	x := uint64(0)
	for i := width - 1; i >= 0; i-- {
		x = x<<8 | uint64(values[i])
	}
	return x, x != math.MaxUint64>>(64-8*width)
}
