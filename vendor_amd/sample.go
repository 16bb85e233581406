package amd

import (
	"encoding/binary"
	"fmt"
	"math"

	"wattmark/sampler"
)

// sensor names what a power figure is; it becomes sampler.Info.PowerSource.
type sensor string

const (
	sensorSocket  sensor = "socket"  // current socket power: MI300 and later
	sensorAverage sensor = "average" // average socket power: MI200 and earlier
)

// sample is what one gpu_metrics table says, before it is judged.
type sample struct {
	begin, end int64 // CLOCK_MONOTONIC in ns around the call that got the table

	table  string // version of the driver's table: "1.7"
	hwmon  bool   // that version is not known: this is the power that hwmon has, and all there is
	stamp  uint64 // CLOCK_BOOTTIME in ns when the driver filled the table; 0: not given
	counts uint64 // energy in 2^-16 J since an arbitrary origin
	// counted says that counts is there: 0 is a count like any other.
	counted bool

	watts             sampler.Value
	sensor            sensor // of watts
	temperatureC      sampler.Gauge
	clockMHz          sampler.Gauge
	memoryMHz         sampler.Gauge
	utilization       sampler.Gauge
	memoryUtilization sampler.Gauge
}

// countsPerJoule is the energy counter's unit: 2^-16 J, 15.2587890625 µJ. The library's own "resolution" of 15.3 µJ is
// 0.27 % off and is not used.
const countsPerJoule = 1 << 16

// u16 returns the number at an offset of a table; all ones mean "not available".
func u16(table []byte, at int) (float64, bool) {
	x := binary.LittleEndian.Uint16(table[at:])
	return float64(x), x != math.MaxUint16
}

// setEnergy takes over the accumulator and its time; all ones mean "not available".
func (s *sample) setEnergy(counts, stamp uint64) {
	if counts != math.MaxUint64 {
		s.counts, s.counted = counts, true
	}
	if stamp != math.MaxUint64 {
		s.stamp = stamp
	}
}

// setPower takes over a power figure in W if there is one.
func (s *sample) setPower(watts float64, ok bool, from sensor) {
	if ok {
		s.watts, s.sensor = sampler.Some(watts), from
	}
}

// gauge returns x as a Gauge if there is one.
func gauge(x float64, ok bool) sampler.Gauge {
	if !ok {
		return sampler.Gauge{}
	}
	return sampler.SomeGauge(x)
}

// share returns a percentage as a share of 1; more than 100 % is not a measurement.
func share(percent float64, ok bool) sampler.Gauge {
	return gauge(percent/100, ok && percent <= 100)
}

func tableName(format, revision byte) string { return fmt.Sprintf("%d.%d", format, revision) }
