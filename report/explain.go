package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"wattmark/sampler"
	"wattmark/window"
)

// explain says how the number is known: method, bound, tolerance, cross-check, gaps, throttling.
func explain(r window.Result) []figure {
	list := []figure{{"Method", "", methods(r)}}
	bound, known := r.Bound().Known()
	joules := r.Energy().Or(0)
	if known && joules > 0 {
		list = append(list, figure{
			"Bound", "± " + number(sampler.Some(bound), places(bound), "J"),
			"Two standard deviations of the random error, " + percent(bound/joules) + " of the energy: how well the energy at the two edges is " +
				"known, from when a counter last stepped and how steady power was between two readings. Counts of tokens are exact, so " +
				"joules per token have the same share.",
		})
	}
	if tolerance, ok := r.Tolerance().Known(); ok && joules > 0 {
		list = append(list, figure{
			"Tolerance of the sensors", "± " + number(sampler.Some(tolerance), 0, "J"),
			percent(tolerance/joules) + ": gain and offset of the sensors, which no software can correct. It is the same for every window of a " +
				"card, so it cancels when windows of the same cards are compared, and not when others are.",
		})
	}
	return append(append(list, crosscheck(r), readings(r), throttling(r)), statistics(r)...)
}

// statistics are the distribution of power, and the energy above idle where a window was named as that.
func statistics(r window.Result) []figure {
	var list []figure
	s := r.Stats
	if s.Peak.OK() {
		list = append(list, figure{
			"Power over time", number(s.P50, 0, "W") + " half of the time",
			fmt.Sprintf("At most %s for 90 %%, %s for 99 %% of the time; the highest was %s. Of all GPUs at one time, as smooth as their sensors. "+
				"Within 10 %% of the median for %s of the time.",
				number(s.P90, 0, "W"), number(s.P99, 0, "W"), number(s.Peak, 0, "W"), percent(s.Steady.Or(0))),
		})
	}
	if s.AboveIdle.OK() {
		list = append(list, figure{
			"Energy above idle", energy(s.AboveIdle, s.AboveIdleBound),
			"A secondary figure: without the " + number(s.IdlePower, 1, "W") + " that these GPUs drew in the window " + plain(s.IdleRun) + ".",
		})
	}
	return list
}

func methods(r window.Result) string {
	count := map[window.Method]int{}
	for _, g := range r.GPUs {
		count[g.Method]++
	}
	var parts []string
	for _, m := range []struct {
		method window.Method
		words  string
	}{
		{window.Counter, "by the hardware's energy counter, corrected at the edges for the age of its last step"},
		{window.Boxcar, "by power that the sensor averages, each value times the time it covers"},
		{window.Trapezoid, "by sampled power, straight lines between readings"},
	} {
		if n := count[m.method]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d of %d GPUs %s", n, len(r.GPUs), m.words))
		}
	}
	if len(parts) == 0 {
		return "Nothing was measured."
	}
	return strings.Join(parts, "; ") + "."
}

// crosscheck compares the two sensors that each GPU has.
func crosscheck(r window.Result) figure {
	least, most, n := math.Inf(1), 0.0, 0
	for _, g := range r.GPUs {
		if ratio, ok := g.Crosscheck.Known(); ok {
			least, most, n = min(least, ratio), max(most, ratio), n+1
		}
	}
	f := figure{Label: "Cross-check"}
	if n == 0 {
		f.Note = "There is none: no GPU gave both a count of its energy and power."
		return f
	}
	f.Value = thousands(least, 4) + " to " + thousands(most, 4)
	off := max(math.Abs(least-1), math.Abs(most-1))
	f.Note = fmt.Sprintf("Energy by the counter over energy by power, of %d GPUs: the two sensors agree within %s. ", n, percent(off))
	switch {
	case off > 0.1:
		f.Note += "That is far apart: one of the two is wrong, and the notes say which was believed."
	case r.Duration().Seconds() < 10:
		f.Note += "In a window this short, the lag of averaged power alone makes a difference of some percent."
	default:
		f.Note += "Above 10 % the counter would not be believed."
	}
	return f
}

