package metrics

import "wattmark/sampler"

// Serving is what is known of the inference server beside which power is measured, over the last minute.
type Serving struct {
	Engine                          string // "": not recognised yet
	Up                              bool
	InputPerSecond, OutputPerSecond sampler.Value
	PerOutputToken, PerTotalToken   sampler.Value // joules
}

// Serving adds the metrics of an inference server's tokens. of is called at every scrape.
func (m *Metrics) Serving(of func() Serving) { m.tellers(newServing(&m.catalogue, of)) }

type serving struct {
	of             func() Serving
	up, rate, cost *family
}

func newServing(c *catalogue, of func() Serving) serving {
	return serving{
		of:   of,
		up:   c.gauge("wattmark_tokens_up", "Whether the inference server's counts are being read (--tokens-from).", "engine"),
		rate: c.gauge("wattmark_tokens_per_second", "Tokens that the inference server counted over the last minute, per second.", "kind"),
		cost: c.gauge("wattmark_joules_per_token", "Energy of all GPUs over the last minute per token that the inference server counted: per output token, and per input or output token.", "kind"),
	}
}

func (s serving) tell() {
	now := s.of()
	s.up.set(float(now.Up), now.Engine)
	s.rate.known(now.InputPerSecond, 1, "input")
	s.rate.known(now.OutputPerSecond, 1, "output")
	s.cost.known(now.PerOutputToken, 1, "output")
	s.cost.known(now.PerTotalToken, 1, "total")
}
