package promdouble

import (
	"maps"
	"time"

	"wattmark/sampler"
)

// Scrape is what a Prometheus stores of wattmark's /metrics for one GPU, made from the readings that wattmark had:
// at each of times (Unix milliseconds) the last reading before. A GPU is of info and shows what the readings have.
func Scrape(target map[string]string, info sampler.Info, readings []sampler.Reading, times []int64) []Series {
	labels := maps.Clone(target)
	labels["gpu"], labels["uuid"] = "0", info.UUID
	identity := maps.Clone(labels)
	identity["vendor"], identity["model"], identity["pci_bus_id"] = info.Vendor, info.Model, info.BusID
	identity["driver_version"], identity["power_source"] = info.Driver, info.PowerSource
	counter := maps.Clone(labels)
	counter["method"] = "counter"
	const prefix = "wattmark_gpu_"
	all := map[string]*Series{}
	of := func(name string, labels map[string]string) *Series {
		if all[name] == nil {
			labels = maps.Clone(labels)
			labels["__name__"] = prefix + name
			all[name] = &Series{Labels: labels}
		}
		return all[name]
	}
	next, first := 0, sampler.Value{}
	for _, ms := range times {
		for next < len(readings) && readings[next].At.UnixNano <= ms*int64(time.Millisecond) {
			next++
		}
		if next == 0 {
			continue
		}
		r := readings[next-1]
		put := func(name string, labels map[string]string, value sampler.Value) {
			if x, ok := value.Known(); ok {
				s := of(name, labels)
				s.Samples = append(s.Samples, Sample{ms, x})
			}
		}
		put("info", identity, sampler.Some(1))
		put("power_limit_watts", labels, info.PowerLimitWatts)
		if info.HasCounter && info.CounterPeriod > 0 {
			put("energy_step_seconds", labels, sampler.Some(info.CounterPeriod.Seconds()))
		}
		put("last_sample_timestamp_seconds", labels, sampler.Some(r.At.Unix()))
		if count, ok := r.EnergyJoules.Known(); ok {
			first = sampler.Some(first.Or(count))
			put("energy_joules_total", counter, sampler.Some(count-first.Or(0)))
		}
		if ms*int64(time.Millisecond)-r.At.UnixNano <= int64(3*time.Second) { // older ones are not shown
			put("power_watts", labels, r.PowerWatts)
			put("instant_power_watts", labels, r.InstantWatts)
		}
	}
	var out []Series
	for _, s := range all {
		out = append(out, *s)
	}
	return out
}
