package promsource

import (
	"cmp"
	"net"
	"strconv"
	"strings"
	"time"

	"wattmark/sampler"
)

// Exporter says under which names and labels, and in which units, an exporter shows GPUs.
type Exporter struct {
	Name string

	// Metrics. Stamp is when the values beside it were read, in Unix seconds; "": the exporter does not say. Instant is
	// power over tens of milliseconds where Power is a longer mean; "": none.
	Power, Instant, Energy, Stamp string
	// Identity is the metric whose series tell which GPUs there are, with their labels.
	Identity string
	// Limit and Period are the power limit in W and the time between two steps of the energy counter in s; "": unknown.
	Limit, Period string

	Method         string  // value of the label method that Energy must have, where it has one; "": any
	JoulesPerCount float64 // of Energy

	// Age is how old a reading may be when it is scraped, where the exporter has no Stamp: its collection interval.
	Age time.Duration

	// Labels.
	GPU, UUID, BusID, Model, Driver string
	Host                            []string // the first of these that a series has names the host
}

// Wattmark is wattmark's own /metrics.
func Wattmark() Exporter {
	const prefix = "wattmark_gpu_"
	return Exporter{
		Name: "wattmark", Power: prefix + "power_watts", Instant: prefix + "instant_power_watts", Energy: prefix + "energy_joules_total",
		Stamp: prefix + "last_sample_timestamp_seconds", Identity: prefix + "info", Limit: prefix + "power_limit_watts",
		Period: prefix + "energy_step_seconds", Method: "counter", JoulesPerCount: 1,
		GPU: "gpu", UUID: "uuid", BusID: "pci_bus_id", Model: "model", Driver: "driver_version", Host: []string{"node", "instance"},
	}
}

// DCGM is NVIDIA's dcgm-exporter with its names up to 4.8, as wattmark's --dcgm-listen has them too. age is its
// collection interval.
func DCGM(age time.Duration) Exporter {
	const prefix = "DCGM_FI_DEV_"
	return Exporter{
		Name: "dcgm", Power: prefix + "POWER_USAGE", Energy: prefix + "TOTAL_ENERGY_CONSUMPTION", Identity: prefix + "POWER_USAGE",
		JoulesPerCount: 1e-3, Age: age,
		GPU: "gpu", UUID: "UUID", BusID: "pci_bus_id", Model: "modelName", Driver: "DCGM_FI_DRIVER_VERSION",
		Host: []string{"Hostname", "hostname", "node", "instance"},
	}
}

// values are the metrics that are read sample by sample.
func (e Exporter) values() []string {
	var names []string
	for _, name := range []string{e.Power, e.Instant, e.Energy, e.Stamp} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// key names the GPU that a series is of: the labels that all its series share.
func (e Exporter) key(labels map[string]string) string {
	var key strings.Builder
	for _, name := range sortedKeys(labels) {
		switch name {
		case "__name__", "method", "vendor", "power_source", e.BusID, e.Model, e.Driver:
			continue // of some of its series only
		}
		key.WriteString(name)
		key.WriteByte('\xff') // in no valid label
		key.WriteString(labels[name])
		key.WriteByte('\xff')
	}
	return key.String()
}

// info is what the labels tell of a GPU.
func (e Exporter) info(labels map[string]string, hostLabel string) sampler.Info {
	index, err := strconv.Atoi(labels[e.GPU])
	if err != nil {
		index = -1
	}
	info := sampler.Info{
		Host: e.host(labels, hostLabel), UUID: labels[e.UUID], BusID: labels[e.BusID], Index: index,
		Vendor: cmp.Or(labels["vendor"], "nvidia"), Model: labels[e.Model], Driver: labels[e.Driver],
		Scope: sampler.ScopeGPU, PowerSource: cmp.Or(labels["power_source"], "average"),
	}
	info.Simulated = info.Driver == "simulated"
	if busID := sampler.BusID(info.BusID); busID != "" {
		info.BusID = busID
	}
	if info.Vendor == "nvidia" { // as vendor_nvidia has it
		const refresh, average = 100 * time.Millisecond, time.Second
		info.CounterPeriod = refresh
		if info.PowerRefresh = refresh; labels["power_source"] == "average" {
			info.PowerPeriod = average
		}
	}
	return info
}

// host is a label's value without a port, so that a host is the same whichever exporter is scraped on it.
func (e Exporter) host(labels map[string]string, hostLabel string) string {
	names := e.Host
	if hostLabel != "" {
		names = []string{hostLabel}
	}
	for _, name := range names {
		if value := labels[name]; value != "" {
			if host, _, err := net.SplitHostPort(value); err == nil {
				return host
			}
			return value
		}
	}
	return ""
}
