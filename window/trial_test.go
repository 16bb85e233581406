package window_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// allowed are limits under which simulated GPUs give valid results.
func allowed() window.Limits { return window.Limits{AllowSimulated: true} }

// span is the window of a GPU between two seconds of its clock.
func span(gpu *sim.GPU, a, b float64) window.Window {
	return window.Window{Start: gpu.Moment(a), End: gpu.Moment(b)}
}

// truth is the energy that the GPU used between two seconds of its clock.
func truth(gpu *sim.GPU, a, b float64) float64 {
	return gpu.Load().EnergyJoules(b) - gpu.Load().EnergyJoules(a)
}

// readAt is what a sampler would have recorded at these seconds.
func readAt(gpu *sim.GPU, seconds ...float64) sampler.Series {
	series := sampler.Series{Info: gpu.Info()}
	slices.Sort(seconds)
	for _, t := range seconds {
		series.Readings = append(series.Readings, gpu.At(t))
	}
	return series
}

// measured is the result of one GPU in a valid window.
func measured(t *testing.T, series sampler.Series, w window.Window) window.GPU {
	t.Helper()
	r := window.Measure(window.Recorded{series}, w, allowed())
	if len(r.GPUs) != 1 || !r.Valid() {
		t.Fatalf("%d GPUs, reasons %v; want one, none", len(r.GPUs), r.AllReasons())
	}
	return r.GPUs[0]
}

// trial is a measurement of a simulated GPU between the seconds a and b of its clock.
type trial struct {
	gpu      *sim.GPU
	a, b     float64
	readings []float64 // when the GPU is read
}

// shape is a load between marks at a and b, for a limit of 700 W.
type shape struct {
	name string
	load func(random *rand.Rand, a, b float64) sim.Load
}

// shapes are the ways in which power moves.
func shapes() []shape {
	decode := sim.NewDecode(sim.ServingH200(3))
	vary := func(random *rand.Rand, least, most float64) float64 { return least + (most-least)*random.Float64() }
	return []shape{
		{"constant", func(r *rand.Rand, _, _ float64) sim.Load { return sim.Constant(vary(r, 78, 700)) }},
		{"step at the marks", func(r *rand.Rand, a, b float64) sim.Load {
			return sim.Busy{Load: sim.Constant(vary(r, 300, 700)), IdleWatts: 78, Start: a, End: b}
		}},
		{"ramp", func(r *rand.Rand, a, b float64) sim.Load {
			return sim.Ramp{Before: 78, After: vary(r, 300, 700), Start: a + vary(r, -5, 1), End: b + vary(r, 1, 5)}
		}},
		{"sine", func(r *rand.Rand, _, _ float64) sim.Load {
			return sim.Sine{Mean: 400, Amplitude: vary(r, 50, 300), Period: vary(r, 2.2, 20), Phase: vary(r, 0, 6)}
		}},
		{"square", func(r *rand.Rand, _, _ float64) sim.Load {
			return sim.Shift{By: vary(r, 0, 5), Load: sim.Square{Low: 150, High: 650, Period: vary(r, 0.3, 5), Duty: 0.5}}
		}},
		{"decode", func(r *rand.Rand, _, _ float64) sim.Load { return sim.Shift{By: vary(r, -120, 0), Load: decode} }},
		{"decode between idle", func(r *rand.Rand, a, b float64) sim.Load {
			return sim.Busy{Load: sim.Shift{By: vary(r, -120, 0), Load: decode}, IdleWatts: 80, Start: a, End: b}
		}},
	}
}

