package api

import (
	"context"
	"net/http"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// Live is the last minute: power, and where an inference server is read, tokens and what they cost.
type Live struct {
	Unix       float64       `json:"unix"` // the end of that minute
	DurationS  float64       `json:"duration_s"`
	TotalPower sampler.Value `json:"avg_total_gpu_power_w"`
	PowerBound sampler.Value `json:"avg_total_gpu_power_bound_w"` // two standard deviations of the random error

	Engine          string        `json:"engine"` // "": none is read, or none was recognised
	Up              bool          `json:"up"`     // the server's counts are being read
	Detail          string        `json:"detail"` // why not
	InputPerSecond  sampler.Value `json:"input_tokens_per_second"`
	OutputPerSecond sampler.Value `json:"output_tokens_per_second"`
	PerOutputToken  sampler.Value `json:"joules_per_output_token"`
	PerTotalToken   sampler.Value `json:"joules_per_total_token"`
}

// live answers with the last minute.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) error {
	var live Live
	if err := s.inTurn(func() { live = s.Live() }); err != nil {
		return err
	}
	answer(w, http.StatusOK, live)
	return nil
}

// Live measures the last minute.
func (s *Server) Live() Live { return s.liveOf(s.measureRecent(s.config.Sampler.Now())) }

// liveOf sets the tokens of a span beside its energy.
func (s *Server) liveOf(measured window.Result) Live {
	live := Live{Unix: measured.End.Unix(), DurationS: measured.Duration().Seconds(), Detail: "no --tokens-from"}
	if power, ok := measured.TotalPower().Known(); ok {
		live.TotalPower = sampler.Some(power)
		if bound, ok := measured.Bound().Known(); ok {
			live.PowerBound = sampler.Some(bound / live.DurationS)
		}
	}
	if s.config.Tokens == nil {
		return live
	}
	state := s.config.Tokens.State()
	live.Engine, live.Up, live.Detail = state.Engine, state.Up, state.Detail
	d := s.config.Tokens.Between(measured.Start, measured.End)
	if !d.Complete(s.config.Sampler.Interval()) || live.DurationS <= 0 {
		if live.Detail == "" {
			live.Detail = "not read for a whole minute yet"
		}
		return live
	}
	rate := func(count sampler.Value) sampler.Value {
		if n, ok := count.Known(); ok {
			return sampler.Some(n / live.DurationS)
		}
		return count
	}
	live.InputPerSecond, live.OutputPerSecond = rate(d.Input), rate(d.Output)
	per := func(tokens float64) sampler.Value {
		joules, ok := measured.Energy().Known()
		if !ok || tokens < 1 {
			return sampler.Value{}
		}
		return sampler.Some(joules / tokens)
	}
	live.PerOutputToken = per(d.Output.Or(0))
	if input, ok := d.Input.Known(); ok {
		live.PerTotalToken = per(input + d.Output.Or(0))
	}
	return live
}

// measureRecent measures the last minute, between readings: as long as all GPUs have them, and tokens where they are read.
func (s *Server) measureRecent(now sampler.Moment) window.Result {
	samples := s.config.Sampler
	length := max(recent, 3*samples.Interval())
	w := window.Window{Start: now.Add(-length), End: s.settled(now)}
	if oldest, ok := samples.Oldest(); ok && oldest.Sub(w.Start) > 0 {
		w.Start = oldest
	}
	if s.config.Tokens != nil {
		if last, ok := s.config.Tokens.Last(); ok && now.Sub(last) < 3*samples.Interval() && last.Sub(w.End) < 0 {
			w.End = last
		}
		if first, ok := s.config.Tokens.First(); ok && first.Sub(w.Start) > 0 && w.End.Sub(first) > 0 {
			w.Start = first
		}
	}
	if w.End.Sub(w.Start) <= 0 {
		return window.Result{}
	}
	return window.Measure(samples, w, s.config.Limits)
}

// tokensWait is how long a mark waits for the inference server's page.
const tokensWait = 300 * time.Millisecond

// readTokens has the inference server's counts read now, so that an edge lies on a reading of them. The function it
// returns waits for that.
func (s *Server) readTokens() (wait func()) {
	if s.config.Tokens == nil {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(context.Background(), tokensWait)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		s.config.Tokens.Poll(ctx)
	}()
	return func() { <-done }
}

// served adds what the inference server counted in the window.
func (s *Server) served(r window.Result) window.Result {
	if s.config.Tokens == nil || r.Duration() <= 0 {
		return r
	}
	d := s.config.Tokens.Between(r.Start, r.End)
	return r.WithServed(window.Served{
		Engine: d.Engine, Input: d.Input, Output: d.Output, Requests: d.Requests, Complete: d.Complete(s.config.Sampler.Interval()),
		MaxGapS: sampler.Some(d.MaxGap.Seconds()), Resets: d.Resets,
	})
}
