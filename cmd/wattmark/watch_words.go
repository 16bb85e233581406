package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"wattmark/api"
	"wattmark/sampler"
)

// line is the state in one line, for logs.
func (s *screen) line() string {
	watts, _, known, _ := s.sum()
	text := fmt.Sprintf("%.0f W", watts)
	if n := len(s.power.GPUs); known < n || n == 0 {
		text = fmt.Sprintf("– (%d of %d GPUs: %.0f W)", known, n, watts)
	}
	if mean, ok := s.power.Mean.TotalPower.Known(); ok {
		text += fmt.Sprintf(", mean of %s %s W", brief(math.Round(s.power.Mean.DurationS)), within(sampler.Some(mean), s.power.Mean.Bound))
	}
	if l := s.power.Live; l != nil && l.PerOutputToken.OK() {
		text += number(l.PerOutputToken, ", %.4g J per output token")
	}
	open := 0
	for _, w := range s.windows {
		if w.State == "open" {
			open++
		}
	}
	if open > 0 {
		text += fmt.Sprintf(", %d open", open)
	}
	return time.Unix(0, int64(s.power.Unix*1e9)).UTC().Format(time.RFC3339) + " " + text
}

// tokenWords is what the inference server does, and what it costs.
func tokenWords(l api.Live) string {
	if !l.OutputPerSecond.OK() {
		return "–  " + clean(l.Detail)
	}
	text := number(l.OutputPerSecond, "%.0f per second")
	if l.PerOutputToken.OK() {
		text += number(l.PerOutputToken, ", %.4g J per output token")
	}
	if l.PerTotalToken.OK() {
		text += number(l.PerTotalToken, ", %.4g J per token")
	}
	return text + fmt.Sprintf("   %s, last %s", clean(l.Engine), brief(math.Round(l.DurationS)))
}

// windowWords is what has become of a window, in one line.
func windowWords(w api.WatchedWindow) string {
	switch {
	case w.State == "open":
		return fmt.Sprintf("window %s: open", clean(w.Run))
	case w.Valid == nil || !*w.Valid:
		words := make([]string, len(w.Reasons))
		for i, r := range w.Reasons {
			words[i] = clean(r.Words)
		}
		return fmt.Sprintf("window %s: not valid: %s", clean(w.Run), strings.Join(words, "; "))
	default:
		text := fmt.Sprintf("window %s: valid, %s over %s", clean(w.Run), joules(w.Energy, w.Bound), number(w.DurationS, "%.3f s"))
		if w.PerOutputToken.OK() {
			text += ", " + joules(w.PerOutputToken, w.PerOutputTokenBound) + " per output token"
		}
		return text
	}
}

// within writes a value and its bound, with no more digits than the bound bears.
func within(v, bound sampler.Value) string {
	x, ok := v.Known()
	if !ok {
		return "–"
	}
	b, known := bound.Known()
	if !known || b <= 0 {
		return fmt.Sprintf("%.6g", x)
	}
	places := int(min(9, max(0, 1-math.Floor(math.Log10(b)))))
	return fmt.Sprintf("%.*f ± %.*f", places, x, places, b)
}

func joules(v, bound sampler.Value) string {
	if !v.OK() {
		return "–"
	}
	return within(v, bound) + " J"
}

// brief is a time with as much of it as matters.
func brief(seconds float64) string {
	switch {
	case seconds >= 120:
		return fmt.Sprintf("%.0f min", seconds/60)
	case seconds >= 1:
		return fmt.Sprintf("%.3g s", seconds)
	default:
		return fmt.Sprintf("%.0f ms", 1000*seconds)
	}
}
