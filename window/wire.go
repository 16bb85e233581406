package window

import (
	"encoding/json"
	"slices"

	"wattmark/sampler"
)

// wire is a Result as JSON: the parts and what is derived from them.
type wire struct {
	SchemaVersion int      `json:"schema_version"`
	Run           string   `json:"run"`
	PowerValid    bool     `json:"power_valid"`
	Reasons       []Reason `json:"reasons"` // of the run and of its GPUs
	Notes         []Note   `json:"notes"`
	StartUnix     float64  `json:"start_unix"`
	EndUnix       float64  `json:"end_unix"`
	DurationS     float64  `json:"duration_s"`
	Backend       string   `json:"backend"`
	Simulated     bool     `json:"simulated"`
	Expected      *int     `json:"expected_gpu_count"`
	Observed      int      `json:"observed_gpu_count"`

	AvgPower   sampler.Value `json:"avg_power_w"`
	TotalPower sampler.Value `json:"avg_total_gpu_power_w"`
	Energy     sampler.Value `json:"total_gpu_energy_j"`
	Bound      sampler.Value `json:"energy_bound_j"`
	Tolerance  sampler.Value `json:"sensor_tolerance_j"`

	PerQuery       sampler.Value `json:"joules_per_successful_query"`
	PerInputToken  sampler.Value `json:"joules_per_input_token"`
	PerOutputToken sampler.Value `json:"joules_per_output_token"`
	PerTotalToken  sampler.Value `json:"joules_per_total_token"`
	// The part of energy_bound_j in each: counts are exact.
	PerQueryBound       sampler.Value `json:"joules_per_successful_query_bound"`
	PerInputTokenBound  sampler.Value `json:"joules_per_input_token_bound"`
	PerOutputTokenBound sampler.Value `json:"joules_per_output_token_bound"`
	PerTotalTokenBound  sampler.Value `json:"joules_per_total_token_bound"`
	Completed           *int64        `json:"completed"`
	InputTokens         *int64        `json:"total_input_tokens"`
	OutputTokens        *int64        `json:"total_output_tokens"`

	GPUs      []GPU     `json:"gpus"`
	Stats     Stats     `json:"stats"`
	Served    *Served   `json:"server_tokens"`
	Cost      Cost      `json:"cost"`
	Aggregate Aggregate `json:"agg_result"`
	Versions  Versions  `json:"versions"`

	ClockOffset      sampler.Value  `json:"clock_offset_s"`
	ClockOffsetBound sampler.Value  `json:"clock_offset_bound_s"`
	Nodes            []Node         `json:"nodes,omitempty"`
	Interruptions    []Interruption `json:"interruptions"`

	// The edges to the nanosecond, and on the monotonic clock where the result knows it.
	Start sampler.Moment `json:"start"`
	End   sampler.Moment `json:"end"`
}

// MarshalJSON writes the result as docs/api.md describes it.
func (r Result) MarshalJSON() ([]byte, error) {
	w := wire{
		SchemaVersion: SchemaVersion, Run: r.Run, PowerValid: r.Valid(), Reasons: r.AllReasons(), Notes: r.AllNotes(),
		StartUnix: r.StartUnix(), EndUnix: r.EndUnix(), DurationS: r.Duration().Seconds(), Backend: r.Backend,
		Simulated: r.Simulated(), Expected: r.Expected, Observed: r.Observed(),
		AvgPower: r.AvgPower(), TotalPower: r.TotalPower(), Energy: r.Energy(), Bound: r.Bound(), Tolerance: r.Tolerance(),
		PerQuery: r.PerQuery(), PerInputToken: r.PerInputToken(), PerOutputToken: r.PerOutputToken(),
		PerTotalToken: r.PerTotalToken(), GPUs: append([]GPU{}, r.GPUs...), Stats: r.Stats, Served: r.Served, Cost: r.Cost, Aggregate: r.Aggregate, Versions: r.Versions,
		ClockOffset: r.Skew.Offset, ClockOffsetBound: r.Skew.Bound, Nodes: r.Nodes,
		Interruptions: append([]Interruption{}, r.Interruptions...), Start: r.Start, End: r.End,
	}
	w.PerQueryBound, w.PerInputTokenBound = r.BoundOf(w.PerQuery), r.BoundOf(w.PerInputToken)
	w.PerOutputTokenBound, w.PerTotalTokenBound = r.BoundOf(w.PerOutputToken), r.BoundOf(w.PerTotalToken)
	if r.Work != nil {
		w.Completed, w.InputTokens, w.OutputTokens = r.Work.Completed, r.Work.InputTokens, r.Work.OutputTokens
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote. What is derived is derived anew.
func (r *Result) UnmarshalJSON(text []byte) error {
	var w wire
	if err := json.Unmarshal(text, &w); err != nil {
		return err
	}
	*r = Result{
		Run: w.Run, Expected: w.Expected, GPUs: w.GPUs, Stats: w.Stats, Served: w.Served, Backend: w.Backend, Cost: w.Cost, Aggregate: w.Aggregate,
		Versions: w.Versions, Start: w.Start, End: w.End, Skew: Skew{w.ClockOffset, w.ClockOffsetBound}, Nodes: w.Nodes,
	}
	if len(w.Interruptions) > 0 {
		r.Interruptions = w.Interruptions
	}
	for _, reason := range w.Reasons {
		if !slices.ContainsFunc(w.GPUs, func(g GPU) bool { return slices.Contains(g.Reasons, reason) }) {
			r.Reasons = append(r.Reasons, reason)
		}
	}
	for _, note := range w.Notes {
		if !slices.ContainsFunc(w.GPUs, func(g GPU) bool { return slices.Contains(g.Notes, note) }) {
			r.Notes = append(r.Notes, note)
		}
	}
	if w.Completed != nil || w.InputTokens != nil || w.OutputTokens != nil {
		r.Work = &Work{Completed: w.Completed, InputTokens: w.InputTokens, OutputTokens: w.OutputTokens}
	}
	return nil
}
