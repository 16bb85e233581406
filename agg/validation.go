package agg

import (
	"slices"

	"wattmark/sampler"
	"wattmark/window"
)

// Sources names where the numbers of a validation file come from.
type Sources struct {
	Telemetry        string        // what the readings came from: a file, or the name of the backend
	Benchmark        string        // the path of the benchmark's result, as given; "" if there was none
	ReportedDuration sampler.Value // the benchmark's own measure of the window, in seconds

	// Of a CSV file only.
	Samples       map[string]int // readings by GPU, where the result's own count is not the one wanted
	Accumulators  *Accumulators  // counters that were read beside the file; nil: none
	InternalError *InternalError
	WindowSource  string // where the window was to come from, if it did not; "": not said
}

// validation is the audit file of InferenceX (schema 1), then what we add to it.
type validation struct {
	SchemaVersion     int              `json:"schema_version"`
	PowerValid        bool             `json:"power_valid"`
	Reasons           []window.Reason  `json:"reasons"`
	TelemetrySource   string           `json:"telemetry_source"`
	BenchmarkResult   *string          `json:"benchmark_result"`
	Window            *benchmarkWindow `json:"benchmark_window"`
	IntegrationMethod string           `json:"integration_method"`
	Expected          *int             `json:"expected_gpu_count"`
	Observed          int              `json:"observed_gpu_count"`
	ObservedIDs       []string         `json:"observed_gpu_ids"`
	SampleCounts      ordered          `json:"per_gpu_sample_counts"`
	MaxGaps           ordered          `json:"per_gpu_max_sample_gap_s"`
	Energies          ordered          `json:"per_gpu_energy_j"`
	DeviceIssues      ordered          `json:"device_issues"`
	AccumulatorCheck  any              `json:"accumulator_check"`
	Metrics           ordered          `json:"metrics"`
	InternalError     *InternalError   `json:"internal_error,omitempty"`
	WindowSource      string           `json:"window_source,omitempty"`

	Run        string        `json:"run"`
	Methods    ordered       `json:"per_gpu_method"`
	Identities ordered       `json:"per_gpu_identity"`
	Roles      ordered       `json:"per_gpu_role,omitempty"`
	Nodes      []window.Node `json:"nodes,omitempty"`
	Notes      []window.Note `json:"notes"`
	Bound      number        `json:"energy_bound_j"`
	Tolerance  number        `json:"sensor_tolerance_j"`
	Backend    string        `json:"backend"`
	Simulated  bool          `json:"simulated"`
	Wattmark   string        `json:"wattmark_version"`
	Driver     string        `json:"driver_version"`
	Library    string        `json:"library_version"`
}

type benchmarkWindow struct {
	Start        number `json:"start_time_unix"`
	End          number `json:"end_time_unix"`
	Reported     number `json:"reported_duration_s"`
	Integration  number `json:"integration_duration_s"`
	Completed    *int64 `json:"completed"`
	InputTokens  *int64 `json:"total_input_tokens"`
	OutputTokens *int64 `json:"total_output_tokens"`
}

// accumulatorCheck compares the hardware's energy counter with power integrated over the same window. It is advisory:
// a counter that fails the gate was not used in the first place.
type accumulatorCheck struct {
	Available     bool     `json:"available"`
	Delta         number   `json:"accumulator_delta_j"`
	Integrated    number   `json:"integrated_stream_j"`
	RelativeError number   `json:"relative_error"`
	Within        bool     `json:"within_tolerance"`
	Tolerance     number   `json:"tolerance"`
	Deltas        ordered  `json:"per_gpu_delta_j"`
	IDs           []string `json:"integrated_gpu_ids"`
	Unmatched     []string `json:"unmatched_gpus"`
	Negative      []string `json:"negative_delta_gpus"`
	Span          number   `json:"stream_span_s"`
}

// Validation returns the content of the validation file of a result.
func Validation(r window.Result, from Sources) ([]byte, error) {
	v := validation{
		SchemaVersion: 1, PowerValid: r.Valid(), Reasons: r.AllReasons(), TelemetrySource: from.Telemetry,
		Window: windowOf(r, from), IntegrationMethod: integrationMethod(r.GPUs), Expected: r.Expected,
		Observed: r.Observed(), ObservedIDs: []string{}, Run: r.Run, Nodes: r.Nodes, Notes: r.AllNotes(), Bound: number(r.Bound()),
		Tolerance: number(r.Tolerance()), Backend: r.Backend, Simulated: r.Simulated(), Wattmark: r.Versions.Wattmark,
		Driver: r.Versions.Driver, Library: r.Versions.Library,
	}
	if from.Benchmark != "" {
		v.BenchmarkResult = &from.Benchmark
	}
	for _, gpu := range named(r.GPUs) {
		if !slices.Contains(gpu.Reasons, window.NoUsableSamples) {
			v.ObservedIDs = append(v.ObservedIDs, gpu.name)
			v.SampleCounts.add(gpu.name, from.samples(gpu))
		}
		v.MaxGaps.addKnown(gpu.name, gpu.MaxGapS)
		v.Energies.addKnown(gpu.name, gpu.Energy)
		if len(gpu.Reasons) > 0 {
			v.DeviceIssues.add(gpu.name, gpu.Reasons)
		}
		v.Methods.add(gpu.name, gpu.Method)
		if gpu.Host != "" {
			v.Identities.add(gpu.name, gpu.ID())
		}
		if gpu.Role != "" {
			v.Roles.add(gpu.name, gpu.Role)
		}
	}
	v.AccumulatorCheck = checkAccumulators(r)
	if from.Accumulators != nil {
		v.AccumulatorCheck = from.Accumulators.check()
	}
	v.InternalError, v.WindowSource = from.InternalError, from.WindowSource
	if v.PowerValid {
		for _, m := range metrics(r) {
			if x, ok := m.value.Known(); ok {
				v.Metrics.add(m.name, number(sampler.Some(round(x, 6))))
			} else {
				v.Metrics.add(m.name, nil)
			}
		}
	}
	return indented(v)
}

