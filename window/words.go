package window

// Words says what the reason means, as docs/api.md does. A code that is not known here stands for itself.
func (r Reason) Words() string {
	switch r {
	case InvalidBenchmarkResult:
		return "the benchmark's result is missing, unreadable or not a JSON object"
	case InvalidBenchmarkWindow:
		return "the start, end or duration in the benchmark's result are missing or impossible"
	case DurationMismatch:
		return "the benchmark's duration differs from its end − start by more than 0.5 s and 1 %"
	case InvalidQueryCount, InvalidInputTokenCount, InvalidOutputTokenCount:
		return "the count in the benchmark's data is missing or not a positive whole number"
	case InvalidExpectedGPUCount:
		return "expected_num_gpus is not positive"
	case ExpectedGPUCountMismatch:
		return "another number of GPUs gave readings"
	case NoUsableSamples:
		return "a GPU gave no reading in or near the window"
	case InsufficientSamples:
		return "fewer than two readings of what the method needs"
	case NotBracketed:
		return "no reading at or before the start, or none at or after the end: a GPU that hung or was lost"
	case GapExceeded:
		return "more than --max-gap without a reading where energy was not counted"
	case SimulatedPower:
		return "the GPUs are simulated, and --allow-simulated was not given"
	case Interrupted:
		return "the daemon stopped while the window was open; the numbers are up to then"
	case DuplicateGPU:
		return "of several nodes: the same GPU is in more than one window"
	case DifferentWindows:
		return "of several nodes: the edges of the windows lie more than 0.1 s apart"
	case NodeMissing:
		return "of several nodes: one that should be there gave no result; nodes says which and why"
	case ClockOffsetUncertain:
		return "clock_offset_bound_s is more than a tenth of --interval: nobody knows well enough which span this was on the other nodes"
	case AggregateMissing:
		return "in the validation file: the benchmark's aggregate is not there"
	case AggregateUnwritable:
		return "in the validation file: the benchmark's aggregate could not be patched"
	default:
		return string(r)
	}
}

// Words says what the note means, as docs/api.md does. A code that is not known here stands for itself.
func (n Note) Words() string {
	switch n {
	case CounterRejected:
		return "the energy counter is not to be believed and power was used; the next note says why"
	case CounterFell:
		return "the energy counter fell inside the window"
	case CounterFrozen:
		return "the energy counter stood still for more than a second under load"
	case CounterTooFast:
		return "the energy counter implies more than 1.2 times the power limit"
	case CounterDisagrees:
		return "the energy counter differs from power by more than 10 % over 10 s or more"
	case CounterMissing:
		return "the GPU has a counter, but no readings of it around the window; power was used"
	case PowerRejected:
		return "power readings that no GPU can have were left out"
	case GapBridged:
		return "readings are missing for longer than --max-gap, but the counter went on"
	case EdgeInterpolated:
		return "the start or end lies between two readings; the bound is wider for it"
	case ClockStep:
		return "the wall clock was set inside the window; durations are not touched by it"
	case DaemonRestarted:
		return "no daemon ran for a part of the window; interruptions has when and for how long"
	case Throttled:
		return "the GPU ran below its clocks for a part of the window"
	case IntervalStretched:
		return "driver calls were slow: readings are further apart than --interval"
	case WideBound:
		return "the bound is more than 5 % of the energy: the window is too short for these sensors"
	case DurationDiffers:
		return "the benchmark's result has no start and end, so the marks are the window, and they are not as long as the duration it reports (by more than 0.5 s and 1 %)"
	case ClockOffsetUnknown:
		return "of several nodes: nobody compared the clock of one with the others'; how far apart the spans were is not known"
	case IdleUnusable:
		return "the window named as idle is not of these GPUs, or not valid: there is no energy above idle"
	case TokensFromServer:
		return "the benchmark gave no counts: tokens are what the inference server counted in the window"
	case TokensDiffer:
		return "the inference server counted more than 5 % more or fewer output tokens than the benchmark says: others may have used it, or a count is wrong"
	case ServerTokensIncomplete:
		return "the inference server's counts could not be read all the time, or it began anew: they are not used"
	case ValidationUnwritable:
		return "the validation file could not be written; agg_result.detail says why"
	case FileUnwritable:
		return "the window's file could not be written; this answer is the only copy"
	default:
		return string(n)
	}
}
