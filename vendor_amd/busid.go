package amd

import "fmt"

// partitionBits of a BDF id count the partitions of one socket, which share its power sensor.
const partitionBits = 0xF << 28

// busID writes a BDF id (amdsmi_get_gpu_bdf_id: domain<<32 | partition<<28 | bus<<8 | device<<3 | function) as
// 0000:1b:00.0, the PCI bus id of the socket.
func busID(bdf uint64) string {
	return fmt.Sprintf("%04x:%02x:%02x.%x", bdf>>32, bdf>>8&0xFF, bdf>>3&0x1F, bdf&0x7)
}

// partitionOf returns the number of a BDF id's partition within its socket.
func partitionOf(bdf uint64) int { return int(bdf & partitionBits >> 28) }

// capWatts returns a power cap in W. Versions of the library before 6.1.2 give W, later ones µW; no GPU is allowed
// 10 kW, and none less than 10 mW.
func capWatts(limit uint64) float64 {
	if limit >= 10_000 {
		return float64(limit) / 1e6
	}
	return float64(limit)
}
