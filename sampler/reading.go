package sampler

import "time"

// Reading is what one driver call said. It holds no pointers and is 72 bytes.
type Reading struct {
	// At is when the values held: the middle of the driver call (Clock.Middle), ± Call/2, or the driver's own stamp
	// where it gives one.
	At   Moment
	Call time.Duration // how long the driver call took

	PowerWatts   Value // the sensor that Info.PowerSource and Info.PowerPeriod describe
	InstantWatts Value // power over the last tens of milliseconds, where the vendor has it as well
	EnergyJoules Value // the GPU's energy counter; its origin is arbitrary

	TemperatureC   Gauge
	ClockMHz       Gauge // of the streaming multiprocessors or compute units
	MemoryClockMHz Gauge
	Utilization    Gauge // 0 to 1: share of the last sample period in which a kernel ran
	// MemoryUtilization is the share, 0 to 1, of that period in which the GPU's memory was read or written.
	MemoryUtilization Gauge
	Throttle          Throttle
	ThrottleKnown     bool // the driver said whether the GPU is throttled
	Stretched         bool // the sampler reads less often than it should, for driver calls are slow; set by the sampler
	Step              bool // made between ticks only to see the energy counter step; set by the sampler
}

// Power returns the power closest to At: the instantaneous value, else PowerWatts.
func (r Reading) Power() Value {
	if r.InstantWatts.OK() {
		return r.InstantWatts
	}
	return r.PowerWatts
}

// Throttle is a set of reasons for which a GPU runs below its clocks.
type Throttle uint8

// The reasons, in the words of nvidia-smi's clocks_event_reasons.
const (
	ThrottlePowerCap   Throttle = 1 << iota // at the software power limit
	ThrottleThermal                         // too hot, by software or hardware
	ThrottleHardware                        // hardware slowdown
	ThrottlePowerBrake                      // the host's power brake
	ThrottleOther                           // sync boost, board limit, reliability
)

// ThrottleReasons is how many reasons there are.
const ThrottleReasons = 5

// Series is what one GPU's sensors said in a span of time, oldest first.
type Series struct {
	Info     Info
	Readings []Reading
}
