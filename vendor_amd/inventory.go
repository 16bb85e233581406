package amd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"wattmark/sampler"
)

// fromInventory makes the devices out of what the library lists: one per socket, although in partition modes such as
// CPX it lists every partition, and versions up to 24 give each the power of the whole socket.
func (l *Library) fromInventory(inv inventory, cards []*card) {
	library := strings.TrimSpace("libamd_smi " + inv.Version)
	known := inv.Major >= oldestMajor && inv.Major <= newestMajor
	if !known {
		l.problems = append(l.problems, fmt.Sprintf(
			"%s says it is version %q, which wattmark does not know: only gpu_metrics is read, names and power caps are not asked for",
			inv.Path, inv.Version))
	}
	for index, gpu := range inv.GPUs {
		bus := busID(gpu.BDF)
		if i := slices.IndexFunc(l.devices, func(d *device) bool { return d.info.BusID == bus }); i >= 0 {
			if d := l.devices[i]; partitionOf(gpu.BDF) < partitionOf(d.bdf) {
				d.bdf = gpu.BDF
			}
			continue
		}
		d := l.newDevice(bus, cards)
		d.bdf = gpu.BDF
		d.session.Store(l.sessions[0])
		d.info.Index = index
		d.info.Model = cmp.Or(gpu.Name, d.info.Model, "AMD GPU")
		d.info.Serial = cmp.Or(d.info.Serial, gpu.Serial)
		d.info.UUID = cmp.Or(d.info.UUID, uuidOf(gpu.Serial))
		d.info.Driver = cmp.Or(gpu.Driver, d.info.Driver)
		d.info.Library = library + " (" + inv.Path + ")"
		if gpu.Cap != 0 {
			d.info.PowerLimitWatts = sampler.Some(capWatts(gpu.Cap))
		}
		d.compute, d.memory = cmp.Or(gpu.Compute, d.compute), cmp.Or(gpu.Memory, d.memory)
		l.devices = append(l.devices, d)
	}
}

// fromCards makes the devices out of what sysfs lists. The library is used as well as soon as it answers.
func (l *Library) fromCards(cards []*card) {
	for _, c := range cards {
		d := l.newDevice(c.bus, cards)
		d.card = c // also where the mode would not use it
		d.info.Index = c.index
		d.info.Library = "sysfs"
		if len(l.sessions) > 0 && !l.sessions[0].isFinal() {
			d.session.Store(l.sessions[0])
		}
		l.devices = append(l.devices, d)
	}
}

// newDevice returns a device with what the kernel's files say about it.
func (l *Library) newDevice(bus string, cards []*card) *device {
	d := &device{
		clock: l.config.Clock, log: l.log, hip: l.kfd.ordinal(bus),
		judge: judge{counter: counter{probe: l.config.limits.probe}},
		info: sampler.Info{
			Host: l.config.Host, BusID: bus, Vendor: "amd", Scope: sampler.ScopeGPU, PowerSource: string(sensorSocket),
		},
	}
	var number [4]uint64                                                                  // domain, bus, device, function
	_, _ = fmt.Sscanf(bus, "%x:%x:%x.%x", &number[0], &number[1], &number[2], &number[3]) // bus is from busID or sampler.BusID
	d.bdf = number[0]<<32 | number[1]<<8 | number[2]<<3 | number[3]
	if n := l.kfd.find(bus); n != nil {
		d.info.UUID, d.info.Architecture = n.uuid, n.target
	}
	i := slices.IndexFunc(cards, func(c *card) bool { return c.bus == bus })
	if i < 0 {
		return d
	}
	c := cards[i]
	if l.config.Mode != LibraryOnly {
		d.card = c
	}
	d.info.Model = c.model()
	d.info.Serial = cmp.Or(c.text("serial_number"), c.text("unique_id"))
	d.info.UUID = cmp.Or(uuidOf(c.text("unique_id")), d.info.UUID)
	d.info.Driver = l.driver
	d.info.PowerLimitWatts = c.powerCap()
	d.compute, d.memory = c.text("current_compute_partition"), c.text("current_memory_partition")
	return d
}

// uuidOf spells a unique id the way ROCm does, GPU-<16 hexadecimal digits>. It is for people: libraries of different
// versions disagree about it, and some give all GPUs the same.
func uuidOf(uniqueID string) string {
	digits := strings.TrimPrefix(strings.ToLower(uniqueID), "0x")
	if digits == "" || strings.Trim(digits, "0") == "" {
		return ""
	}
	return "GPU-" + digits
}

// settle ends the probe: from here on Info does not change any more.
func (d *device) settle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	last, counter := d.judge.previous, d.judge.counter
	switch {
	case d.from != fromSysfs || d.info.Library != "sysfs":
	case last.hwmon:
		d.info.Library = "sysfs hwmon"
	default:
		d.info.Library = "sysfs gpu_metrics v" + last.table
	}
	d.info.PowerSource = string(cmp.Or(last.sensor, sensorSocket))
	d.info.HasCounter = counter.verdict != refused
	if strings.Contains(d.info.Model, "MI300A") {
		d.info.Scope = sampler.ScopeModule
	}
	problem := func(format string, args ...any) {
		d.info.Problems = append(d.info.Problems, fmt.Sprintf(format, args...))
	}
	switch {
	case last.hwmon:
		problem("gpu_metrics v%s: %v; power comes from hwmon, and there is no energy counter; a newer wattmark may know it",
			last.table, ErrTableUnknown)
	case d.failed != nil:
		problem("it did not answer at start: %v; it is asked again at every reading", d.failed)
	case counter.verdict == refused:
		problem("the energy counter is not used: %s; energy comes from power", counter.why)
	case counter.verdict == unknown:
		problem("the energy counter could not be judged yet; until then energy comes from power")
	}
	if d.judge.clocks != "" && !last.hwmon {
		problem("%s", d.judge.clocks)
	}
	if last.sensor == sensorAverage {
		problem("power is an average over a window that AMD does not document; trust the energy counter more")
	}
	if d.tooOld {
		problem("libamd_smi is older than the driver (code 43), it is read from sysfs; install the ROCm of the driver or newer")
	}
	if d.compute != "" && d.compute != "SPX" && d.compute != "N/A" {
		problem("compute partition mode %s: the partitions share one power sensor and count as one GPU", d.compute)
	}
}
