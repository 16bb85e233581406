package sim

import (
	"math"
	"time"

	"wattmark/sampler"
)

// Config describes a simulated GPU. The zero Config is an idle H200.
type Config struct {
	Model   string        // "H200" and the like; see Parse. Empty: H200
	Host    string        // empty: "sim"
	Index   int           // UUID, bus id and the phases of the sensors follow from it
	Load    Load          // nil: the model's idle power
	Sensors Sensors       // zero: the model's, with phases by Index
	Faults  []Fault       // all of them apply
	Clock   sampler.Clock // the one the sampler uses; zero: a new one
	Origin  time.Time     // time 0 of Load and Faults; zero: now
}

// GPU is a simulated GPU. It does not change after New, so all methods are safe for concurrent use.
type GPU struct {
	info    sampler.Info
	model   model
	load    Load
	sensors Sensors
	faults  []Fault
	clock   sampler.Clock
	origin  time.Time
	// counterOrigin is what the counter showed at time 0, in joules: real ones count since the driver was loaded.
	counterOrigin float64
}

// New returns a GPU. It panics if the model is not one that Parse knows.
func New(c Config) *GPU {
	name := c.Model
	if name == "" {
		name = "H200"
	}
	kind, err := findModel(name)
	if err != nil {
		panic(err)
	}
	if c.Host == "" {
		c.Host = "sim"
	}
	if c.Load == nil {
		c.Load = Constant(kind.idle)
	}
	if c.Sensors == (Sensors{}) {
		c.Sensors = kind.sensors.shifted(c.Index)
	}
	if c.Clock == (sampler.Clock{}) {
		c.Clock = sampler.NewClock()
	}
	if c.Origin.IsZero() {
		c.Origin = time.Now()
	}
	g := &GPU{
		info: kind.info(c.Host, c.Index), model: kind, load: c.Load, sensors: c.Sensors, faults: c.Faults,
		clock: c.Clock, origin: c.Origin, counterOrigin: 1e6 + 12345.678*float64(c.Index),
	}
	g.info.HasCounter = g.sensors.CounterQuantum > 0
	g.info.CounterPeriod = g.sensors.CounterPeriod
	g.info.PowerRefresh = g.sensors.Refresh
	switch {
	case g.sensors.Socket:
		g.info.PowerSource = "socket"
	case g.sensors.AverageWindow > 0:
		g.info.PowerSource = "average"
		g.info.PowerPeriod = g.sensors.AverageWindow
	default:
		g.info.PowerSource = "instant"
	}
	return g
}

// Info describes the GPU.
func (g *GPU) Info() sampler.Info { return g.info }

// Read asks the simulated driver now. It blocks during Hang, and fails during Drop and after Lost.
func (g *GPU) Read() (sampler.Reading, error) {
	before := time.Now()
	start := before.Sub(g.origin)
	if hung, ok := g.during(hang, start); ok {
		time.Sleep(hung.to - start)
	}
	answer := time.Since(g.origin)
	for _, f := range g.faults {
		if f.kind == callTime {
			time.Sleep(f.from)
			answer += f.from / 2
		}
	}
	if _, ok := g.during(lost, answer); ok {
		return sampler.Reading{}, ErrLost
	}
	if _, ok := g.during(drop, start); ok {
		return sampler.Reading{}, ErrDropped
	}
	reading := g.at(answer)
	after := time.Now()
	reading.At = g.clock.Middle(before, after)
	reading.Call = after.Sub(before)
	return reading, nil
}

// Origin is time 0 of the load.
func (g *GPU) Origin() time.Time { return g.origin }

// Load is the truth.
func (g *GPU) Load() Load { return g.load }

// TrueJoules is the energy that the GPU used between two times, exactly.
func (g *GPU) TrueJoules(from, to time.Time) float64 {
	return g.load.EnergyJoules(to.Sub(g.origin).Seconds()) - g.load.EnergyJoules(from.Sub(g.origin).Seconds())
}