// samples returns how many readings of a GPU were used.
func (from Sources) samples(gpu namedGPU) int {
	if n, ok := from.Samples[gpu.name]; ok {
		return n
	}
	return gpu.Samples
}

// windowOf returns what was measured over, nil if the benchmark's own window made no sense. As in InferenceX, a count
// that was refused shows as 0; one that nobody gave is null.
func windowOf(r window.Result, from Sources) *benchmarkWindow {
	reasons := r.AllReasons()
	if from.WindowSource != "" {
		return nil
	}
	for _, none := range []window.Reason{window.InvalidBenchmarkResult, window.InvalidBenchmarkWindow, AggregationInternalError} {
		if slices.Contains(reasons, none) {
			return nil
		}
	}
	w := benchmarkWindow{
		Start: known(r.StartUnix()), End: known(r.EndUnix()),
		Reported: number(from.ReportedDuration), Integration: known(seconds(r)),
	}
	if r.Work != nil {
		w.Completed, w.InputTokens, w.OutputTokens = r.Work.Completed, r.Work.InputTokens, r.Work.OutputTokens
	}
	for _, count := range []struct {
		n      **int64
		reason window.Reason
	}{
		{&w.Completed, window.InvalidQueryCount},
		{&w.InputTokens, window.InvalidInputTokenCount},
		{&w.OutputTokens, window.InvalidOutputTokenCount},
	} {
		if *count.n == nil && slices.Contains(reasons, count.reason) {
			*count.n = new(int64)
		}
	}
	return &w
}

// integrationMethod names how the energies were found; the trapezoid's name is InferenceX's.
func integrationMethod(gpus []window.GPU) string {
	for i, gpu := range gpus {
		if i > 0 && gpu.Method != gpus[0].Method {
			return "mixed_see_per_gpu_method"
		}
	}
	if len(gpus) > 0 {
		switch gpus[0].Method {
		case window.Counter:
			return "hardware_energy_counter_with_edge_correction"
		case window.Boxcar:
			return "per_device_sum_of_sensor_averaged_power"
		case window.Trapezoid:
		}
	}
	return "per_device_trapezoidal_with_linear_boundary_interpolation"
}

// checkAccumulators returns nil if no GPU has both a counter and power.
func checkAccumulators(r window.Result) *accumulatorCheck {
	c := newCheck()
	var counted, integrated float64
	for _, gpu := range named(r.GPUs) {
		delta, hasCounter := gpu.CounterEnergy.Known()
		stream, hasPower := gpu.PowerEnergy.Known()
		if !hasCounter {
			continue
		}
		c.Deltas.addKnown(gpu.name, gpu.CounterEnergy)
		if delta < 0 {
			c.Negative = append(c.Negative, gpu.name)
		}
		if !hasPower {
			c.Unmatched = append(c.Unmatched, gpu.name)
			continue
		}
		c.IDs = append(c.IDs, gpu.name)
		counted += delta
		integrated += stream
	}
	if len(c.IDs) == 0 {
		return nil
	}
	c.compare(counted, integrated, r.Duration().Seconds())
	return &c
}

// checkTolerance is how far counter and power may be apart.
const checkTolerance = 0.05

func newCheck() accumulatorCheck {
	return accumulatorCheck{
		Available: true, Tolerance: known(checkTolerance), IDs: []string{}, Unmatched: []string{}, Negative: []string{},
	}
}

// compare sets what follows from the sums of counters and of power, in joules, over so many seconds.
func (c *accumulatorCheck) compare(counted, integrated, span float64) {
	c.Delta, c.Integrated, c.Span = known(counted), known(integrated), known(span)
	if counted > 0 {
		apart := max(counted-integrated, integrated-counted) / counted
		c.RelativeError = known(apart)
		c.Within = apart <= checkTolerance && len(c.Negative) == 0
	}
}
