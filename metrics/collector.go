package metrics

import (
	"math"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wattmark/sampler"
)

// collector writes what the sampler knows as constant metrics.
type collector struct {
	Options
	d descs
}

// descs are the metrics of the catalogue.
type descs struct {
	info, power, instant, limit, energy, temperature, clock, utilization, last *prometheus.Desc

	stretch, period, throttle, gaps, rejected                                 *prometheus.Desc
	samples, missed, callMax, interval, ringSize, ringUsed, retained, dropped *prometheus.Desc
	duration, lateness                                                        *prometheus.Desc

	backendUp, windowsOpen, buildInfo *prometheus.Desc
}

func newCollector(o Options) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("wattmark_"+name, help, labels, nil)
	}
	return &collector{o, descs{
		info: desc("gpu_info", "What the GPU is; power_source names the sensor behind wattmark_gpu_power_watts.",
			"gpu", "uuid", "vendor", "model", "pci_bus_id", "driver_version", "power_source"),
		power:       desc("gpu_power_watts", "Board power at the last reading.", "gpu", "uuid"),
		instant:     desc("gpu_instant_power_watts", "Board power over the last tens of milliseconds, where the driver has it beside the mean that wattmark_gpu_power_watts is.", "gpu", "uuid"),
		limit:       desc("gpu_power_limit_watts", "Power limit in force when wattmark started.", "gpu", "uuid"),
		energy:      desc("gpu_energy_joules_total", "Energy used since wattmark started, by method: the hardware's counter, or the integral of power.", "gpu", "uuid", "method"),
		temperature: desc("gpu_temperature_celsius", "Temperature at the last reading, by sensor: gpu (NVIDIA), hotspot (AMD; where it has none, its edge).", "gpu", "uuid", "sensor"),
		clock:       desc("gpu_clock_hertz", "Clock at the last reading, by domain.", "gpu", "uuid", "domain"),
		utilization: desc("gpu_utilization_ratio", "Share of time in which the engine was busy, at the last reading.", "gpu", "uuid", "engine"),
		last:        desc("gpu_last_sample_timestamp_seconds", "Unix time of the last good reading.", "gpu", "uuid"),

		stretch:  desc("gpu_interval_stretch_ratio", "Time between two readings over that configured: more than 1 while driver calls are slow.", "gpu", "uuid"),
		throttle: desc("gpu_throttle_seconds_total", "Time for which the GPU ran below its clocks, by reason; several may hold at once.", "gpu", "uuid", "reason"),
		rejected: desc("rejected_readings_total", "Values that no GPU can have had, left out: power, or a step of the energy counter.", "gpu", "quantity"),
		gaps:     desc("sample_gaps_total", "Times that two good readings of a GPU were further apart than --max-gap.", "gpu"),

		period: desc("gpu_counter_period_seconds", "Time between two steps of the energy counter, as measured at start.", "gpu", "uuid"),

		samples:  desc("samples_total", "Readings asked of the driver, by outcome: ok, error, timeout (the driver gave up), invalid (it answered with neither power nor energy).", "gpu", "outcome"),
		missed:   desc("missed_ticks_total", "Readings of the schedule left out because the driver call before was still running.", "gpu"),
		callMax:  desc("driver_call_max_seconds", "Longest driver call since wattmark started.", "gpu"),
		interval: desc("sample_interval_seconds", "Time between two readings of a GPU."),
		ringSize: desc("ring_size_samples", "Readings of all GPUs that fit in memory."),
		ringUsed: desc("ring_used_samples", "Readings of all GPUs in memory."),
		retained: desc("retention_seconds", "How long readings stay in memory: --retention, or less where the memory limit is too low for it."),
		dropped:  desc("recording_dropped_rows_total", "Readings that did not get into the recording: the disk was full, failed or did not answer. A restart would lose them."),
		duration: desc("sample_duration_seconds", "Driver calls of good readings."),
		lateness: desc("sample_lateness_seconds", "How long after their time readings of the schedule began."),

		backendUp:   desc("backend_up", "Whether the driver library answers: some GPU has a reading younger than three intervals.", "backend"),
		windowsOpen: desc("windows_open", "Windows marked as started and not yet ended."),
		buildInfo:   desc("build_info", "Versions of wattmark and of Go.", "version", "goversion"),
	}}
}

// Describe lists the metrics, also those that have no series now.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	d := c.d
	for _, desc := range []*prometheus.Desc{
		d.info, d.power, d.instant, d.limit, d.energy, d.temperature, d.clock, d.utilization, d.last,
		d.stretch, d.period, d.throttle, d.gaps, d.rejected, d.samples, d.missed, d.callMax, d.interval, d.ringSize, d.ringUsed, d.retained, d.dropped, d.duration, d.lateness,
		d.backendUp, d.windowsOpen, d.buildInfo,
	} {
		to <- desc
	}
}