func readings(r window.Result) figure {
	least, gap := 1.0, 0.0
	samples := 0
	for _, g := range r.GPUs {
		least, gap = min(least, g.Coverage.Or(0)), max(gap, g.MaxGapS.Or(0))
		samples += g.Samples
	}
	return figure{"Readings", thousands(float64(samples), 0), fmt.Sprintf("The longest time between two of one GPU was %s; %s of the window has no gap.",
		seconds(gap), percent(least))}
}

func throttling(r window.Result) figure {
	f := figure{Label: "Throttling", Note: "No driver said whether its GPU ran below its clocks."}
	var slow []string
	known := 0
	for _, g := range r.GPUs {
		if s, ok := g.ThrottledS.Known(); ok {
			known++
			if s > 0 {
				slow = append(slow, fmt.Sprintf("GPU %d for %s (%s)", g.Index, seconds(s), percent(s/r.Duration().Seconds())))
			}
		}
	}
	switch {
	case len(slow) > 0:
		f.Value, f.Note = fmt.Sprintf("%d of %d GPUs", len(slow), len(r.GPUs)), "Ran below their clocks: "+strings.Join(slow, ", ")+causes(r.Stats.Throttled)+"."
	case known > 0:
		f.Value, f.Note = "none", "No GPU ran below its clocks."
	}
	return f
}

// causes says for how long what slowed GPUs down.
func causes(t window.ThrottledTime) string {
	var parts []string
	for _, c := range []struct {
		words string
		s     sampler.Value
	}{{"the power limit", t.PowerCap}, {"heat", t.Thermal}, {"the hardware", t.Hardware}, {"the power brake", t.PowerBrake}, {"other causes", t.Other}} {
		if s := c.s.Or(0); s > 0 {
			parts = append(parts, c.words+" "+seconds(s))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ". Over all GPUs, by " + strings.Join(parts, ", by ")
}

// about is versions, cost, and what became of the aggregate.
func about(r window.Result) []figure {
	list := []figure{
		{"Window", r.Run, stamp(r.Start) + " to " + stamp(r.End) + " UTC"},
		{"wattmark", plain(r.Versions.Wattmark), "backend " + plain(r.Backend)},
		{"Driver", plain(r.Versions.Driver), plain(r.Versions.Library)},
		{"Measuring cost", number(r.Cost.CPUSeconds, 3, "s") + " of processor time", fmt.Sprintf("%s of memory; the longest driver call took %s",
			megabytes(r.Cost.RSSBytes), milliseconds(r.Cost.DriverCallMax))},
	}
	if w := r.Work; w != nil {
		count := func(n *int64) string {
			if n == nil {
				return missing
			}
			return thousands(float64(*n), 0)
		}
		list = append(list, figure{
			"Benchmark", count(w.Completed) + " queries",
			count(w.InputTokens) + " input tokens, " + count(w.OutputTokens) + " output tokens",
		})
	}
	if a := r.Aggregate; a.Status != "" && a.Status != "none" {
		list = append(list, figure{"Aggregate", plain(a.Status), plain(strings.TrimSpace(a.Path + " " + a.Detail))})
	}
	if s := r.Served; s != nil {
		note := number(s.Input, 0, "") + " input tokens, " + number(s.Requests, 0, "") + " requests, counted by the server itself"
		switch {
		case s.Used:
			note += ": the benchmark gave no counts, so these are the denominators"
		case !s.Complete:
			note += ", but not all the time: they are not used"
		case s.OutputRatio.OK():
			note += ": output is " + number(s.OutputRatio, 3, "") + " times what the benchmark says"
		}
		list = append(list, figure{"Inference server", number(s.Output, 0, "") + " output tokens", plain(s.Engine) + ": " + note})
	}
	for _, n := range r.Nodes {
		list = append(list, figure{"Node", plain(n.Name), number(n.Energy, 0, "J") + strings.TrimRight("; "+plain(n.Error), "; ")})
	}
	return slices.DeleteFunc(list, func(f figure) bool { return f.Value == "" && strings.TrimSpace(f.Note) == "" })
}

func megabytes(v sampler.Value) string {
	x, ok := v.Known()
	if !ok {
		return missing
	}
	return thousands(x/1e6, 1) + narrow + "MB"
}

func milliseconds(v sampler.Value) string {
	x, ok := v.Known()
	if !ok {
		return missing
	}
	return thousands(x*1000, 1) + narrow + "ms"
}