// Moment is the moment t seconds after the origin.
func (g *GPU) Moment(t float64) sampler.Moment { return g.clock.Moment(g.origin.Add(duration(t))) }

// At is what the sensors show t seconds after the origin, with a driver call that takes no time. Faults of the driver
// call (Drop, Hang, Lost, CallTime) do not apply.
func (g *GPU) At(t float64) sampler.Reading { return g.at(duration(t)) }

// Series is what a sampler would have recorded that reads at from, from+every, … up to to; times are since the origin.
// Reads that Drop, Hang or Lost would have spoiled are left out. Nothing waits.
func (g *GPU) Series(from, to, every time.Duration) sampler.Series {
	series := sampler.Series{Info: g.info}
	for t := from; t <= to; t += every {
		if !g.silent(t) {
			series.Readings = append(series.Readings, g.at(t))
		}
	}
	return series
}

func (g *GPU) silent(t time.Duration) bool {
	for _, kind := range []faultKind{drop, hang, lost} {
		if _, ok := g.during(kind, t); ok {
			return true
		}
	}
	return false
}

// at is what the sensors show at t since the origin.
func (g *GPU) at(t time.Duration) sampler.Reading {
	s := g.sensors
	reading := sampler.Reading{At: g.clock.Moment(g.origin.Add(t))}
	if _, missing := g.during(counterMissing, t); s.CounterQuantum > 0 && !missing {
		joules := g.counter(lastTick(t, s.CounterPhase, s.CounterPeriod))
		reading.EnergyJoules = sampler.Some(multiple(joules, s.CounterQuantum, math.Floor))
	}
	refreshed := lastTick(t, s.RefreshPhase, s.Refresh)
	if _, missing := g.during(powerMissing, t); !missing {
		g.setPower(&reading, refreshed)
	}
	g.setContext(&reading, refreshed)
	return reading
}

// setPower fills in the power sensors as refreshed at t.
func (g *GPU) setPower(reading *sampler.Reading, t time.Duration) {
	s := g.sensors
	show := func(window time.Duration) sampler.Value {
		watts := mean(g.load, t, window)
		if spike, ok := g.during(powerSpike, t); ok {
			watts = spike.value
		}
		return sampler.Some(multiple(watts, s.PowerQuantum, math.Round))
	}
	if s.AverageWindow > 0 {
		reading.PowerWatts = show(s.AverageWindow)
	}
	if s.InstantWindow > 0 && !s.Socket {
		reading.InstantWatts = show(s.InstantWindow)
	}
	if s.AverageWindow <= 0 && s.InstantWindow > 0 {
		reading.PowerWatts = show(s.InstantWindow)
	}
}

// setContext fills in what follows from power: a temperature that lags by seconds, clocks that fall near the limit.
func (g *GPU) setContext(reading *sampler.Reading, t time.Duration) {
	m := g.model
	heat := mean(g.load, t, 20*time.Second) / m.limit
	now := mean(g.load, t, 25*time.Millisecond)
	reading.TemperatureC = sampler.SomeGauge(math.Round(28 + 42*heat))
	if now < 1.2*m.idle {
		reading.ClockMHz = sampler.SomeGauge(345)
		reading.Utilization, reading.MemoryUtilization = sampler.SomeGauge(0), sampler.SomeGauge(0)
	} else {
		reading.ClockMHz = sampler.SomeGauge(math.Round(m.clock * min(1, 1.2-0.3*now/m.limit)))
		reading.Utilization = sampler.SomeGauge(1)
		reading.MemoryUtilization = sampler.SomeGauge(min(1, math.Round(60*now/m.limit)/100))
	}
	reading.MemoryClockMHz = sampler.SomeGauge(m.memory)
	if reading.ThrottleKnown = true; now >= m.limit {
		reading.Throttle = sampler.ThrottlePowerCap
	}
}

func duration(seconds float64) time.Duration {
	return time.Duration(math.Round(seconds * float64(time.Second)))
}
