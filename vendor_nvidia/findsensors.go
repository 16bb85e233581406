//go:build linux && cgo

package nvidia

import (
	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wattmark/sampler"
)

// findSensors reads once to see what the GPU has, and settles what PowerWatts means for as long as the daemon runs.
func (d *device) findSensors(has symbols, known semantics) {
	d.info.Scope = sampler.ScopeGPU
	d.askFor(has, known, nvml.POWER_SCOPE_GPU)
	err := d.readFields()
	if d.fields[average].support == refused && d.fields[instant].support == refused && err == nil {
		d.tryModule(has, known)
	}
	if !has.has("nvmlDeviceGetTotalEnergyConsumption") {
		d.total.lacks()
	}
	if !has.has("nvmlDeviceGetPowerUsage") {
		d.usage.lacks()
	}
	if d.info.Scope == sampler.ScopeModule {
		d.usage.lacks() // it speaks of the GPU alone
	}
	if err == nil {
		d.fields[energy].orElse(&d.total, d.askTotal)
		if d.usage.support == untried && d.fields[average].support != answers {
			d.usage.set(d.askUsage())
		}
	}
	d.settlePower(known)
	d.settleCounter(known)
	if err != nil {
		d.problem("it could not be read when it was found: " + withHint(err))
	}
}

// askFor sets the fields that are asked for.
func (d *device) askFor(has symbols, known semantics, scope uint32) {
	for i, id := range [...]uint32{
		energy:  nvml.FI_DEV_TOTAL_ENERGY_CONSUMPTION,
		average: nvml.FI_DEV_POWER_AVERAGE,
		instant: nvml.FI_DEV_POWER_INSTANT,
	} {
		d.fields[i] = field{id: id, scope: scope}
		if !has.has("nvmlDeviceGetFieldValues") || i == average && known == instantaneous {
			d.fields[i].lacks()
		}
	}
}

// tryModule asks for the power of the module, which some superchips give instead of the GPU's. Their counter counts the
// module, too; where it does not answer for that scope by name, it is asked as usual.
func (d *device) tryModule(has symbols, known semantics) {
	gpu := d.fields
	d.askFor(has, known, nvml.POWER_SCOPE_MODULE)
	err := d.readFields()
	if err != nil || d.fields[average].support != answers && d.fields[instant].support != answers {
		d.fields = gpu
		return
	}
	d.info.Scope = sampler.ScopeModule
	d.problem("power is that of the module, GPU and CPU together: this driver does not tell the GPU's alone")
	if d.fields[energy].support != answers {
		d.fields[energy] = gpu[energy]
	}
}

// settlePower chooses what is behind PowerWatts. nvmlDeviceGetPowerUsage may stand in for a field only where it is
// known to mean the same.
func (d *device) settlePower(known semantics) {
	mean, now := d.fields[average].support, d.fields[instant].support
	averaged := true
	switch {
	case mean == answers, mean == untried && known == meanOverSecond: // untried: it may answer later
		d.power = &d.fields[average]
		if known != meanOverSecond {
			d.usage.lacks()
		}
	case known == meanOverSecond && d.usage.support != refused:
		d.power = nil
	default:
		averaged = false
		d.power = &d.fields[instant]
		d.fields[average].lacks()
		if known == meanOverSecond {
			d.usage.lacks()
		}
	}
	d.info.PowerSource, d.info.PowerRefresh = "instant", refreshPeriod
	if averaged {
		d.info.PowerSource, d.info.PowerPeriod = "average", averagePeriod
	}
	if mean == refused && now == refused && d.usage.support == refused {
		d.info.PowerSource, d.info.PowerPeriod, d.info.PowerRefresh = "", 0, 0
		d.problem("the driver does not tell this GPU's power")
	}
}

// settleCounter decides whether the GPU has an energy counter; where it did not say, by the architecture.
func (d *device) settleCounter(known semantics) {
	field, call := d.fields[energy].support, d.total.support
	d.info.HasCounter = field == answers || call == answers || (field == untried || call == untried) && counts(d.info, known)
	if d.info.HasCounter {
		d.info.CounterPeriod = refreshPeriod
		return
	}
	d.problem("it has no energy counter: energy is integrated from power readings, which is less exact")
}

// counts reports whether GPUs of this kind have an energy counter: Volta and later do.
func counts(info sampler.Info, known semantics) bool {
	switch info.Architecture {
	case "volta", "turing", "ampere":
		return true
	}
	return known == meanOverSecond
}
