package sim

import (
	"fmt"
	"strings"

	"wattmark/sampler"
)

// model is a kind of GPU.
type model struct {
	name         string // as the vendor's tool prints it
	vendor       string
	architecture string
	capability   string
	limit        float64 // W
	idle         float64 // W
	clock        float64 // MHz under load
	memory       float64 // MHz
	sensors      Sensors
}

// modelNames are the names that findModel knows.
const modelNames = "H100, H200, B200, A100, L40S, MI300X"

func findModel(name string) (model, error) {
	switch strings.ToUpper(name) {
	case "H100":
		return model{"NVIDIA H100 80GB HBM3", "nvidia", "hopper", "9.0", 700, 70, 1980, 2619, HopperSensors()}, nil
	case "H200":
		return model{"NVIDIA H200", "nvidia", "hopper", "9.0", 700, 78, 1980, 3201, HopperSensors()}, nil
	case "B200":
		return model{"NVIDIA B200", "nvidia", "blackwell", "10.0", 1000, 140, 1965, 3996, HopperSensors()}, nil
	case "A100":
		return model{"NVIDIA A100-SXM4-80GB", "nvidia", "ampere", "8.0", 400, 60, 1410, 1593, A100Sensors()}, nil
	case "L40S":
		return model{"NVIDIA L40S", "nvidia", "ada", "8.9", 350, 35, 2520, 9001, HopperSensors()}, nil
	case "MI300X":
		return model{"AMD Instinct MI300X", "amd", "cdna3", "", 750, 140, 2100, 1300, MI300Sensors()}, nil
	}
	return model{}, fmt.Errorf("unknown model %q; known are %s", name, modelNames)
}

// info describes the GPU of this index, but for its sensors.
func (m model) info(host string, index int) sampler.Info {
	return sampler.Info{
		Host:              host,
		UUID:              fmt.Sprintf("GPU-5156d3a7-0000-0000-0000-%012x", index),
		BusID:             fmt.Sprintf("0000:%02x:00.0", index),
		Index:             index,
		Vendor:            m.vendor,
		Model:             m.name,
		Architecture:      m.architecture,
		ComputeCapability: m.capability,
		Driver:            "simulated",
		Scope:             sampler.ScopeGPU,
		PowerLimitWatts:   sampler.Some(m.limit),
		Simulated:         true,
	}
}
