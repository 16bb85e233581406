package window

import "slices"

// Reason is why a number must not be published. The codes are contracts; those of the InferenceX power schema keep
// their names.
type Reason string

// Reasons found in the benchmark's result.
const (
	InvalidBenchmarkResult   Reason = "invalid_benchmark_result" // unreadable, or not one JSON object
	InvalidBenchmarkWindow   Reason = "invalid_benchmark_window" // start, end or duration missing or impossible
	DurationMismatch         Reason = "benchmark_duration_mismatch"
	InvalidQueryCount        Reason = "invalid_successful_query_count"
	InvalidInputTokenCount   Reason = "invalid_input_token_count"
	InvalidOutputTokenCount  Reason = "invalid_output_token_count"
	InvalidExpectedGPUCount  Reason = "invalid_expected_gpu_count"
	ExpectedGPUCountMismatch Reason = "expected_gpu_count_mismatch"
)

// Reasons found in the readings.
const (
	NoUsableSamples     Reason = "no_usable_power_samples"
	InsufficientSamples Reason = "insufficient_power_samples"     // fewer than two readings of the quantity used
	NotBracketed        Reason = "benchmark_window_not_bracketed" // no reading at or before the start, or at or after the end
	GapExceeded         Reason = "sampling_gap_exceeded"          // longer than Limits.MaxGap where energy was not counted
	SimulatedPower      Reason = "simulated_power"
	// Interrupted: the daemon stopped while the window was open; the result is up to that moment.
	Interrupted Reason = "window_interrupted"
)

// Reasons of a merge of several results.
const (
	DuplicateGPU     Reason = "gpu_measured_twice"
	DifferentWindows Reason = "windows_differ"
	NodeMissing      Reason = "node_missing" // a node that should be there gave no result
	// ClockOffsetUncertain: how far the node's clock is off is known to no better than a tenth of the sampling interval.
	ClockOffsetUncertain Reason = "clock_offset_uncertain"
)

// Reasons of writing the aggregate.
const (
	AggregateMissing    Reason = "aggregate_result_missing"
	AggregateUnwritable Reason = "aggregate_result_unwritable"
)

// Note is something to know about a number that stands.
type Note string

// The notes.
const (
	// CounterRejected: the energy counter failed the gate; power was used instead. It comes with the cause.
	CounterRejected  Note = "energy_counter_rejected"
	CounterFell      Note = "energy_counter_fell"       // it was reset inside the window
	CounterFrozen    Note = "energy_counter_frozen"     // it stood still for more than a second under load
	CounterTooFast   Note = "energy_counter_over_limit" // it implies more than 1.2 times the power limit
	CounterDisagrees Note = "energy_counter_disagrees"  // with power, by more than 10 % over 10 s or more
	// CounterMissing: the GPU has a counter, but no readings of it around the window; power was used instead.
	CounterMissing Note = "energy_counter_missing"
	// PowerRejected: power readings that no GPU can have (negative, or above twice the limit) were left out.
	PowerRejected Note = "power_readings_rejected"
	// GapBridged: readings are missing for longer than Limits.MaxGap, but the counter went on.
	GapBridged Note = "gap_bridged_by_counter"
	// EdgeInterpolated: the window's start or end lies between two readings of the schedule.
	EdgeInterpolated Note = "edge_interpolated"
	// ClockStep: the wall clock was set inside the window; durations are monotonic and not touched by it.
	ClockStep Note = "clock_step"
	// ClockOffsetUnknown: several hosts were merged, and of one nobody compared the clock; marks may lie apart.
	ClockOffsetUnknown Note = "clock_offset_unknown"
	// DaemonRestarted: no daemon ran for a part of the window; Result.Interruptions has when and how long. The counter
	// bridges that; under a power method a gap over Limits.MaxGap is a reason.
	DaemonRestarted Note = "daemon_restarted"
	// Throttled: the GPU ran below its clocks for a part of the window (throttled_s).
	Throttled Note = "throttled"
	// IntervalStretched: driver calls were slow, so readings are further apart than configured.
	IntervalStretched Note = "interval_stretched"
	// WideBound: the bound is more than 5 % of the energy; the window is too short for the sensors.
	WideBound Note = "bound_over_5_percent"
	// DurationDiffers: the benchmark's result has no start and end, so the marks are the window, and the duration it
	// reports is not theirs: they enclose more than the measured phase, or less.
	DurationDiffers Note = "benchmark_duration_differs"
	// IdleUnusable: the window named as idle is not of these GPUs, or not valid; there is no energy above idle.
	IdleUnusable Note = "idle_window_unusable"
	// TokensFromServer: the benchmark gave no counts; what the inference server counted is the denominators.
	TokensFromServer Note = "tokens_from_server"
	// TokensDiffer: the server and the benchmark disagree about output tokens by more than 5 %.
	TokensDiffer Note = "tokens_differ_from_server"
	// ServerTokensIncomplete: the server could not be read all the time, or began anew.
	ServerTokensIncomplete Note = "server_tokens_incomplete"
	// ValidationUnwritable: the validation file could not be written; agg_result.detail says why.
	ValidationUnwritable Note = "validation_file_unwritable"
	// FileUnwritable: the window's own file could not be written; the answer is the only copy of the result.
	FileUnwritable Note = "window_file_unwritable"
)

// add appends what is not there yet.
func add[T comparable](list []T, more ...T) []T {
	for _, x := range more {
		if !slices.Contains(list, x) {
			list = append(list, x)
		}
	}
	return list
}