// newTrial returns a window of seconds to seconds + 1 with random phases of everything: the marks against the
// schedule, the sensors' ticks and refreshes. The marks lie between readings.
func newTrial(random *rand.Rand, model string, of shape, seconds float64) trial {
	a := 20 + random.Float64()
	tr := trial{a: a, b: a + seconds + random.Float64()}
	sensors := map[string]sim.Sensors{
		"H200": sim.HopperSensors(), "A100": sim.A100Sensors(), "MI300X": sim.MI300Sensors(),
	}[model]
	sensors.CounterPhase = time.Duration(random.Int64N(int64(time.Second)))
	sensors.RefreshPhase = time.Duration(random.Int64N(int64(time.Second)))
	// As seen: 99 to 104 ms. A refresh of exactly 100 ms would be equally old at each reading of the schedule.
	sensors.Refresh = time.Duration(float64(sensors.Refresh) * (0.995 + 0.03*random.Float64()))
	limit := sim.New(sim.Config{Model: model}).Info().PowerLimitWatts.Or(0)
	load := sim.Scale{Load: of.load(random, tr.a, tr.b), Factor: limit / 700}
	tr.gpu = sim.New(sim.Config{Model: model, Sensors: sensors, Load: load})
	for t := a - 8 - random.Float64(); t < tr.b+4; t++ {
		tr.readings = append(tr.readings, t)
	}
	return tr
}

// live polls at the marks, as mark-start and mark-end do.
func (tr trial) live() trial {
	tr.readings = append(slices.Clone(tr.readings), tr.a, tr.b)
	return tr
}

// burst reads on for a tick after each mark.
func (tr trial) burst() trial {
	tr = tr.live()
	for _, mark := range []float64{tr.a, tr.b} {
		for k := 1; k <= 12; k++ {
			tr.readings = append(tr.readings, mark+0.01*float64(k))
		}
	}
	return tr
}

// dense reads at 10 Hz in the window, as the sampler does for a GPU without a counter.
func (tr trial) dense() trial {
	tr = tr.live()
	for at := tr.a + 0.1; at < tr.b; at += 0.1 {
		tr.readings = append(tr.readings, at)
	}
	return tr
}

// flood reads every 30 ms, as the sampler does when marks come by the hundred: the window begins on a reading, and ends on
// none.
func (tr trial) flood() trial {
	tr.readings = append(slices.Clone(tr.readings), every(tr.a-12, tr.b+1, 0.03)...)
	return tr
}

func (tr trial) truth() float64 { return truth(tr.gpu, tr.a, tr.b) }

func (tr trial) measure(method window.Method) window.Result {
	limits := allowed()
	limits.Method = method
	return window.Measure(window.Recorded{readAt(tr.gpu, tr.readings...)}, span(tr.gpu, tr.a, tr.b), limits)
}

// accuracy collects the errors of many trials, as shares of the truth.
type accuracy struct {
	errors []float64
	within int // how many were at most the bound
}

// add adds a trial. An invalid result counts as one outside its bound.
func (acc *accuracy) add(tr trial, r window.Result) {
	energy, ok := r.Energy().Known()
	if !ok || !r.Valid() {
		acc.errors = append(acc.errors, math.Inf(1))
		return
	}
	off := energy - tr.truth()
	acc.errors = append(acc.errors, off/tr.truth())
	if math.Abs(off) <= r.Bound().Or(math.NaN())+resolution(r) {
		acc.within++
	}
}

// resolution is what rounding to the sensors' last digits may cost: mJ and mW, or whole watts (AMD's).
func resolution(r window.Result) float64 {
	seconds := r.Duration().Seconds()
	if r.GPUs[0].PowerSource == "socket" && r.GPUs[0].Method != window.Counter {
		return 0.002 + 0.5*seconds
	}
	return 0.002 + 0.0005*seconds
}

// coverage is the share of trials whose truth lies within the bound.
func (acc *accuracy) coverage() float64 { return float64(acc.within) / float64(len(acc.errors)) }

func (acc *accuracy) mean() float64 {
	sum := 0.0
	for _, e := range acc.errors {
		sum += e
	}
	return sum / float64(len(acc.errors))
}

func (acc *accuracy) deviation() float64 {
	mean, sum := acc.mean(), 0.0
	for _, e := range acc.errors {
		sum += (e - mean) * (e - mean)
	}
	return math.Sqrt(sum / float64(len(acc.errors)))
}
