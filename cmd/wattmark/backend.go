package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"wattmark/api"
	"wattmark/sampler"
	amd "wattmark/vendor_amd"
	nvidia "wattmark/vendor_nvidia"
	sim "wattmark/vendor_sim"
)

// backendFlags choose the GPUs; serve and gpus share them.
type backendFlags struct {
	Backend       string   `default:"auto" enum:"auto,nvidia,amd,amd-sysfs,sim,none" help:"auto (NVIDIA, else AMD), nvidia, amd, amd-sysfs, sim or none."`
	NVMLLibrary   string   `name:"nvml-library" type:"path" placeholder:"FILE" help:"libnvidia-ml.so.1 to use instead of the loader's."`
	AMDSMILibrary string   `name:"amdsmi-library" type:"path" placeholder:"FILE" help:"libamd_smi.so to use instead of ROCm's."`
	SysfsRoot     string   `default:"/sys" type:"path" placeholder:"DIR" help:"Where AMD's kernel driver shows its files."`
	GPUs          []string `name:"gpus" placeholder:"GPU,…" help:"Indices, UUIDs, PCI bus ids, or 'visible' for those of CUDA_, HIP_ or ROCR_VISIBLE_DEVICES. Default: all."`
	Sim           string   `default:"8xH200" help:"What --backend sim simulates, e.g. 8xH200,load=decode,seed=7."`

	mismatch func(error)   // is told that NVIDIA's library and kernel driver differ; nil: nobody is
	patience time.Duration // for NVIDIA's GPUs to answer; 0: as long as they may take to wake up
}

const defaultSim = "8xH200" // as the tag of Sim says

// backend is the GPUs that were found, and why there are none.
type backend struct {
	api.Backend
	devices []sampler.Device
	late    func() ([]sampler.Device, bool) // GPUs that come later, and whether more may; nil: none will
	awaited func() []awaited                // GPUs that have not answered; nil: there are none
	opening *opening                        // what the backend is going to be; nil: it is open
	settled bool                            // what has not answered is waited for no longer
	names   []string                        // that --gpus gave; none: all GPUs
	visible func() ([]string, error)        // what --gpus visible means; nil names: all
	about   func() string                   // more for people; nil: nothing
	more    func() []string                 // problems of this moment; nil: none
	close   func()
}

// now is the backend with the problems of this moment.
func (b backend) now() api.Backend {
	state := b.Backend
	if b.more != nil {
		state.Problems = slices.Concat(state.Problems, b.more())
	}
	pending := b.pending()
	for _, a := range pending {
		state.Missing = append(state.Missing, a.text)
		state.Waking = state.Waking || !b.settled && time.Since(a.since) < wakingTime
	}
	unknown := b.unknown()
	if len(pending) == 0 {
		state.Missing = unknown
	}
	if state.Absent = len(unknown); len(b.names) == 0 {
		state.Absent = len(pending)
	}
	state.Problems = slices.Concat(state.Problems, state.Missing)
	return state
}

// open finds the GPUs. Having none is not an error: the daemon then runs and says why.
func (f backendFlags) open(clock sampler.Clock, log *slog.Logger) (backend, error) {
	none := backend{Backend: api.Backend{Name: "none", Problems: []string{}}, close: func() {}}
	host, err := os.Hostname()
	if err != nil {
		return none, fmt.Errorf("host name: %w", err)
	}
	var found backend
	switch f.Backend {
	case "none":
		none.Problems = append(none.Problems, "--backend none was asked for")
		return none, nil
	case "sim":
		found, err = f.openSim(host, clock)
	case "nvidia":
		found, err = f.openNVIDIA(host, clock, log)
	case "amd":
		found, err = f.openAMD(amd.Auto, host, clock, log)
	case "amd-sysfs":
		found, err = f.openAMD(amd.SysfsOnly, host, clock, log)
	default:
		found, err = f.openAny(host, clock, log)
	}
	if usage := (usageError{}); errors.As(err, &usage) {
		return none, err
	} else if err != nil {
		none.Problems = append(none.Problems, strings.Split(err.Error(), "\n")...)
		if f.Sim != defaultSim && f.Backend != "sim" {
			none.Problems = append(none.Problems, "--sim alone simulates nothing: give --backend sim too, and --allow-simulated for valid results")
		}
		return none, nil
	}
	return found, found.choose(f.GPUs)
}