// Collect writes the metrics.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	out := writer{to}
	out.gauge(c.d.buildInfo, 1, c.Version, runtime.Version())
	out.gauge(c.d.interval, c.Interval.Seconds())
	if c.OpenWindows != nil {
		out.gauge(c.d.windowsOpen, float64(c.OpenWindows()))
	}
	now := c.Now()
	size, used, fresh := 0, 0, false
	var calls, late sampler.Histogram
	for _, status := range c.Latest() {
		size += status.Size
		used += status.Used
		addTo(&calls, status.Calls)
		addTo(&late, status.Late)
		fresh = c.collectGPU(out, status, now) || fresh
	}
	if c.Backend != nil {
		name, up := c.Backend()
		out.gauge(c.d.backendUp, float(up && fresh), name)
	}
	out.gauge(c.d.ringSize, float64(size))
	out.gauge(c.d.ringUsed, float64(used))
	if c.Retention != nil {
		out.gauge(c.d.retained, c.Retention().Seconds())
	}
	if c.Dropped != nil {
		out.counter(c.d.dropped, float64(c.Dropped()))
	}
	out.histogram(c.d.duration, calls)
	out.histogram(c.d.lateness, late)
}

func addTo(sum *sampler.Histogram, h sampler.Histogram) {
	for i, n := range h.Counts {
		sum.Counts[i] += n
	}
	sum.Sum += h.Sum
}

// collectGPU writes the metrics of one GPU and reports whether its last reading is fresh.
func (c *collector) collectGPU(out writer, status sampler.Status, now sampler.Moment) (fresh bool) {
	info := status.Info
	gpu, uuid := strconv.Itoa(info.Index), info.UUID
	out.gauge(c.d.info, 1, gpu, uuid, info.Vendor, info.Model, info.BusID, info.Driver, info.PowerSource)
	out.known(c.d.limit, info.PowerLimitWatts, 1, gpu, uuid)

	method := "trapezoid"
	if info.PowerPeriod > 0 {
		method = "boxcar"
	}
	out.total(c.d.energy, status.CounterJoules, gpu, uuid, "counter")
	out.total(c.d.energy, status.PowerJoules, gpu, uuid, method)

	out.counter(c.d.samples, float64(status.Reads-status.Failed-status.Empty), gpu, "ok")
	out.counter(c.d.samples, float64(status.Failed-status.Timeout), gpu, "error")
	out.counter(c.d.samples, float64(status.Timeout), gpu, "timeout")
	out.counter(c.d.samples, float64(status.Empty), gpu, "invalid")
	out.counter(c.d.rejected, float64(status.RejectedPower), gpu, "power")
	out.counter(c.d.rejected, float64(status.RejectedCounts), gpu, "energy")
	out.counter(c.d.gaps, float64(status.Gaps), gpu)
	if status.ThrottleKnown {
		for i, reason := range throttleReasons() {
			// The two that happen are there from the start, so that increase sees the first time; the others, three
			// series a GPU, once they have.
			if i < 2 || status.Throttled[i] > 0 {
				out.counter(c.d.throttle, status.Throttled[i].Seconds(), gpu, uuid, reason)
			}
		}
	}
	out.counter(c.d.missed, float64(status.Missed), gpu)
	out.gauge(c.d.callMax, status.MaxCall.Seconds(), gpu)
	out.gauge(c.d.stretch, float64(status.Stretch), gpu, uuid)
	if period := status.Calibration.Period; period > 0 {
		out.gauge(c.d.period, period.Seconds(), gpu, uuid)
	}

	reading := status.Latest
	if reading.At == (sampler.Moment{}) {
		return false
	}
	out.gauge(c.d.last, reading.At.Unix(), gpu, uuid)
	if now.Sub(reading.At) > max(3*c.Interval, minFresh) {
		return false
	}
	const hertz = 1e6 // per MHz
	out.known(c.d.power, reading.PowerWatts, 1, gpu, uuid)
	out.known(c.d.instant, reading.InstantWatts, 1, gpu, uuid)
	sensor := "gpu"
	if info.Vendor == "amd" {
		sensor = "hotspot"
	}
	out.known(c.d.temperature, decimal(reading.TemperatureC), 1, gpu, uuid, sensor)
	out.known(c.d.clock, decimal(reading.ClockMHz), hertz, gpu, uuid, "sm")
	out.known(c.d.clock, decimal(reading.MemoryClockMHz), hertz, gpu, uuid, "memory")
	out.known(c.d.utilization, decimal(reading.Utilization), 1, gpu, uuid, "gpu")
	return true
}

// throttleReasons are the labels of sampler.Throttle's bits, in their order.
func throttleReasons() [sampler.ThrottleReasons]string {
	return [...]string{"power_cap", "thermal", "hardware", "power_brake", "other"}
}

// decimal is the number that g stands for: 0.97, where a float32 holds 0.97000002861.
func decimal(g sampler.Gauge) sampler.Value {
	x, ok := g.Value().Known()
	if !ok {
		return sampler.Value{}
	}
	return sampler.Some(math.Round(x*1e4) / 1e4)
}

// minFresh is for how long a reading is shown at least, however short the interval.
const minFresh = 3 * time.Second
