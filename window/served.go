package window

import (
	"math"

	"wattmark/sampler"
)

// Served is what the inference server itself counted in the window.
type Served struct {
	Engine   string        `json:"engine"`
	Input    sampler.Value `json:"input_tokens"`
	Output   sampler.Value `json:"output_tokens"`
	Requests sampler.Value `json:"requests"`
	// Complete: it was read all the time and did not begin anew.
	Complete bool          `json:"complete"`
	MaxGapS  sampler.Value `json:"max_gap_s"`
	Resets   int           `json:"resets"`
	Used     bool          `json:"used"` // these are the denominators, for the benchmark gave none
	// What the server counted over what the benchmark says.
	InputRatio  sampler.Value `json:"input_ratio"`
	OutputRatio sampler.Value `json:"output_ratio"`
}

// differ is by how much the server and the benchmark may disagree about output tokens: requests that were under way at
// an edge, and those of others.
const differ = 0.05

// WithServed returns the result with what the server counted. Where the benchmark gave no counts, the server's are the
// denominators, if none is missing; where it did, they are compared.
func (r Result) WithServed(s Served) Result {
	r.Served = &s
	if !s.Complete {
		r.Notes = add(r.Notes, ServerTokensIncomplete)
	}
	if r.Work == nil {
		if s.Complete {
			s.Used = true
			r.Work = &Work{Completed: whole(s.Requests), InputTokens: whole(s.Input), OutputTokens: whole(s.Output)}
			r.Notes = add(r.Notes, TokensFromServer)
		}
		return r
	}
	ratio := func(served sampler.Value, said *int64) sampler.Value {
		if said == nil {
			return sampler.Value{}
		}
		return divide(served, float64(*said))
	}
	s.InputRatio, s.OutputRatio = ratio(s.Input, r.Work.InputTokens), ratio(s.Output, r.Work.OutputTokens)
	if x, ok := s.OutputRatio.Known(); ok && math.Abs(x-1) > differ {
		r.Notes = add(r.Notes, TokensDiffer)
	}
	return r
}

// whole is a count; nil if it is missing or nothing.
func whole(v sampler.Value) *int64 {
	n := int64(math.Round(v.Or(0)))
	if n <= 0 {
		return nil
	}
	return &n
}
