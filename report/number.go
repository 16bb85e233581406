package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"wattmark/sampler"
)

const (
	missing = "–"
	narrow  = "\u202f" // between thousands, and before a unit
)

// thousands writes x with so many decimals, its thousands apart.
func thousands(x float64, decimals int) string {
	text := strconv.FormatFloat(x, 'f', decimals, 64)
	whole, part, _ := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		whole = whole[1:]
		if strings.Trim(text, "-0.") != "" {
			sign = "−"
		}
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + narrow + whole[i:]
	}
	if part != "" {
		part = "." + part
	}
	return sign + whole + part
}

// places is how many decimals show two digits of the bound.
func places(bound float64) int {
	if !(bound > 0) {
		return 0
	}
	return int(min(9, max(0, 1-math.Floor(math.Log10(bound)))))
}

// number writes a value with a unit.
func number(v sampler.Value, decimals int, unit string) string {
	x, ok := v.Known()
	if !ok {
		return missing
	}
	return strings.TrimSpace(thousands(x, decimals) + narrow + unit)
}

// bounded writes a value and its bound with no more digits than the bound bears.
func bounded(v, bound sampler.Value, unit string) string {
	x, ok := v.Known()
	if !ok {
		return missing
	}
	b, known := bound.Known()
	if !known {
		return number(v, 1, unit)
	}
	if b == 0 {
		return number(v, 3, unit)
	}
	return fmt.Sprintf("%s ± %s%s%s", thousands(x, places(b)), thousands(b, places(b)), narrow, unit)
}

// energy is bounded in joules, kilojoules or megajoules.
func energy(v, bound sampler.Value) string {
	unit, scale := "J", 1.0
	switch x := math.Abs(v.Or(0)); {
	case x >= 1e8:
		unit, scale = "MJ", 1e6
	case x >= 1e5:
		unit, scale = "kJ", 1e3
	}
	by := func(v sampler.Value) sampler.Value {
		if x, ok := v.Known(); ok {
			return sampler.Some(x / scale)
		}
		return v
	}
	return bounded(by(v), by(bound), unit)
}

func percent(share float64) string {
	if a := math.Abs(share); a >= 0.1 || a == 0 {
		return thousands(100*share, 0) + narrow + "%"
	}
	return thousands(100*share, min(4, places(math.Abs(100*share)))) + narrow + "%"
}

func seconds(x float64) string { return thousands(x, 3) + narrow + "s" }

func stamp(m sampler.Moment) string { return m.Wall().UTC().Format("2006-01-02 15:04:05.000") }

func clock(m sampler.Moment, short bool) string {
	if short {
		return m.Wall().UTC().Format("15:04:05")
	}
	return m.Wall().UTC().Format("15:04")
}

// niceStep is 1, 2 or 5 times a power of ten, so that at most n steps make up the range.
func niceStep(span float64, n int) float64 {
	raw := span / float64(n)
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= raw {
			return m * power
		}
	}
	return 10 * power
}

// niceTime is a step of time, so that at most n steps make up the span.
func niceTime(span time.Duration, n int) time.Duration {
	for _, step := range []time.Duration{
		100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second,
		10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
		15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour,
	} {
		if span/step <= time.Duration(n) {
			return step
		}
	}
	return 24 * time.Hour
}
