package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"wattmark/bench/spread"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// practice is a way to measure a window: which readings are made, and what is made of them.
type practice struct {
	name   string
	today  bool    // what is done without wattmark: no bound
	marks  bool    // readings are made at the marks
	burst  bool    // and every 10 ms after them until the counter has ticked and power is new
	every  float64 // seconds between readings while the window is open; 1 before and after
	no     string  // a sensor that the GPU lacks: "counter", "counter and average"
	method window.Method
}

func practices() []practice {
	return []practice{
		{name: "counter, tick seen after the mark", marks: true, burst: true, every: 1},
		{name: "counter, tick not seen", marks: true, every: 1},
		{name: "counter, marked afterwards", every: 1},
		{name: "no counter: 1 s average, 10 Hz", marks: true, every: 0.1, no: "counter"},
		{name: "no counter: 1 s average, 1 Hz", marks: true, every: 1, no: "counter"},
		{name: "no counter, no average: 25 ms mean, 10 Hz", marks: true, every: 0.1, no: "counter and average"},
		{name: "today: 1 Hz average, trapezoid", today: true, every: 1, method: window.Trapezoid},
	}
}

type load struct {
	name string
	make func(rng *rand.Rand) sim.Load
}

func loads() []load {
	return []load{
		{"constant", func(rng *rand.Rand) sim.Load { return sim.Constant(450 + 200*rng.Float64()) }},
		{"decode", func(rng *rand.Rand) sim.Load { return sim.NewDecode(sim.ServingH200(rng.Uint64())) }},
		{"sine", func(rng *rand.Rand) sim.Load {
			return sim.Sine{Mean: 500, Amplitude: 150, Period: 3 + 10*rng.Float64(), Phase: 6 * rng.Float64()}
		}},
		{"square", func(rng *rand.Rand) sim.Load {
			return sim.Shift{Load: sim.Square{Low: 100, High: 690, Period: 1.5 + rng.Float64(), Duty: 0.5}, By: 3 * rng.Float64()}
		}},
	}
}

const idleWatts = 80

// run measures windows of so many seconds by a practice. Equal arguments give equal results.
func run(p practice, l load, seconds float64, windows int) spread.Spread {
	errors, bounds := make([]float64, windows), make([]float64, windows)
	for i := range windows {
		rng := rand.New(rand.NewPCG(uint64(i), uint64(seconds)))
		start := rng.Float64()
		sensors := sim.HopperSensors()
		sensors.CounterPeriod = time.Duration((99.9 + 2*rng.Float64()) * float64(time.Millisecond)) // 99.9 to 101.9, as on record
		sensors.CounterPhase = time.Duration(rng.Float64() * float64(sensors.CounterPeriod))
		// As seen on H100 and A100 (99 to 104 ms). Of exactly 100 ms, in windows of whole seconds, all errors would be the same
		// at the beginning and at the end, and cancel.
		sensors.Refresh = time.Duration((99.5 + 3*rng.Float64()) * float64(time.Millisecond))
		sensors.RefreshPhase = time.Duration(rng.Float64() * float64(sensors.Refresh))
		seconds := seconds - 0.5 + rng.Float64()
		switch p.no {
		case "counter":
			sensors.CounterQuantum = 0
		case "counter and average":
			sensors.CounterQuantum, sensors.AverageWindow = 0, 0
		}
		gpu := sim.New(sim.Config{
			Load:    sim.Busy{Load: l.make(rng), IdleWatts: idleWatts, Start: start, End: start + seconds},
			Sensors: sensors,
		})
		series := p.readings(gpu, start, start+seconds, rng.Float64())
		if p.today {
			series.Info.PowerRefresh = 0 // a CSV says nothing of the driver's lag
		}
		result := window.Measure(window.Recorded{series},
			window.Window{Start: gpu.Moment(start), End: gpu.Moment(start + seconds)},
			window.Limits{AllowSimulated: true, Method: p.method})
		energy, ok := result.GPUs[0].Energy.Known()
		if !ok {
			panic(fmt.Sprintf("%s, %s: %v", p.name, l.name, result.AllReasons()))
		}
		truth := gpu.Load().EnergyJoules(start+seconds) - gpu.Load().EnergyJoules(start)
		errors[i] = 100 * (energy - truth) / truth
		bounds[i] = 100 * result.GPUs[0].Bound.Or(0) / truth
	}
	return spread.Of(errors, bounds)
}

// readings returns what the sampler has of the window: its schedule, whose phase to the marks is random, and what the
// marks add. mark-start reads and then stamps, mark-end stamps and then reads.
func (p practice) readings(gpu *sim.GPU, start, end, phase float64) sampler.Series {
	const mark = 0.0003 // s between a stamp and its reading
	var times []float64
	for t := phase - 8; t < end+2; t++ {
		times = append(times, t)
	}
	if p.every < 1 {
		for t := start + p.every*phase; t < end; t += p.every {
			times = append(times, t)
		}
	}
	for _, at := range []float64{start - mark, end + mark} {
		if p.marks {
			times = append(times, at)
		}
		if p.burst {
			times = append(times, followed(gpu, at)...)
		}
	}
	slices.Sort(times)
	series := sampler.Series{Info: gpu.Info()}
	last := math.Inf(-1)
	for _, t := range times {
		if t > last {
			series.Readings = append(series.Readings, gpu.At(t))
		}
		last = t
	}
	return series
}

// followed are the times at which the sampler reads after a mark: every 10 ms until the counter has ticked and power
// has been refreshed on what came after the mark, at most 12 times.
func followed(gpu *sim.GPU, at float64) []float64 {
	var times []float64
	ticked, refreshed := false, false
	last := gpu.At(at)
	for i := 1; i <= 12 && (!ticked || !refreshed); i++ {
		t := at + 0.010*float64(i)
		now := gpu.At(t)
		times = append(times, t)
		ticked = ticked || now.EnergyJoules != last.EnergyJoules
		refreshed = refreshed || now.Power() != last.Power() && i > 3
		last = now
	}
	return times
}