// openAny takes NVIDIA GPUs where there are any, else AMD's.
func (f backendFlags) openAny(host string, clock sampler.Clock, log *slog.Logger) (backend, error) {
	found, err := f.openNVIDIA(host, clock, log)
	if err == nil {
		if n := amd.Present(f.SysfsRoot); n > 0 {
			found.Problems = append(found.Problems, fmt.Sprintf(
				"NVIDIA GPUs are measured; this host has %d of AMD's as well: --backend amd measures those", n))
		}
		return found, nil
	}
	other, otherErr := f.openAMD(amd.Auto, host, clock, log)
	if otherErr == nil {
		return other, nil
	}
	return backend{}, errors.Join(err, otherErr)
}

func (f backendFlags) openNVIDIA(host string, clock sampler.Clock, log *slog.Logger) (backend, error) {
	library, err := nvidia.Open(nvidia.Config{Library: f.NVMLLibrary, Clock: clock, Host: host, Logger: log, Mismatch: f.mismatch, Patience: f.patience})
	if err != nil {
		if errors.Is(err, nvidia.VersionMismatch) && f.mismatch != nil {
			f.mismatch(err)
		}
		name := cmp.Or(f.NVMLLibrary, "libnvidia-ml.so.1")
		return backend{}, errors.New(problem("NVIDIA", nvidia.Hint(err), fmt.Errorf("%s: %w", name, err)))
	}
	return backend{
		Backend: api.Backend{Name: "nvidia", Problems: []string{}},
		devices: library.Devices(),
		late:    library.Late,
		awaited: func() (gpus []awaited) {
			for _, gpu := range library.Awaited() {
				gpus = append(gpus, awaited{gpu.String(), gpu.Since})
			}
			return gpus
		},
		more:    library.Problems,
		visible: func() ([]string, error) { return cudaVisible(os.LookupEnv) },
		close:   func() { _ = library.Close() },
	}, nil
}

func (f backendFlags) openAMD(mode amd.Mode, host string, clock sampler.Clock, log *slog.Logger) (backend, error) {
	library, err := amd.Open(amd.Config{
		Mode: mode, Library: f.AMDSMILibrary, SysfsRoot: f.SysfsRoot, Clock: clock, Host: host, Logger: log,
	})
	if err != nil {
		return backend{}, errors.New(problem("AMD", amd.Hint(err), err))
	}
	name := "amd"
	if library.Describe().Library == "" {
		name = "amd-sysfs"
	}
	return backend{
		Backend: api.Backend{Name: name, Problems: []string{}},
		devices: library.Devices(),
		visible: func() ([]string, error) { return amd.VisibleDevices(os.LookupEnv, f.SysfsRoot) },
		about:   func() string { return library.Describe().String() },
		more:    library.Problems,
		close:   library.Close,
	}, nil
}

// problem says what to do first, and then why.
func problem(vendor, hint string, err error) string {
	if hint == "" {
		return fmt.Sprintf("%s: %v", vendor, err)
	}
	return fmt.Sprintf("%s: %s (%v)", vendor, hint, err)
}

func (f backendFlags) openSim(host string, clock sampler.Clock) (backend, error) {
	gpus, err := sim.Parse(f.Sim, host, clock)
	if err != nil {
		return backend{}, usageError{fmt.Errorf("--sim: %w", err)}
	}
	b := backend{
		Backend: api.Backend{Name: "sim", Problems: []string{}},
		visible: func() ([]string, error) { return cudaVisible(os.LookupEnv) },
		close:   func() {},
	}
	for _, gpu := range gpus {
		b.devices = append(b.devices, gpu)
	}
	return b, nil
}

// choose keeps the devices that names mean. As long as GPUs have not answered, a name may be that of one of them.
func (b *backend) choose(names []string) error {
	infos := infosOf(b.devices)
	waiting := b.awaited != nil && len(b.awaited()) > 0
	if onlyVisible(names) {
		shown, err := b.visible()
		if err == nil && !waiting {
			shown, err = b.upToUnknown(infos, shown)
		}
		if err != nil {
			return usageError{fmt.Errorf("--gpus visible: %w", err)}
		}
		names = shown
	}
	b.names = names
	if waiting {
		b.devices = chosen(b.devices, names)
		return nil
	}
	chosen, err := sampler.Choose(infos, names)
	if err != nil {
		return usageError{fmt.Errorf("--gpus: %w", err)}
	}
	var kept []sampler.Device
	for i, info := range infos {
		for _, c := range chosen {
			if c.ID() == info.ID() {
				kept = append(kept, b.devices[i])
			}
		}
	}
	b.devices = kept
	return nil
}

// usageError is a mistake in the command line that only shows when the GPUs are known.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }
