package amd

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What can be wrong with a gpu_metrics table. The error's text names the table's version.
var (
	ErrTableShort   = errors.New("table is cut short")
	ErrTableUnknown = errors.New("table version is not known")
	ErrTableSize    = errors.New("table does not have the size of its version")
)

// layout says where the fields of a gpu_metrics table are, in bytes from its beginning.
type layout struct {
	size, power, energy, stamp, hotspot, activity, clock, memoryClock int
	sensor                                                            sensor
}

// layoutOf returns the layout of gpu_metrics v1.revision (drivers/gpu/drm/amd/include/kgd_pp_interface.h of Linux).
func layoutOf(revision byte) (layout, bool) {
	switch revision {
	case 3: // MI200
		return layout{120, 22, 24, 32, 6, 16, 54, 58, sensorAverage}, true
	case 4: // MI300, early drivers
		return layout{288, 10, 24, 32, 4, 12, 240, 280, sensorSocket}, true
	case 5: // MI300
		return layout{360, 10, 88, 96, 4, 12, 312, 352, sensorSocket}, true
	case 6: // MI300
		return layout{1664, 10, 16, 24, 4, 12, 264, 304, sensorSocket}, true
	case 7: // MI300, MI350
		return layout{2208, 10, 24, 32, 4, 12, 296, 336, sensorSocket}, true
	case 8: // MI350
		return layout{3872, 10, 24, 32, 4, 12, 296, 336, sensorSocket}, true
	}
	return layout{}, false
}

// parseTable reads a gpu_metrics blob as the kernel shows it: u16 size, u8 format, u8 content revision, then what the
// version says. Versions 1.3 to 1.9 are known; any other is refused by name.
func parseTable(b []byte) (sample, error) {
	if len(b) < 4 {
		return sample{}, fmt.Errorf("gpu_metrics: %w: %d bytes", ErrTableShort, len(b))
	}
	size, format, revision := int(binary.LittleEndian.Uint16(b)), b[2], b[3]
	name := tableName(format, revision)
	l, known := layoutOf(revision)
	self := revision == 9 // the table describes itself
	switch {
	case format != 1 || !known && !self:
		return sample{}, fmt.Errorf("gpu_metrics v%s: %w", name, ErrTableUnknown)
	case known && size != l.size:
		return sample{}, fmt.Errorf("gpu_metrics v%s: %w: it says %d bytes, not %d", name, ErrTableSize, size, l.size)
	case len(b) < size:
		return sample{}, fmt.Errorf("gpu_metrics v%s: %w: %d bytes of %d", name, ErrTableShort, len(b), size)
	case len(b) > size:
		return sample{}, fmt.Errorf("gpu_metrics v%s: %w: %d bytes, it says %d", name, ErrTableSize, len(b), size)
	case self:
		return parseAttributes(b, name)
	}
	s := sample{table: name}
	s.setEnergy(binary.LittleEndian.Uint64(b[l.energy:]), binary.LittleEndian.Uint64(b[l.stamp:]))
	watts, ok := u16(b, l.power)
	s.setPower(watts, ok, l.sensor)
	s.temperatureC = gauge(u16(b, l.hotspot))
	s.utilization = share(u16(b, l.activity))
	s.memoryUtilization = share(u16(b, l.activity+2)) // that of the memory controller is beside it in all versions
	s.clockMHz = gauge(u16(b, l.clock))
	s.memoryMHz = gauge(u16(b, l.memoryClock))
	return s, nil
}
