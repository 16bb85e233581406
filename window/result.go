package window

import (
	"math"
	"time"

	"wattmark/sampler"
)

// SchemaVersion is that of the result's JSON.
const SchemaVersion = 1

// Method is how energy was found.
type Method string

// The methods, best first.
const (
	Counter   Method = "counter"   // the hardware's energy counter, corrected at the window's edges
	Boxcar    Method = "boxcar"    // power that the sensor averages: each value times the time it covers
	Trapezoid Method = "trapezoid" // instantaneous power, straight lines between readings
)

// Result is what Measure found. Verdict, totals and averages are derived by its methods, so that they cannot disagree
// with the parts. Its JSON is described in docs/api.md.
type Result struct {
	Run        string
	Start, End sampler.Moment
	Expected   *int
	Reasons    []Reason // of the run as a whole; each GPU has its own
	Notes      []Note
	GPUs       []GPU
	Stats      Stats
	Served     *Served // what the inference server counted; nil: none was read
	Work       *Work   // what the benchmark did; nil: not known
	Skew       Skew    // of this node's clock, which Start and End are in; none in a merged result
	Nodes      []Node  // what a merged result was merged from; nil: it was not
	// Interruptions are the times inside the window in which no daemon ran.
	Interruptions []Interruption

	Backend   string
	Cost      Cost
	Aggregate Aggregate
	Versions  Versions
}

// GPU is the result of one GPU. Energies are in joules between Result.Start and Result.End.
type GPU struct {
	Host   string        `json:"host"`
	UUID   string        `json:"uuid"`
	BusID  string        `json:"bus_id"`
	Index  int           `json:"index"`
	Model  string        `json:"model"`
	Vendor string        `json:"vendor"`
	Scope  sampler.Scope `json:"scope"`
	Role   string        `json:"role"`
	Method Method        `json:"method"`

	Energy sampler.Value `json:"energy_j"`
	// Bound is 2 standard deviations of the random error. SharedBound is the part of it that all GPUs of a job have
	// in common, since their power moves together (interpolated edges): it adds up linearly over GPUs.
	Bound       sampler.Value `json:"bound_j"`
	SharedBound sampler.Value `json:"shared_bound_j"`
	// Tolerance is the sensor's systematic error, the same for each window of a card: gain, offset and aliasing.
	Tolerance     sampler.Value `json:"sensor_tolerance_j"`
	PowerEnergy   sampler.Value `json:"power_energy_j"`   // by the best power method
	CounterEnergy sampler.Value `json:"counter_energy_j"` // by the counter, rejected or not
	Crosscheck    sampler.Value `json:"crosscheck_ratio"` // CounterEnergy / PowerEnergy

	AvgPower       sampler.Value `json:"avg_power_w"`
	MaxPower       sampler.Value `json:"max_power_w"`
	PowerLimit     sampler.Value `json:"power_limit_w"`
	Rejected       int           `json:"rejected_samples"` // power values that no GPU can have had, near the window; left out
	PowerSource    string        `json:"power_source"`
	ThrottledS     sampler.Value `json:"throttled_s"`
	MaxTemperature sampler.Value `json:"max_temperature_c"`
	Samples        int           `json:"samples"` // readings inside the window
	MaxGapS        sampler.Value `json:"max_gap_s"`
	Coverage       sampler.Value `json:"coverage_ratio"`    // share of the window without a gap
	DriverCallMax  sampler.Value `json:"driver_call_s_max"` // longest driver call of a reading in the window
	Simulated      bool          `json:"simulated"`

	Reasons []Reason `json:"reasons"`
	Notes   []Note   `json:"notes"`
}

// Interruption is a time without a daemon: from the last reading before it to the start of the next daemon.
type Interruption struct {
	StartUnix float64 `json:"start_unix"`
	EndUnix   float64 `json:"end_unix"`
	GapS      float64 `json:"gap_s"` // on the monotonic clock
}

// ID is the GPU's identity, as sampler.Info.ID.
func (g GPU) ID() string {
	return sampler.Info{Host: g.Host, UUID: g.UUID, BusID: g.BusID, Vendor: g.Vendor}.ID()
}

// Work is what a benchmark did in the window: the denominators. A count that is missing or not positive is nil.
type Work struct {
	Completed, InputTokens, OutputTokens *int64
}

// equal reports that both say the same.
func (w Work) equal(v Work) bool {
	same := func(a, b *int64) bool { return a == b || a != nil && b != nil && *a == *b }
	return same(w.Completed, v.Completed) && same(w.InputTokens, v.InputTokens) && same(w.OutputTokens, v.OutputTokens)
}

// Cost is what measuring cost the host during the window.
type Cost struct {
	CPUSeconds    sampler.Value `json:"cpu_s"`
	RSSBytes      sampler.Value `json:"rss_bytes"`
	DriverCallMax sampler.Value `json:"driver_call_s_max"`
	MissedTicks   sampler.Value `json:"missed_ticks"`
}

