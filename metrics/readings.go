package metrics

import (
	"math"
	"runtime"
	"strconv"
	"time"

	"wattmark/sampler"
)

// readings tells what the sampler knows.
type readings struct {
	Options
	readingFamilies

	latest []sampler.Status // of the scrape before: for its memory
}

type readingFamilies struct {
	info, power, instant, limit, energy, temperature, clock, utilization, last *family

	stretch, period, throttle, gaps, rejected                                 *family
	samples, missed, callMax, interval, ringSize, ringUsed, retained, dropped *family
	duration, lateness                                                        *family

	backendUp, windowsOpen, buildInfo *family
}

func newReadings(c *catalogue, o Options) *readings {
	return &readings{Options: o, readingFamilies: readingFamilies{
		info: c.gauge("wattmark_gpu_info", "What the GPU is; power_source names the sensor behind wattmark_gpu_power_watts.",
			"gpu", "uuid", "vendor", "model", "pci_bus_id", "driver_version", "power_source"),
		power:       c.gauge("wattmark_gpu_power_watts", "Board power at the last reading.", "gpu", "uuid"),
		instant:     c.gauge("wattmark_gpu_instant_power_watts", "Board power over the last tens of milliseconds, where the driver has it beside the mean that wattmark_gpu_power_watts is.", "gpu", "uuid"),
		limit:       c.gauge("wattmark_gpu_power_limit_watts", "Power limit in force when wattmark started.", "gpu", "uuid"),
		energy:      c.counter("wattmark_gpu_energy_joules_total", "Energy used since wattmark started, by method: the hardware's counter, or the integral of power.", "gpu", "uuid", "method"),
		temperature: c.gauge("wattmark_gpu_temperature_celsius", "Temperature at the last reading, by sensor: gpu (NVIDIA), hotspot (AMD; where it has none, its edge).", "gpu", "uuid", "sensor"),
		clock:       c.gauge("wattmark_gpu_clock_hertz", "Clock at the last reading, by domain.", "gpu", "uuid", "domain"),
		utilization: c.gauge("wattmark_gpu_utilization_ratio", "Share of time in which the engine was busy, at the last reading.", "gpu", "uuid", "engine"),
		last:        c.gauge("wattmark_gpu_last_sample_timestamp_seconds", "Unix time of the last good reading.", "gpu", "uuid"),

		stretch:  c.gauge("wattmark_gpu_interval_stretch_ratio", "Time between two readings over that configured: more than 1 while driver calls are slow.", "gpu", "uuid"),
		throttle: c.counter("wattmark_gpu_throttle_seconds_total", "Time for which the GPU ran below its clocks, by reason; several may hold at once.", "gpu", "uuid", "reason"),
		rejected: c.counter("wattmark_rejected_readings_total", "Values that no GPU can have had, left out: power, or a step of the energy counter.", "gpu", "quantity"),
		gaps:     c.counter("wattmark_sample_gaps_total", "Times that two good readings of a GPU were further apart than --max-gap.", "gpu"),

		period: c.gauge("wattmark_gpu_energy_step_seconds", "Time between two steps of the energy counter, as measured at start.", "gpu", "uuid"),

		samples:  c.counter("wattmark_samples_total", "Readings asked of the driver, by outcome: ok, error, timeout (the driver gave up), invalid (it answered with neither power nor energy).", "gpu", "outcome"),
		missed:   c.counter("wattmark_missed_ticks_total", "Readings of the schedule left out because the driver call before was still running.", "gpu"),
		callMax:  c.gauge("wattmark_driver_call_max_seconds", "Longest driver call since wattmark started.", "gpu"),
		interval: c.gauge("wattmark_sample_interval_seconds", "Time between two readings of a GPU."),
		ringSize: c.gauge("wattmark_ring_size_samples", "Readings of all GPUs that fit in memory."),
		ringUsed: c.gauge("wattmark_ring_used_samples", "Readings of all GPUs in memory."),
		retained: c.gauge("wattmark_retention_seconds", "How long readings stay in memory: --retention, or less where the memory limit is too low for it."),
		dropped:  c.counter("wattmark_recording_dropped_rows_total", "Readings that did not get into the recording: the disk was full, failed or did not answer. A restart would lose them."),
		duration: c.histogram("wattmark_sample_duration_seconds", "Driver calls of good readings."),
		lateness: c.histogram("wattmark_sample_lateness_seconds", "How long after their time readings of the schedule began."),

		backendUp:   c.gauge("wattmark_backend_up", "Whether the driver library answers: some GPU has a reading younger than three intervals.", "backend"),
		windowsOpen: c.gauge("wattmark_windows_open", "Windows marked as started and not yet ended."),
		buildInfo:   c.gauge("wattmark_build_info", "Versions of wattmark and of Go.", "version", "goversion"),
	}}
}

