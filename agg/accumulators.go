package agg

import "wattmark/sampler"

// Accumulators are energy counters that were read once before and once after a recording: what accumulator_check says
// of a CSV file. InferenceX has it for AMD, over the whole life of the monitor and not over the window.
type Accumulators struct {
	Unavailable string        // why there is no check; "": there is one
	GPUs        []Accumulator // in the order of the file's other lists
	SpanS       float64       // from the recording's first reading to its last
}

// Accumulator is one GPU's counter, in joules.
type Accumulator struct {
	GPU        string
	Start, End sampler.Value // missing: not in that snapshot
	Integrated sampler.Value // power over the whole recording; missing: not in it
}

// check compares. The counters of all GPUs that were read twice count, and the power of those of them that are in the
// recording: a GPU that is missing there shows as an error.
func (a Accumulators) check() any {
	if a.Unavailable != "" {
		return ordered{{"available", false}, {"reason", a.Unavailable}}
	}
	c := newCheck()
	var counted, integrated float64
	for _, gpu := range a.GPUs {
		start, hasStart := gpu.Start.Known()
		end, hasEnd := gpu.End.Known()
		joules, inStream := gpu.Integrated.Known()
		if !hasStart || !hasEnd || !inStream {
			c.Unmatched = append(c.Unmatched, gpu.GPU)
		}
		if !hasStart || !hasEnd {
			continue
		}
		c.Deltas.add(gpu.GPU, known(end-start))
		if counted += end - start; end < start {
			c.Negative = append(c.Negative, gpu.GPU)
		}
		if inStream {
			c.IDs = append(c.IDs, gpu.GPU)
			integrated += joules
		}
	}
	c.compare(counted, integrated, a.SpanS)
	return &c
}
