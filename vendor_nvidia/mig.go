//go:build linux && cgo

package nvidia

import "github.com/NVIDIA/go-nvml/pkg/nvml"

// The functions that find MIG instances.
const (
	migCountSymbol  = "nvmlDeviceGetMaxMigDeviceCount"
	migHandleSymbol = "nvmlDeviceGetMigDeviceHandleByIndex"
)

// parts returns the UUIDs of a GPU's MIG instances: of those that this process may see, which in a container are those
// that it was given. Instances that are made later are not known.
func parts(handle nvml.Device, has symbols) (uuids []string) {
	if !has.has(migCountSymbol) || !has.has(migHandleSymbol) || !has.has("nvmlDeviceGetUUID") {
		return nil
	}
	n, ret := handle.GetMaxMigDeviceCount()
	if ret != nvml.SUCCESS {
		return nil
	}
	for i := range n {
		part, ret := handle.GetMigDeviceHandleByIndex(i)
		if ret != nvml.SUCCESS { // a place without an instance
			continue
		}
		if uuid, ret := part.GetUUID(); ret == nvml.SUCCESS {
			uuids = append(uuids, uuid)
		}
	}
	return uuids
}
