package sysfsdouble

import (
	"encoding/binary"
	"fmt"
)

// Values are what a gpu_metrics table says. A field of a table that is not in Values is "not available" (all ones).
type Values struct {
	Watts      uint16 // socket power
	Counts     uint64 // energy in 2^-16 J
	Stamp      uint64 // CLOCK_BOOTTIME in ns
	Hotspot    uint16 // °C
	Memory     uint16 // °C
	Busy       uint16 // % of the graphics engine
	MemoryBusy uint16 // % of the memory controller
	Clock      uint16 // MHz, of the first compute die
	Uclk       uint16 // MHz, of the memory
}

// offsets of the fields in the tables whose place is fixed.
type offsets struct{ size, power, energy, stamp, hotspot, memory, busy, clock, uclk int }

func layout(revision int) (offsets, bool) {
	switch revision {
	case 3:
		return offsets{120, 22, 24, 32, 6, 8, 16, 54, 58}, true
	case 4:
		return offsets{288, 10, 24, 32, 4, 6, 12, 240, 280}, true
	case 5:
		return offsets{360, 10, 88, 96, 4, 6, 12, 312, 352}, true
	case 6:
		return offsets{1664, 10, 16, 24, 4, 6, 12, 264, 304}, true
	case 7:
		return offsets{2208, 10, 24, 32, 4, 6, 12, 296, 336}, true
	case 8:
		return offsets{3872, 10, 24, 32, 4, 6, 12, 296, 336}, true
	}
	return offsets{}, false
}

// Table returns the bytes of gpu_metrics v1.revision: 3 to 9, or another number for a table of the future, which has
// the length of v1.8 and sense in no field.
func Table(revision int, v Values) []byte {
	if revision == 9 {
		return attributes(v)
	}
	o, ok := layout(revision)
	if !ok {
		o.size = 3872
	}
	b := make([]byte, o.size)
	for i := range b {
		b[i] = 0xFF
	}
	binary.LittleEndian.PutUint16(b, uint16(o.size))
	b[2], b[3] = 1, byte(revision)
	if !ok {
		return b
	}
	binary.LittleEndian.PutUint16(b[o.power:], v.Watts)
	binary.LittleEndian.PutUint64(b[o.energy:], v.Counts)
	binary.LittleEndian.PutUint64(b[o.stamp:], v.Stamp)
	binary.LittleEndian.PutUint16(b[o.hotspot:], v.Hotspot)
	binary.LittleEndian.PutUint16(b[o.memory:], v.Memory)
	binary.LittleEndian.PutUint16(b[o.busy:], v.Busy)
	binary.LittleEndian.PutUint16(b[o.busy+2:], v.MemoryBusy)
	binary.LittleEndian.PutUint16(b[o.clock:], v.Clock)
	binary.LittleEndian.PutUint16(b[o.uclk:], v.Uclk)
	return b
}

// attributes returns a v1.9 table: a header and self-describing attributes, some of which no reader knows.
func attributes(v Values) []byte {
	const typeU16, typeU32, typeU64 = 3, 5, 7
	const none, megahertz, celsius, watt, nanosecond, percent = 0, 1, 2, 3, 4, 10
	var body []byte
	count := int32(0)
	attribute := func(unit, kind, id uint64, values ...uint64) {
		body = binary.LittleEndian.AppendUint64(body, unit<<24|kind<<20|id<<10|uint64(len(values)))
		for _, value := range values {
			switch kind {
			case typeU16:
				body = binary.LittleEndian.AppendUint16(body, uint16(value))
			case typeU32:
				body = binary.LittleEndian.AppendUint32(body, uint32(value))
			default:
				body = binary.LittleEndian.AppendUint64(body, value)
			}
		}
		count++
	}
	attribute(celsius, typeU16, 0, uint64(v.Hotspot))
	attribute(celsius, typeU16, 1, uint64(v.Memory))
	attribute(none, typeU32, 900, 1, 2, 3) // nobody knows this one
	attribute(watt, typeU16, 3, uint64(v.Watts))
	attribute(percent, typeU16, 4, uint64(v.Busy))
	attribute(percent, typeU16, 5, uint64(v.MemoryBusy))
	attribute(none, typeU64, 7, v.Counts)
	attribute(nanosecond, typeU64, 8, v.Stamp)
	attribute(megahertz, typeU16, 33, uint64(v.Clock), uint64(v.Clock), 0xFFFF, 0xFFFF)
	attribute(megahertz, typeU16, 37, uint64(v.Uclk))
	header := binary.LittleEndian.AppendUint16(nil, uint16(8+len(body)))
	header = append(header, 1, 9)
	header = binary.LittleEndian.AppendUint32(header, uint32(count))
	return append(header, body...)
}

// Name returns the name of a table version, v1.7.
func Name(revision int) string { return fmt.Sprintf("v1.%d", revision) }
