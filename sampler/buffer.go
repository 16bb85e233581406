package sampler

// PowerSample is one sample of a driver's own power buffer.
type PowerSample struct {
	At    Moment // when the driver took it
	Watts float64
}

// PowerSamples is what a driver's own buffer of power samples held when it was asked.
type PowerSamples struct {
	Samples []PowerSample // oldest first
	Clock   StampClock    // with which the driver stamps them; "" while there is none to tell it by
	Empty   int           // samples without a stamp: padding, not measurements; left out
	Mixed   int           // samples that were not newer than the one before; left out
}

// StampClock is the clock that a driver's stamps were found to be of.
type StampClock string

// The clocks.
const (
	StampUnix      StampClock = "unix"      // CLOCK_REALTIME
	StampBoot      StampClock = "boot"      // CLOCK_BOOTTIME
	StampMonotonic StampClock = "monotonic" // CLOCK_MONOTONIC
	StampUnknown   StampClock = "unknown"   // none of the host's: the newest sample is taken to be 20 ms old
)
