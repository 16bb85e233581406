package report

import (
	"math"
	"slices"

	"wattmark/sampler"
	"wattmark/window"
)

// comparison sets windows beside the first of them.
type comparison struct {
	Heads []head
	Rows  []comparedRow
	Note  string
}

type head struct {
	Run, Verdict string
	Valid        bool
}

type comparedRow struct {
	Label string
	Cells []comparedCell
}

// comparedCell is a value and how it differs from the first run's.
type comparedCell struct {
	Value, Difference string
	Beyond            bool // the difference is more than the bounds of both explain
}

// compared is one figure of a result, with its bound and tolerance: two standard deviations of the random error, and
// the systematic error.
type compared struct {
	label     string
	of        func(window.Result) sampler.Value
	show      func(v, bound sampler.Value) string
	unbounded bool // it is not measured by the power sensors
}

func compareds() []compared {
	joules := func(v, bound sampler.Value) string { return bounded(v, bound, "J") }
	return []compared{
		{"Per output token", window.Result.PerOutputToken, joules, false},
		{"Per input token", window.Result.PerInputToken, joules, false},
		{"Per token", window.Result.PerTotalToken, joules, false},
		{"Per query", window.Result.PerQuery, joules, false},
		{"Energy of all GPUs", window.Result.Energy, energy, false},
		{"Average power", window.Result.TotalPower, func(v, bound sampler.Value) string { return bounded(v, bound, "W") }, false},
		{"Duration", func(r window.Result) sampler.Value { return sampler.Some(r.Duration().Seconds()) }, func(v, _ sampler.Value) string {
			return number(v, 3, "s")
		}, true},
		{"GPUs", func(r window.Result) sampler.Value { return sampler.Some(float64(len(r.GPUs))) }, func(v, _ sampler.Value) string {
			return number(v, 0, "")
		}, true},
	}
}

func compare(runs []Run) *comparison {
	first := runs[0].Result
	c := &comparison{}
	same := true
	for _, run := range runs {
		r := run.Result
		c.Heads = append(c.Heads, head{r.Run, verdict(r), r.Valid()})
		same = same && slices.Equal(cards(first), cards(r))
	}
	for _, what := range compareds() {
		row := comparedRow{Label: what.label}
		known := false
		for i, run := range runs {
			v := what.of(run.Result)
			bound := sampler.Value{}
			if !what.unbounded {
				bound = run.Result.BoundOf(v)
			}
			cell := comparedCell{Value: what.show(v, bound)}
			if i > 0 {
				cell.Difference, cell.Beyond = differs(what, first, run.Result, same)
			}
			known = known || v.OK()
			row.Cells = append(row.Cells, cell)
		}
		if known {
			c.Rows = append(c.Rows, row)
		}
	}
	c.Note = "Differences are to the first. Beyond the bounds means: more than the random errors of both together (two standard deviations) explain. "
	if same {
		c.Note += "All windows are of the same cards, so the sensors' tolerance cancels."
	} else {
		c.Note += "The windows are of different cards, whose sensors may differ by their tolerance: a difference that is smaller than that of both is marked so."
	}
	return c
}

// cards are the identities of the GPUs.
func cards(r window.Result) []string {
	var ids []string
	for _, g := range r.GPUs {
		ids = append(ids, g.ID())
	}
	slices.Sort(ids)
	return ids
}

// differs says how a figure of b differs from that of a, and whether that is more than chance.
func differs(what compared, a, b window.Result, same bool) (words string, beyond bool) {
	x, okX := what.of(a).Known()
	y, okY := what.of(b).Known()
	if !okX || !okY || x == 0 {
		return "", false
	}
	if what.unbounded && x == y {
		return "", false
	}
	words = percent((y - x) / x)
	if y >= x {
		words = "+" + words
	}
	if what.unbounded {
		return words, false
	}
	boundA, okA := a.BoundOf(what.of(a)).Known()
	boundB, okB := b.BoundOf(what.of(b)).Known()
	switch {
	case !a.Valid() || !b.Valid():
		return words + ", not valid", false
	case !okA || !okB:
		return words, false
	case math.Abs(y-x) <= math.Hypot(boundA, boundB):
		return words + ", within the bounds", false
	case !same && math.Abs(y-x) <= tolerance(a, x)+tolerance(b, y):
		return words + ", within the sensors' tolerance", false
	default:
		return words + ", beyond the bounds", true
	}
}

// tolerance is the systematic error of a figure that is proportional to energy.
func tolerance(r window.Result, x float64) float64 {
	if joules := r.Energy().Or(0); joules > 0 {
		return x * r.Tolerance().Or(0) / joules
	}
	return 0
}
