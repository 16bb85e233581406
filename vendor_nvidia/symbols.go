//go:build linux && cgo

package nvidia

import (
	"errors"
	"fmt"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/dl"
	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Is makes errors.Is find a Code by NVML's own constants, such as nvml.ERROR_GPU_IS_LOST.
func (c Code) Is(target error) bool {
	ret, ok := target.(nvml.Return)
	return ok && Code(ret) == c
}

// symbols are the functions that the loaded library has.
type symbols map[string]bool

// findSymbols looks up every function that this package calls. It may run only after Init. It returns those that the
// library has in none of their versions, too.
func findSymbols(library nvml.ExtendedInterface) (found symbols, missing []string) {
	found = symbols{}
	for _, versions := range [][]string{
		{"nvmlShutdown"},
		{"nvmlSystemGetDriverVersion"},
		{"nvmlSystemGetNVMLVersion"},
		{"nvmlDeviceGetCount", "nvmlDeviceGetCount_v2"},
		{"nvmlDeviceGetHandleByIndex", "nvmlDeviceGetHandleByIndex_v2"},
		{"nvmlDeviceGetUUID"},
		{"nvmlDeviceGetName"},
		{"nvmlDeviceGetSerial"},
		{"nvmlDeviceGetPciInfo", "nvmlDeviceGetPciInfo_v2", "nvmlDeviceGetPciInfo_v3"},
		{"nvmlDeviceGetArchitecture"},
		{"nvmlDeviceGetCudaComputeCapability"},
		{"nvmlDeviceGetEnforcedPowerLimit"},
		{"nvmlDeviceGetPersistenceMode"},
		{"nvmlDeviceGetMigMode"},
		{"nvmlDeviceGetFieldValues"},
		{"nvmlDeviceGetTotalEnergyConsumption"},
		{"nvmlDeviceGetPowerUsage"},
		{"nvmlDeviceGetTemperature", "nvmlDeviceGetTemperatureV"},
		{"nvmlDeviceGetClockInfo"},
		{"nvmlDeviceGetUtilizationRates"},
		{"nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"},
	} {
		present := false
		for _, name := range versions {
			found[name] = library.LookupSymbol(name) == nil
			present = present || found[name]
		}
		if !present {
			missing = append(missing, versions[0])
		}
	}
	for _, name := range []string{migCountSymbol, migHandleSymbol} { // none before driver 450; MIG is rare
		found[name] = library.LookupSymbol(name) == nil
	}
	found[byUUID] = library.LookupSymbol(byUUID) == nil               // else it is looked for by index
	found[samplesSymbol] = library.LookupSymbol(samplesSymbol) == nil // wattmark gpus --probe alone asks for it
	return found, missing
}

// samplesSymbol is behind PowerSamples.
const samplesSymbol = "nvmlDeviceGetSamples"

// has reports whether a function may be called; go-nvml takes the newest version of those that have several.
func (s symbols) has(name string) bool { return s[name] || s[name+"_v2"] || s[name+"_v3"] }

// canOpen finds out why a library cannot be opened, and whether it is NVML at all: go-nvml's Init drops the loader's
// words, and ends the process where nvmlInit is missing.
func canOpen(name string) error {
	library := dl.New(name, dl.RTLD_LAZY)
	if err := library.Open(); err != nil {
		return fmt.Errorf("open NVML: %s: %w", strings.TrimPrefix(err.Error(), name+": "), LibraryNotFound)
	}
	v2, v1 := library.Lookup("nvmlInit_v2"), library.Lookup("nvmlInit")
	if err := library.Close(); err != nil {
		return fmt.Errorf("open NVML: %w", err)
	}
	if v2 != nil && v1 != nil {
		return fmt.Errorf("open NVML: %w", errors.Join(fmt.Errorf("%s has no nvmlInit", name), FunctionNotFound))
	}
	return nil
}
