package amd

import (
	"encoding/binary"
	"fmt"
)

// prefixLen is how much of amdsmi_gpu_metrics_t is read: the part that lies at the same offsets in every version of
// libamd_smi from 6.0 on. The whole struct is 352 to 4720 bytes long, depending on the version.
const prefixLen = 352

// parsePrefix reads the beginning of an amdsmi_gpu_metrics_t (amdsmi_get_gpu_metrics_info).
func parsePrefix(b []byte) (sample, error) {
	if len(b) < prefixLen {
		return sample{}, fmt.Errorf("gpu_metrics from the library: %w: %d bytes of %d", ErrTableShort, len(b), prefixLen)
	}
	s := sample{table: tableName(b[2], b[3])}
	s.setEnergy(binary.LittleEndian.Uint64(b[24:]), binary.LittleEndian.Uint64(b[32:]))

	watts, ok := u16(b, 120) // current: MI300 and later
	s.setPower(watts, ok, sensorSocket)
	if !ok {
		watts, ok = u16(b, 22) // average: MI200
		s.setPower(watts, ok, sensorAverage)
	}

	hotspot, ok := u16(b, 6)
	if !ok {
		hotspot, ok = u16(b, 4) // edge
	}
	s.temperatureC = gauge(hotspot, ok)
	clock, ok := u16(b, 312) // of the first compute die: MI300 and later
	if !ok || clock == 0 {
		clock, ok = u16(b, 54)
	}
	s.clockMHz = gauge(clock, ok)
	s.memoryMHz = gauge(u16(b, 58))
	s.utilization, s.memoryUtilization = share(u16(b, 16)), share(u16(b, 18))
	return s, nil
}
