package metrics

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"wattmark/sampler"
)

// served is an inference server of which everything is known.
func served() Serving {
	return Serving{
		Engine: "vllm", Up: true, InputPerSecond: sampler.Some(400), OutputPerSecond: sampler.Some(100),
		PerOutputToken: sampler.Some(10.5), PerTotalToken: sampler.Some(2.1),
	}
}

// What is known of the inference server is there, and what is not is not.
func TestServing(t *testing.T) {
	m := New(options())
	now := served()
	m.Serving(func() Serving { return now })
	const want = `
# HELP wattmark_joules_per_token Energy of all GPUs over the last minute per token that the inference server counted: per output token, and per input or output token.
# TYPE wattmark_joules_per_token gauge
wattmark_joules_per_token{kind="output"} 10.5
wattmark_joules_per_token{kind="total"} 2.1
# HELP wattmark_tokens_per_second Tokens that the inference server counted over the last minute, per second.
# TYPE wattmark_tokens_per_second gauge
wattmark_tokens_per_second{kind="input"} 400
wattmark_tokens_per_second{kind="output"} 100
# HELP wattmark_tokens_up Whether the inference server's counts are being read (--tokens-from).
# TYPE wattmark_tokens_up gauge
wattmark_tokens_up{engine="vllm"} 1
`
	names := []string{"wattmark_tokens_up", "wattmark_tokens_per_second", "wattmark_joules_per_token"}
	if err := testutil.GatherAndCompare(checked(&m.catalogue), strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	now = Serving{}
	const none = `
# HELP wattmark_tokens_up Whether the inference server's counts are being read (--tokens-from).
# TYPE wattmark_tokens_up gauge
wattmark_tokens_up{engine=""} 0
`
	if err := testutil.GatherAndCompare(checked(&m.catalogue), strings.NewReader(none), names...); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(checked(&m.catalogue), names...); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
