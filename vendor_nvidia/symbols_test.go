//go:build linux && cgo

package nvidia

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wattmark/internal/nvmldouble"
	"wattmark/sampler"
)

// seen is what a child saw of its library's only GPU.
type seen struct {
	Info     sampler.Info
	Library  []string // its problems
	Error    string
	Missing  []string // quantities of the second reading
	LostText string   // the error of a read that failed
	Samples  string   // the error of PowerSamples
}

// child opens a library, reads a GPU and says what it saw, as JSON.
func child(library string) int {
	var saw seen
	opened, err := Open(Config{Library: library, Clock: sampler.NewClock()})
	if err != nil {
		saw.Error = err.Error()
	} else {
		device := opened.Devices()[0]
		saw.Info, saw.Library = device.Info(), opened.Problems()
		_, _ = device.Read()
		reading, err := device.Read()
		if err != nil {
			saw.Error = err.Error()
		}
		for name, known := range map[string]bool{
			"power": reading.PowerWatts.OK(), "instant": reading.InstantWatts.OK(), "energy": reading.EnergyJoules.OK(),
			"temperature": reading.TemperatureC.Value().OK(), "clock": reading.ClockMHz.Value().OK(),
			"memory clock": reading.MemoryClockMHz.Value().OK(), "utilization": reading.Utilization.Value().OK(),
			"throttle": reading.Throttle != 0, "driver": saw.Info.Driver != "", "version": !strings.HasPrefix(saw.Info.Library, "/"),
			"uuid": saw.Info.UUID != "", "bus id": saw.Info.BusID != "", "model": saw.Info.Model != "",
			"serial": saw.Info.Serial != "", "architecture": saw.Info.Architecture != "",
			"capability": saw.Info.ComputeCapability != "", "limit": saw.Info.PowerLimitWatts.OK(),
			"counter": saw.Info.HasCounter,
		} {
			if !known {
				saw.Missing = append(saw.Missing, name)
			}
		}
		slices.Sort(saw.Missing)
		if _, err := device.(buffered).PowerSamples(); err != nil {
			saw.Samples = err.Error()
		}
		script := running(gpu(nvmldouble.Lost()))
		if err := script.Write(os.Getenv(nvmldouble.ScriptVariable)); err != nil {
			saw.Error = err.Error()
		}
		for saw.LostText == "" {
			if _, err := device.Read(); err != nil {
				saw.LostText = err.Error()
			}
		}
		if err := opened.Close(); err != nil {
			saw.Error = err.Error()
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(saw); err != nil {
		return 1
	}
	return 0
}

// A library that lacks a symbol ends the process at the first call of it. The process must live, and what the symbol
// would have told is missing.
func TestMissingSymbols(t *testing.T) {
	for _, test := range []struct {
		omit    string // several are separated by spaces
		missing string // separated by commas
		err     string
		problem bool // of the library
	}{
		{"", "", "", false},
		{"nvmlErrorString", "", "", false},
		{"nvmlShutdown", "", "", true},
		{"nvmlInit", "", "", false},
		{"nvmlInit_v2", "", "", false},
		{"nvmlInit nvmlInit_v2", "", "has no nvmlInit", false},
		{"nvmlSystemGetDriverVersion", "driver", "", true},
		{"nvmlSystemGetNVMLVersion", "version", "", true},
		{"nvmlDeviceGetCount", "", "", false},
		{"nvmlDeviceGetCount_v2", "", "", false},
		{"nvmlDeviceGetCount nvmlDeviceGetCount_v2", "", "function not found", false},
		{"nvmlDeviceGetHandleByIndex", "", "", false},
		{"nvmlDeviceGetHandleByIndex_v2", "", "", false},
		{"nvmlDeviceGetHandleByIndex nvmlDeviceGetHandleByIndex_v2", "", "function not found", false},
		{"nvmlDeviceGetUUID", "uuid", "", true},
		{"nvmlDeviceGetPciInfo nvmlDeviceGetPciInfo_v2", "", "", false},
		{"nvmlDeviceGetPciInfo_v3", "", "", false}, // the bus id is the legacy one
		{"nvmlDeviceGetPciInfo_v3 nvmlDeviceGetPciInfo_v2", "", "", false},
		{"nvmlDeviceGetPciInfo_v3 nvmlDeviceGetPciInfo_v2 nvmlDeviceGetPciInfo", "bus id", "", true},
		{"nvmlDeviceGetPciInfo_v3 nvmlDeviceGetPciInfo_v2 nvmlDeviceGetPciInfo nvmlDeviceGetUUID", "", "read UUID", false},
		{"nvmlDeviceGetName", "model", "", true},
		{"nvmlDeviceGetSerial", "serial", "", true},
		{"nvmlDeviceGetArchitecture", "architecture", "", true},
		{"nvmlDeviceGetCudaComputeCapability", "capability", "", true},
		{"nvmlDeviceGetEnforcedPowerLimit", "limit", "", true},
		{"nvmlDeviceGetPersistenceMode", "", "", true},
		{"nvmlDeviceGetMigMode", "", "", true},
		{"nvmlDeviceGetFieldValues", "instant", "", true},
		{"nvmlDeviceGetPowerUsage", "", "", true},
		{"nvmlDeviceGetTotalEnergyConsumption", "", "", true},
		{"nvmlDeviceGetFieldValues nvmlDeviceGetPowerUsage", "instant,power", "", true},
		{"nvmlDeviceGetFieldValues nvmlDeviceGetTotalEnergyConsumption", "counter,energy,instant", "", true},
		{"nvmlDeviceGetTemperature", "", "", false}, // its successor answers
		{"nvmlDeviceGetTemperature nvmlDeviceGetTemperatureV", "temperature", "", true},
		{"nvmlDeviceGetClockInfo", "clock,memory clock", "", true},
		{"nvmlDeviceGetUtilizationRates", "utilization", "", true},
		{"nvmlDeviceGetCurrentClocksEventReasons", "", "", false}, // by its old name
		{"nvmlDeviceGetCurrentClocksEventReasons nvmlDeviceGetCurrentClocksThrottleReasons", "throttle", "", true},
		{"nvmlDeviceGetSamples", "", "", false},
		{"nvmlDeviceGetMaxMigDeviceCount", "", "", false},
		{"nvmlDeviceGetMigDeviceHandleByIndex", "", "", false},
	} {
		t.Run(test.omit, func(t *testing.T) {
			t.Parallel()
			g := gpu()
			g.Serial = "165"
			script := filepath.Join(t.TempDir(), "script")
			if err := running(g).Write(script); err != nil {
				t.Fatal(err)
			}
			command := exec.Command(os.Args[0])
			command.Env = append(os.Environ(), childVariable+"="+double(t, strings.Fields(test.omit)...),
				nvmldouble.ScriptVariable+"="+script, "GORACE=atexit_sleep_ms=0") // the race detector sleeps for 1 s by default
			out, err := command.Output()
			if err != nil {
				t.Fatalf("the process ended: %v\n%s%s", err, out, stderr(err))
			}
			var saw seen
			if err := json.Unmarshal(out, &saw); err != nil {
				t.Fatalf("%v: %q", err, out)
			}
			if test.err != "" {
				if !strings.Contains(saw.Error, test.err) {
					t.Errorf("error %q, want one with %q", saw.Error, test.err)
				}
				return
			}
			if got := strings.Join(saw.Missing, ","); got != test.missing || saw.Error != "" {
				t.Errorf("missing %q, error %q, want %q missing", got, saw.Error, test.missing)
			}
			samples := NotSupported
			if test.omit == samplesSymbol {
				samples = FunctionNotFound
			}
			if !strings.HasSuffix(saw.Samples, samples.Error()) {
				t.Errorf("PowerSamples: %q, want %q", saw.Samples, samples.Error())
			}
			if got := len(saw.Library) > 0; got != test.problem {
				t.Errorf("problems = %q", saw.Library)
			}
			if !strings.Contains(saw.LostText, "the GPU is lost") && !strings.Contains(test.omit, "FieldValues") {
				t.Errorf("a lost GPU's error: %q", saw.LostText)
			}
			if want := "0000:1b:00.0"; saw.Info.BusID != want && test.missing != "bus id" {
				t.Errorf("bus id %q, want %q", saw.Info.BusID, want)
			}
		})
	}
}

func stderr(err error) []byte {
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // it comes from Output as it is
		return exit.Stderr
	}
	return nil
}

// show makes values comparable as text.
func show(x any) string {
	text, err := json.Marshal(x)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(text)
}
