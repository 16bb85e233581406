//go:build linux && cgo

package nvidia

import (
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wattmark/sampler"
)

// conditionsAge is how old the conditions of a measurement may be: younger than a tick of 1 s, so that each tick reads it
// anew, while the many reads that a mark makes within milliseconds share one.
const conditionsAge = 900 * time.Millisecond

// conditions are what is told beside power and energy. What the driver does not answer is missing; it fails no read.
type conditions struct {
	at time.Time // when it was read; zero: never

	temperature, temperatureV, smClock, memoryClock, utilization, events, throttles support

	celsius, smMHz, memoryMHz, ratio, memoryRatio sampler.Gauge
	throttle                                      sampler.Throttle
	throttleKnown                                 bool
}

func newConditions(has symbols) conditions {
	c := conditions{}
	for _, each := range []struct {
		symbol  string
		support *support
	}{
		{"nvmlDeviceGetTemperature", &c.temperature},
		{"nvmlDeviceGetTemperatureV", &c.temperatureV},
		{"nvmlDeviceGetClockInfo", &c.smClock},
		{"nvmlDeviceGetClockInfo", &c.memoryClock},
		{"nvmlDeviceGetUtilizationRates", &c.utilization},
		{"nvmlDeviceGetCurrentClocksEventReasons", &c.events},
		{"nvmlDeviceGetCurrentClocksThrottleReasons", &c.throttles},
	} {
		if !has.has(each.symbol) {
			*each.support = refused
		}
	}
	return c
}

// refresh asks the driver again if they are too old.
func (c *conditions) refresh(handle nvml.Device) {
	now := time.Now()
	if !c.at.IsZero() && now.Sub(c.at) < conditionsAge {
		return
	}
	c.at = now
	c.celsius = c.temperature.gauge(func() (float64, nvml.Return) {
		celsius, ret := handle.GetTemperature(nvml.TEMPERATURE_GPU)
		return float64(celsius), ret
	})
	if c.temperature == refused { // its successor is missing in older drivers
		c.celsius = c.temperatureV.gauge(func() (float64, nvml.Return) {
			temperature, ret := handle.GetTemperatureV().V1()
			return float64(temperature.Temperature), ret
		})
	}
	c.smMHz = c.smClock.gauge(func() (float64, nvml.Return) {
		mhz, ret := handle.GetClockInfo(nvml.CLOCK_SM)
		return float64(mhz), ret
	})
	c.memoryMHz = c.memoryClock.gauge(func() (float64, nvml.Return) {
		mhz, ret := handle.GetClockInfo(nvml.CLOCK_MEM)
		return float64(mhz), ret
	})
	c.memoryRatio = sampler.Gauge{}
	c.ratio = c.utilization.gauge(func() (float64, nvml.Return) {
		rates, ret := handle.GetUtilizationRates()
		if ret == nvml.SUCCESS {
			c.memoryRatio = sampler.SomeGauge(float64(rates.Memory) / 100)
		}
		return float64(rates.Gpu) / 100, ret
	})
	c.throttle, c.throttleKnown = c.throttleReasons(handle)
}

// gauge asks for one number, unless the GPU is known not to have it.
func (s *support) gauge(ask func() (float64, nvml.Return)) sampler.Gauge {
	if *s == refused {
		return sampler.Gauge{}
	}
	x, ret := ask()
	s.note(Code(ret))
	if ret != nvml.SUCCESS {
		return sampler.Gauge{}
	}
	return sampler.SomeGauge(x)
}

func (c *conditions) throttleReasons(handle nvml.Device) (set sampler.Throttle, known bool) {
	var bits uint64
	ret := nvml.ERROR_NOT_SUPPORTED
	switch {
	case c.events != refused:
		bits, ret = handle.GetCurrentClocksEventReasons()
		c.events.note(Code(ret))
	case c.throttles != refused: // its name before driver 535
		bits, ret = handle.GetCurrentClocksThrottleReasons()
		c.throttles.note(Code(ret))
	}
	if ret != nvml.SUCCESS {
		return 0, false
	}
	return throttle(bits), true
}

// throttle translates nvmlClocksEventReasons. Idle, application clocks and display clocks are no reasons to worry.
func throttle(bits uint64) (set sampler.Throttle) {
	for _, each := range []struct {
		bits   uint64
		reason sampler.Throttle
	}{
		{nvml.ClocksEventReasonSwPowerCap, sampler.ThrottlePowerCap},
		{nvml.ClocksEventReasonSwThermalSlowdown | nvml.ClocksThrottleReasonHwThermalSlowdown, sampler.ThrottleThermal},
		{nvml.ClocksThrottleReasonHwSlowdown, sampler.ThrottleHardware},
		{nvml.ClocksThrottleReasonHwPowerBrakeSlowdown, sampler.ThrottlePowerBrake},
		{nvml.ClocksEventReasonSyncBoost | nvml.ClocksEventReasonBoardLimit | nvml.ClocksEventReasonReliability, sampler.ThrottleOther},
	} {
		if bits&each.bits != 0 {
			set |= each.reason
		}
	}
	return set
}

func (c *conditions) fill(r *sampler.Reading) {
	r.TemperatureC, r.ClockMHz, r.MemoryClockMHz = c.celsius, c.smMHz, c.memoryMHz
	r.Utilization, r.MemoryUtilization = c.ratio, c.memoryRatio
	r.Throttle, r.ThrottleKnown = c.throttle, c.throttleKnown
}