// Aggregate is what became of the benchmark's aggregate file.
type Aggregate struct {
	Path   string `json:"path"`
	Status string `json:"status"` // "patched", "pending", "none", "failed"
	Detail string `json:"detail"`
	// Outcome is how writing it went, for counting: "ok", "missing", "unsafe", "conflict", "io"; "": not tried.
	Outcome string `json:"-"`
}

// Versions is who measured.
type Versions struct {
	Wattmark string `json:"wattmark"`
	Driver   string `json:"driver"`
	Library  string `json:"library"`
}

// AllReasons returns the reasons of the run and of its GPUs, in this order, each once.
func (r Result) AllReasons() []Reason {
	all := add([]Reason{}, r.Reasons...)
	for _, gpu := range r.GPUs {
		all = add(all, gpu.Reasons...)
	}
	return all
}

// AllNotes returns the notes of the run and of its GPUs, each once.
func (r Result) AllNotes() []Note {
	all := add([]Note{}, r.Notes...)
	for _, gpu := range r.GPUs {
		all = add(all, gpu.Notes...)
	}
	return all
}

// Valid reports that nothing speaks against publishing the numbers.
func (r Result) Valid() bool { return len(r.AllReasons()) == 0 }

// Duration is the window's length, on the monotonic clock where both ends have it.
func (r Result) Duration() time.Duration { return r.End.Sub(r.Start) }

// Energy is the sum over the GPUs in joules; missing if that of any GPU is.
func (r Result) Energy() sampler.Value {
	return r.sum(func(g GPU) sampler.Value { return g.Energy })
}

// Tolerance is the sensors' systematic error in joules. Cards of one kind err alike, so it adds up linearly.
func (r Result) Tolerance() sampler.Value {
	return r.sum(func(g GPU) sampler.Value { return g.Tolerance })
}

// Bound is 2 standard deviations of the random error of Energy: the GPUs' own parts are independent of each other and
// add up in squares, the shared parts linearly.
func (r Result) Bound() sampler.Value {
	var own, shared float64
	for _, gpu := range r.GPUs {
		bound, ok := gpu.Bound.Known()
		if !ok {
			return sampler.Value{}
		}
		common := gpu.SharedBound.Or(0)
		shared += common
		own += max(0, bound*bound-common*common)
	}
	if len(r.GPUs) == 0 {
		return sampler.Value{}
	}
	return sampler.Some(math.Sqrt(own + shared*shared))
}

// TotalPower is the average power of all GPUs together in watts.
func (r Result) TotalPower() sampler.Value { return divide(r.Energy(), r.Duration().Seconds()) }

// AvgPower is the average power of one GPU in watts.
func (r Result) AvgPower() sampler.Value { return divide(r.TotalPower(), float64(len(r.GPUs))) }

// Simulated reports that a number is not from hardware.
func (r Result) Simulated() bool {
	for _, gpu := range r.GPUs {
		if gpu.Simulated {
			return true
		}
	}
	return false
}

func (r Result) sum(of func(GPU) sampler.Value) sampler.Value {
	total := 0.0
	for _, gpu := range r.GPUs {
		x, ok := of(gpu).Known()
		if !ok {
			return sampler.Value{}
		}
		total += x
	}
	if len(r.GPUs) == 0 {
		return sampler.Value{}
	}
	return sampler.Some(total)
}

// divide returns v / by; missing where v is or by is not positive.
func divide(v sampler.Value, by float64) sampler.Value {
	x, ok := v.Known()
	if !ok || by <= 0 {
		return sampler.Value{}
	}
	return sampler.Some(x / by)
}

// PerQuery is joules per successful query; missing, like the other figures per unit of work, without benchmark data.
func (r Result) PerQuery() sampler.Value {
	return r.per(func(w Work) *int64 { return w.Completed })
}

// PerInputToken is joules per input token.
func (r Result) PerInputToken() sampler.Value {
	return r.per(func(w Work) *int64 { return w.InputTokens })
}

// PerOutputToken is joules per output token.
func (r Result) PerOutputToken() sampler.Value {
	return r.per(func(w Work) *int64 { return w.OutputTokens })
}

// PerTotalToken is joules per input or output token.
func (r Result) PerTotalToken() sampler.Value {
	return r.per(func(w Work) *int64 {
		if w.InputTokens == nil || w.OutputTokens == nil {
			return nil
		}
		total := *w.InputTokens + *w.OutputTokens
		return &total
	})
}

// BoundOf is 2 standard deviations of the random error of energy per unit of work: counts are exact, so it is the same
// share of it as Bound is of Energy.
func (r Result) BoundOf(perUnit sampler.Value) sampler.Value {
	x, ok := perUnit.Known()
	bound, okBound := r.Bound().Known()
	if !ok || !okBound {
		return sampler.Value{}
	}
	return divide(sampler.Some(bound*x), r.Energy().Or(0))
}

func (r Result) per(count func(Work) *int64) sampler.Value {
	if r.Work == nil {
		return sampler.Value{}
	}
	n := count(*r.Work)
	if n == nil {
		return sampler.Value{}
	}
	return divide(r.Energy(), float64(*n))
}
