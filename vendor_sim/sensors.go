package sim

import (
	"math"
	"time"
)

// Sensors are what a driver shows of a load. Each updates at Phase + k·Period of model time and keeps its value in
// between. The zero value means those of the GPU's model.
type Sensors struct {
	// The energy counter. At a tick it shows the energy up to then, rounded down to a multiple of CounterQuantum.
	CounterQuantum float64       // J; 0: there is no counter
	CounterPeriod  time.Duration // between ticks; 0: it is always up to date
	CounterPhase   time.Duration

	// The power sensors. Both are refreshed at the same time, and rounded to multiples of PowerQuantum.
	AverageWindow time.Duration // POWER_AVERAGE: the mean over this long before a refresh; 0: there is none
	InstantWindow time.Duration // POWER_INSTANT: likewise
	Refresh       time.Duration // 0: always up to date
	RefreshPhase  time.Duration
	PowerQuantum  float64 // W; 0: not rounded

	// Socket means that the vendor has one power only, called "socket" (AMD): the one of InstantWindow.
	Socket bool
}

// HopperSensors are those of Ampere (except GA100) and later: a counter in mJ that ticks every 100 ms, power averaged
// over 1 s and over 25 ms.
func HopperSensors() Sensors {
	return Sensors{
		CounterQuantum: 0.001, CounterPeriod: 100 * time.Millisecond,
		AverageWindow: time.Second, InstantWindow: 25 * time.Millisecond,
		Refresh: 100 * time.Millisecond, PowerQuantum: 0.001,
	}
}

// A100Sensors are those of GA100: no average, and refreshed a little slower.
func A100Sensors() Sensors {
	s := HopperSensors()
	s.AverageWindow = 0
	s.Refresh = 101300 * time.Microsecond
	s.CounterPeriod = s.Refresh
	return s
}

// MI300Sensors are those of AMD's MI300: whole watts, and a counter of 2⁻¹⁶ J that the driver stamps itself.
func MI300Sensors() Sensors {
	return Sensors{
		CounterQuantum: 1.0 / 65536, InstantWindow: time.Millisecond, Refresh: time.Millisecond,
		PowerQuantum: 1, Socket: true,
	}
}

// shifted returns s with phases of its own for the GPU of this index: real sensors tick independently.
func (s Sensors) shifted(index int) Sensors {
	s.CounterPhase = time.Duration(index*37+13) * time.Millisecond % max(1, s.CounterPeriod)
	s.RefreshPhase = time.Duration(index*53+29) * time.Millisecond % max(1, s.Refresh)
	return s
}

// lastTick returns the last time at or before t at which a sensor updated.
func lastTick(t, phase, period time.Duration) time.Duration {
	if period <= 0 {
		return t
	}
	age := (t - phase) % period
	if age < 0 {
		age += period
	}
	return t - age
}

// mean returns the average power of load over the window before t; the power at t if the window has no length.
func mean(load Load, t, window time.Duration) float64 {
	if window <= 0 {
		return load.PowerWatts(t.Seconds())
	}
	return (load.EnergyJoules(t.Seconds()) - load.EnergyJoules((t - window).Seconds())) / window.Seconds()
}

// multiple rounds x to a multiple of quantum with round; 0 leaves it as it is.
func multiple(x, quantum float64, round func(float64) float64) float64 {
	if quantum <= 0 {
		return x
	}
	if per := math.Round(1 / quantum); per > 1 { // mJ: dividing by 1000 is exact to the last digit
		return round(x*per) / per
	}
	return round(x/quantum) * quantum
}
