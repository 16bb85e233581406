package amd

import (
	"errors"
	"fmt"
	"time"

	"wattmark/sampler"
)

// What can be wrong with a table that was read without error.
var (
	ErrEmptyTable = errors.New("the driver's table is empty")
	ErrStaleTable = errors.New("the driver's table is not refreshed")
)

// How far a driver's stamp may lie from the call that got it, before it is taken to be of another clock.
const (
	stampBefore = time.Second
	stampAfter  = 2 * time.Millisecond
)

// staleAfter is how long one and the same table may come back. The library keeps tables for 1 ms, old ones for 100 ms.
const staleAfter = time.Second

// judge turns one GPU's samples into readings: it decides what in a sample is a measurement.
type judge struct {
	previous sample
	seen     int64 // CLOCK_MONOTONIC when the stamp of previous was first seen
	counter  counter
	clocks   string // what was found wrong with the stamp, for people
}

// reading returns the sample as a reading. now is a time of this process on both clocks, offset how far CLOCK_BOOTTIME
// is ahead of CLOCK_MONOTONIC.
func (j *judge) reading(s sample, now sampler.Moment, offset time.Duration) (sampler.Reading, error) {
	watts, hasWatts := s.watts.Known()
	if temperature, ok := s.temperatureC.Value().Known(); s.counted && s.counts == 0 && hasWatts && watts == 0 &&
		ok && temperature == 0 {
		return sampler.Reading{}, ErrEmptyTable // as amdgpu gives during a RAS interrupt
	}
	previous := j.previous
	if s.stamp == 0 || s.stamp != previous.stamp || s.counts != previous.counts {
		j.seen = s.begin
	}
	j.previous = s
	if age := time.Duration(s.begin - j.seen); age > staleAfter {
		return sampler.Reading{}, fmt.Errorf("%w for %v", ErrStaleTable, age.Round(time.Millisecond))
	}

	mono := j.time(s, offset)
	r := sampler.Reading{
		At:   now.Add(time.Duration(mono - now.MonoNano)),
		Call: time.Duration(s.end - s.begin),

		PowerWatts:        s.watts,
		TemperatureC:      s.temperatureC,
		ClockMHz:          s.clockMHz,
		MemoryClockMHz:    s.memoryMHz,
		Utilization:       s.utilization,
		MemoryUtilization: s.memoryUtilization,
	}
	// 0 W from a GPU that uses energy is no measurement: the first poll after start-up on MI350, a library that does
	// not know the driver. Nor is it on the first reading, when nobody knows yet.
	if hasWatts && watts == 0 && s.counted && (!previous.counted || s.counts > previous.counts) {
		r.PowerWatts = sampler.Value{}
	}
	j.counter.see(s, mono, r.PowerWatts)
	if s.counted && j.counter.verdict == trusted {
		r.EnergyJoules = sampler.Some(float64(s.counts) / countsPerJoule)
	}
	return r, nil
}

// time returns when the table was filled, on CLOCK_MONOTONIC: by the driver's stamp if that agrees with the call, else
// the middle of the call.
func (j *judge) time(s sample, offset time.Duration) int64 {
	middle := s.begin + (s.end-s.begin)/2
	if s.stamp == 0 {
		j.clocks = "the driver does not stamp its table; the middle of the call is taken instead"
		return middle
	}
	stamp := int64(s.stamp) - int64(offset)
	if stamp < s.begin-int64(stampBefore) || stamp > s.end+int64(stampAfter) {
		j.clocks = fmt.Sprintf("the driver's stamp is %v off this host's CLOCK_BOOTTIME; the middle of the call is taken instead",
			time.Duration(stamp-middle).Round(time.Millisecond))
		return middle
	}
	j.clocks = ""
	return stamp
}

// older reports by how much a sample's stamp is before a time on CLOCK_MONOTONIC, if both are of the same clock.
func older(s sample, than int64, offset time.Duration) bool {
	stamp := int64(s.stamp) - int64(offset)
	return s.stamp != 0 && stamp < than && stamp >= than-int64(stampBefore)
}
