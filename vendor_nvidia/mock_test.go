//go:build linux && cgo

package nvidia

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"

	"wattmark/sampler"
)

// go-nvml's own mock: no library at all. A function that is not mocked panics, so this also proves that nothing is
// called whose symbol LookupSymbol denies.
func TestMock(t *testing.T) {
	have := map[string]bool{
		"nvmlDeviceGetCount_v2": true, "nvmlDeviceGetHandleByIndex_v2": true, "nvmlDeviceGetUUID": true,
		"nvmlDeviceGetCudaComputeCapability": true, "nvmlDeviceGetFieldValues": true, "nvmlShutdown": true,
	}
	shutdowns := 0
	gpu := &mock.Device{
		GetUUIDFunc:                  func() (string, nvml.Return) { return "GPU-mock", nvml.SUCCESS },
		GetCudaComputeCapabilityFunc: func() (int, int, nvml.Return) { return 10, 0, nvml.SUCCESS },
		GetFieldValuesFunc: func(values []nvml.FieldValue) nvml.Return {
			for i := range values {
				switch v := &values[i]; v.FieldId {
				case nvml.FI_DEV_TOTAL_ENERGY_CONSUMPTION:
					v.ValueType, v.NvmlReturn = uint32(nvml.VALUE_TYPE_UNSIGNED_LONG_LONG), 0
					binary.NativeEndian.PutUint64(v.Value[:], 1<<40)
				case nvml.FI_DEV_POWER_AVERAGE:
					v.ValueType, v.NvmlReturn = uint32(nvml.VALUE_TYPE_UNSIGNED_INT), 0
					binary.NativeEndian.PutUint32(v.Value[:], 987_654)
				} // 186 is left alone: its return code stays as it was handed in
			}
			return nvml.SUCCESS
		},
	}
	library, err := open(&mock.Interface{
		InitFunc:           func() nvml.Return { return nvml.SUCCESS },
		ShutdownFunc:       func() nvml.Return { shutdowns++; return nvml.SUCCESS },
		ExtensionsFunc:     func() nvml.ExtendedInterface { return lookup(have) },
		DeviceGetCountFunc: func() (int, nvml.Return) { return 2, nvml.SUCCESS },
		DeviceGetHandleByIndexFunc: func(i int) (nvml.Device, nvml.Return) {
			if i == 1 {
				return nil, nvml.ERROR_NO_PERMISSION
			}
			return gpu, nvml.SUCCESS
		},
	}, Config{Clock: sampler.NewClock(), Patience: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if len(library.Devices()) != 1 || len(library.Problems()) != 2 { // symbols, GPU 1
		t.Errorf("%d devices, problems %q", len(library.Devices()), library.Problems())
	}
	got := mustRead(t, library.Devices()[0])
	if got.EnergyJoules != sampler.Some((1<<40)/1000.0) || got.PowerWatts != sampler.Some(987.654) || got.InstantWatts.OK() {
		t.Errorf("%+v", got)
	}
	if err := errors.Join(library.Close(), library.Close()); err != nil || shutdowns != 1 {
		t.Errorf("Close = %v, %d shutdowns", err, shutdowns)
	}
}

func lookup(have map[string]bool) nvml.ExtendedInterface {
	return &mock.ExtendedInterface{LookupSymbolFunc: func(name string) error {
		if have[name] {
			return nil
		}
		return errors.New("no such symbol")
	}}
}