func (c *readings) tell() {
	c.buildInfo.set(1, c.Version, runtime.Version())
	c.interval.set(c.Interval.Seconds())
	if c.OpenWindows != nil {
		c.windowsOpen.set(float64(c.OpenWindows()))
	}
	now := c.Now()
	size, used, fresh := 0, 0, false
	var calls, late sampler.Histogram
	c.latest = c.Latest(c.latest[:0])
	for _, status := range c.latest {
		size += status.Size
		used += status.Used
		addTo(&calls, status.Calls)
		addTo(&late, status.Late)
		fresh = c.tellGPU(status, now) || fresh
	}
	if c.Backend != nil {
		name, up := c.Backend()
		c.backendUp.set(float(up && fresh), name)
	}
	c.ringSize.set(float64(size))
	c.ringUsed.set(float64(used))
	if c.Retention != nil {
		c.retained.set(c.Retention().Seconds())
	}
	if c.Dropped != nil {
		c.dropped.set(float64(c.Dropped()))
	}
	c.duration.observe(calls)
	c.lateness.observe(late)
}

func addTo(sum *sampler.Histogram, h sampler.Histogram) {
	for i, n := range h.Counts {
		sum.Counts[i] += n
	}
	sum.Sum += h.Sum
}

// tellGPU tells the metrics of one GPU and reports whether its last reading is fresh.
func (c *readings) tellGPU(status sampler.Status, now sampler.Moment) (fresh bool) {
	info := status.Info
	gpu, uuid := strconv.Itoa(info.Index), info.UUID
	c.info.set(1, gpu, uuid, info.Vendor, info.Model, info.BusID, info.Driver, info.PowerSource)
	c.limit.known(info.PowerLimitWatts, 1, gpu, uuid)

	method := "trapezoid"
	if info.PowerPeriod > 0 {
		method = "boxcar"
	}
	c.energy.known(status.CounterJoules, 1, gpu, uuid, "counter")
	c.energy.known(status.PowerJoules, 1, gpu, uuid, method)

	c.samples.set(float64(status.Reads-status.Failed-status.Empty), gpu, "ok")
	c.samples.set(float64(status.Failed-status.Timeout), gpu, "error")
	c.samples.set(float64(status.Timeout), gpu, "timeout")
	c.samples.set(float64(status.Empty), gpu, "invalid")
	c.rejected.set(float64(status.RejectedPower), gpu, "power")
	c.rejected.set(float64(status.RejectedCounts), gpu, "energy")
	c.gaps.set(float64(status.Gaps), gpu)
	if status.ThrottleKnown {
		for i, reason := range throttleReasons() {
			// The two that happen are there from the start, so that increase sees the first time; the others, three
			// series a GPU, once they have.
			if i < 2 || status.Throttled[i] > 0 {
				c.throttle.set(status.Throttled[i].Seconds(), gpu, uuid, reason)
			}
		}
	}
	c.missed.set(float64(status.Missed), gpu)
	c.callMax.set(status.MaxCall.Seconds(), gpu)
	c.stretch.set(float64(status.Stretch), gpu, uuid)
	if period := status.Calibration.Period; period > 0 {
		c.period.set(period.Seconds(), gpu, uuid)
	}

	reading := status.Latest
	if reading.At == (sampler.Moment{}) {
		return false
	}
	c.last.set(reading.At.Unix(), gpu, uuid)
	if now.Sub(reading.At) > max(3*c.Interval, minFresh) {
		return false
	}
	const hertz = 1e6 // per MHz
	c.power.known(reading.PowerWatts, 1, gpu, uuid)
	c.instant.known(reading.InstantWatts, 1, gpu, uuid)
	sensor := "gpu"
	if info.Vendor == "amd" {
		sensor = "hotspot"
	}
	c.temperature.known(decimal(reading.TemperatureC), 1, gpu, uuid, sensor)
	c.clock.known(decimal(reading.ClockMHz), hertz, gpu, uuid, "sm")
	c.clock.known(decimal(reading.MemoryClockMHz), hertz, gpu, uuid, "memory")
	c.utilization.known(decimal(reading.Utilization), 1, gpu, uuid, "gpu")
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
