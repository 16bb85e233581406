//go:build linux && cgo

package nvidia

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wattmark/sampler"
)

// probe finds out who the GPU of an index is, and which sensors it has.
func (l *Library) probe(index int, config Config) (*device, error) {
	handle, ret := l.nvml.DeviceGetHandleByIndex(index)
	if code := Code(ret); code != 0 {
		return nil, fmt.Errorf("open: %w", code)
	}
	d := &device{
		handle: handle,
		clock:  config.Clock,
		closed: l.closed, library: l,
		turn:   make(chan struct{}, 1),
		around: newConditions(l.symbols),
		info: sampler.Info{
			Host: config.Host, Index: index, Vendor: "nvidia",
			Driver: l.driver, Library: strings.TrimSpace(l.version + " " + l.path),
		},
	}
	if err := d.identify(l.symbols); err != nil {
		return nil, err
	}
	if !l.symbols.has(samplesSymbol) {
		d.samples.lacking = FunctionNotFound
	}
	d.describe(l.symbols)
	d.findSensors(l.symbols, semanticsOf(d.info))
	if d.divided {
		d.info.Scope = sampler.ScopeDeviceShared
	}
	d.log = l.log.With("gpu", index)
	return d, nil
}

// identify reads the keys. A GPU without either of them cannot be told from others.
func (d *device) identify(has symbols) error {
	code := FunctionNotFound
	if has.has("nvmlDeviceGetUUID") {
		uuid, ret := d.handle.GetUUID()
		if code = Code(ret); code == 0 {
			d.info.UUID = uuid
		} else if !code.refusal() {
			return fmt.Errorf("read UUID: %w", code) // with a key of another kind it would be another GPU after a restart
		}
	}
	if has.has("nvmlDeviceGetPciInfo") {
		if pci, ret := d.handle.GetPciInfo(); ret == nvml.SUCCESS {
			d.info.BusID = busID(pci)
		}
	}
	if d.info.UUID == "" && d.info.BusID == "" {
		return fmt.Errorf("read UUID: %w", code)
	}
	return nil
}

// busID returns the PCI bus id in our spelling. A library before nvmlDeviceGetPciInfo_v3 fills the legacy id only.
func busID(pci nvml.PciInfo) string {
	legacy := text(pci.BusIdLegacy[:])
	return cmp.Or(sampler.BusID(text(pci.BusId[:])), sampler.BusID(legacy), legacy)
}

func text(chars []int8) string {
	b := &strings.Builder{}
	for _, c := range chars {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	return b.String()
}

// describe fills in what is good to know; what cannot be read stays empty.
func (d *device) describe(has symbols) {
	if has.has("nvmlDeviceGetName") {
		d.info.Model, _ = d.handle.GetName()
	}
	if has.has("nvmlDeviceGetSerial") {
		d.info.Serial, _ = d.handle.GetSerial() // GeForce cards have none
	}
	if has.has("nvmlDeviceGetArchitecture") {
		if arch, ret := d.handle.GetArchitecture(); ret == nvml.SUCCESS {
			d.info.Architecture = architecture(arch)
		}
	}
	if has.has("nvmlDeviceGetCudaComputeCapability") {
		if major, minor, ret := d.handle.GetCudaComputeCapability(); ret == nvml.SUCCESS {
			d.info.ComputeCapability = fmt.Sprintf("%d.%d", major, minor)
		}
	}
	if has.has("nvmlDeviceGetEnforcedPowerLimit") {
		if milliwatts, ret := d.handle.GetEnforcedPowerLimit(); ret == nvml.SUCCESS {
			d.info.PowerLimitWatts = sampler.Some(float64(milliwatts) / 1000)
		}
	}
	if has.has("nvmlDeviceGetPersistenceMode") {
		if mode, ret := d.handle.GetPersistenceMode(); ret == nvml.SUCCESS && mode == nvml.FEATURE_DISABLED {
			d.problem("persistence mode is off: when no program uses the GPU the driver lets go of it, its energy counter " +
				"restarts, and the next call takes seconds; run nvidia-persistenced, or nvidia-smi -pm 1 as root")
		}
	}
	if has.has("nvmlDeviceGetMigMode") {
		if mode, _, ret := d.handle.GetMigMode(); ret == nvml.SUCCESS && mode == nvml.DEVICE_MIG_ENABLE {
			d.info.Parts = parts(d.handle, has)
			d.divided = true
			d.problem("MIG is enabled: power and energy are those of the whole GPU, whichever of its instances is used; " +
				"keep the other instances idle, or nvidia-smi -mig 0 as root")
		}
	}
}

func (d *device) problem(text string) { d.info.Problems = append(d.info.Problems, text) }

func architecture(arch nvml.DeviceArchitecture) string {
	switch arch {
	case nvml.DEVICE_ARCH_KEPLER:
		return "kepler"
	case nvml.DEVICE_ARCH_MAXWELL:
		return "maxwell"
	case nvml.DEVICE_ARCH_PASCAL:
		return "pascal"
	case nvml.DEVICE_ARCH_VOLTA:
		return "volta"
	case nvml.DEVICE_ARCH_TURING:
		return "turing"
	case nvml.DEVICE_ARCH_AMPERE:
		return "ampere"
	case nvml.DEVICE_ARCH_ADA:
		return "ada"
	case nvml.DEVICE_ARCH_HOPPER:
		return "hopper"
	case nvml.DEVICE_ARCH_BLACKWELL:
		return "blackwell"
	case nvml.DEVICE_ARCH_RUBIN:
		return "rubin"
	}
	return ""
}

// semantics is what nvmlDeviceGetPowerUsage means on a GPU, and whether field 185 exists.
type semantics int

const (
	undetermined   semantics = iota // neither is known
	instantaneous                   // power of the last tens of milliseconds; no field 185
	meanOverSecond                  // Ampere except GA100, and later
)

// semanticsOf follows the compute capability, which tells GA100 (8.0) from other Amperes, else the architecture.
func semanticsOf(info sampler.Info) semantics {
	var major, minor int
	if n, _ := fmt.Sscanf(info.ComputeCapability, "%d.%d", &major, &minor); n == 2 {
		if major > 8 || major == 8 && minor > 0 {
			return meanOverSecond
		}
		return instantaneous
	}
	switch info.Architecture {
	case "kepler", "maxwell", "pascal", "volta", "turing":
		return instantaneous
	case "ada", "hopper", "blackwell", "rubin":
		return meanOverSecond
	}
	return undetermined
}

const (
	// refreshPeriod is how often the driver renews power and the counter: about 100 ms on data-centre GPUs.
	refreshPeriod = 100 * time.Millisecond
	averagePeriod = time.Second // over which field 185 is the mean
)
