package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"wattmark/sampler"
)

// Serving is what is known of the inference server beside which power is measured, over the last minute.
type Serving struct {
	Engine                          string // "": not recognised yet
	Up                              bool
	InputPerSecond, OutputPerSecond sampler.Value
	PerOutputToken, PerTotalToken   sampler.Value // joules
}

// Serving adds the metrics of an inference server's tokens. of is called at every scrape.
func (m *Metrics) Serving(of func() Serving) { m.registry.MustRegister(newServing(of)) }

type serving struct {
	of             func() Serving
	up, rate, cost *prometheus.Desc
}

func newServing(of func() Serving) *serving {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("wattmark_"+name, help, labels, nil)
	}
	return &serving{
		of:   of,
		up:   desc("tokens_up", "Whether the inference server's counts are being read (--tokens-from).", "engine"),
		rate: desc("tokens_per_second", "Tokens that the inference server counted over the last minute, per second.", "kind"),
		cost: desc("joules_per_token", "Energy of all GPUs over the last minute per token that the inference server counted: per output token, and per input or output token.", "kind"),
	}
}

// Describe is a part of prometheus.Collector.
func (s *serving) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, to) }

// Collect is a part of prometheus.Collector.
func (s *serving) Collect(to chan<- prometheus.Metric) {
	w, now := writer{to}, s.of()
	up := 0.0
	if now.Up {
		up = 1
	}
	w.gauge(s.up, up, now.Engine)
	w.known(s.rate, now.InputPerSecond, 1, "input")
	w.known(s.rate, now.OutputPerSecond, 1, "output")
	w.known(s.cost, now.PerOutputToken, 1, "output")
	w.known(s.cost, now.PerTotalToken, 1, "total")
}
