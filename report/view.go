package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// figure is one number with its name and what to know of it.
type figure struct{ Label, Value, Note string }

// figures are the result's main numbers, the most wanted first.
func figures(r window.Result) []figure {
	perToken := func(label string, v sampler.Value) figure {
		return figure{label, bounded(v, r.BoundOf(v), "J"), ""}
	}
	list := []figure{{"Energy of all GPUs", energy(r.Energy(), r.Bound()), shareOf(r.Bound(), r.Energy())}}
	if r.Work != nil {
		list = append(list, perToken("Per output token", r.PerOutputToken()), perToken("Per input token", r.PerInputToken()),
			perToken("Per token", r.PerTotalToken()), perToken("Per query", r.PerQuery()))
	}
	power := figure{"Average power", number(r.TotalPower(), 1, "W"), ""}
	if limit, ok := limits(r); ok && r.TotalPower().OK() {
		power.Note = percent(r.TotalPower().Or(0)/limit) + " of the limits"
	}
	each := figure{"Average power of one GPU", number(r.AvgPower(), 1, "W"), fmt.Sprintf("%d GPUs", len(r.GPUs))}
	list = append(list, power, each, figure{"Duration", seconds(r.Duration().Seconds()), ""})
	return slices.DeleteFunc(list, func(f figure) bool { return f.Value == missing && strings.HasPrefix(f.Label, "Per ") })
}

func shareOf(part, whole sampler.Value) string {
	if p, ok := part.Known(); ok && whole.Or(0) > 0 {
		return "± " + percent(p/whole.Or(0))
	}
	return ""
}

// said is a reason or a note in words.
type said struct{ Code, Words string }

func reasons(list []window.Reason) []said {
	var out []said
	for _, r := range list {
		out = append(out, said{plain(string(r)), plain(r.Words())})
	}
	return out
}

func notes(list []window.Note) []said {
	var out []said
	for _, n := range list {
		out = append(out, said{plain(string(n)), plain(n.Words())})
	}
	return out
}

func verdict(r window.Result) string {
	switch {
	case !r.Valid():
		return "not valid"
	case r.Simulated():
		return "valid, of simulated GPUs"
	default:
		return "valid"
	}
}

// gpuRow is one GPU in the table.
type gpuRow struct {
	Name, Model, ID, Method                             string
	Energy, Share, Power, Max, Temperature, Throttled   string
	Samples, Gap, Coverage, Crosscheck, Tolerance, Host string
	Reasons, Notes                                      []said
}

func gpuRows(r window.Result) []gpuRow {
	var rows []gpuRow
	for _, g := range r.GPUs {
		row := gpuRow{
			Name: "GPU " + strconv.Itoa(g.Index), Model: plain(g.Model), Host: plain(g.Host), ID: plain(cmp.Or(g.BusID, g.UUID)),
			Method: plain(string(g.Method)), Energy: energy(g.Energy, g.Bound), Power: number(g.AvgPower, 1, "W"),
			Max: number(g.MaxPower, 0, "W"), Temperature: number(g.MaxTemperature, 0, "°C"), Throttled: number(g.ThrottledS, 1, "s"),
			Samples: strconv.Itoa(g.Samples), Gap: number(g.MaxGapS, 2, "s"), Crosscheck: number(g.Crosscheck, 4, ""),
			Tolerance: "± " + number(g.Tolerance, 0, "J"), Reasons: reasons(g.Reasons), Notes: notes(g.Notes), Coverage: missing,
		}
		if c, ok := g.Coverage.Known(); ok {
			row.Coverage = percent(c)
		}
		if e, ok := g.Energy.Known(); ok && r.Energy().Or(0) > 0 {
			row.Share = percent(e / r.Energy().Or(0))
		}
		if role := plain(g.Role); role != "" {
			row.Name += ", " + role
		}
		rows = append(rows, row)
	}
	return rows
}

// edgeView is one edge of the window with the readings around it.
type edgeView struct {
	Name, At string
	Chart    chart
	Rows     []edgeRow
}

type edgeRow struct{ GPU, Before, PowerBefore, After, PowerAfter, Counted string }

// around is how much of the time before and after an edge is drawn.
const around = 2500 * time.Millisecond

func edges(run Run) []edgeView {
	r := run.Result
	var out []edgeView
	for _, edge := range []struct {
		name string
		at   sampler.Moment
	}{{"Start", r.Start}, {"End", r.End}} {
		view := edgeView{Name: edge.name, At: stamp(edge.at)}
		view.Chart = chartOf(run, frame{
			title: edge.name + " of the window", from: edge.at.Add(-around), to: edge.at.Add(around), w: 460, h: 190, dots: true,
		})
		for _, series := range run.Series {
			view.Rows = append(view.Rows, edgeRowOf(series, edge.at))
		}
		out = append(out, view)
	}
	return out
}

func edgeRowOf(series sampler.Series, edge sampler.Moment) edgeRow {
	row := edgeRow{"GPU " + strconv.Itoa(series.Info.Index), missing, missing, missing, missing, missing}
	readings := series.Readings
	edge = edge.Among(len(readings), func(i int) sampler.Moment { return readings[i].At })
	after := slices.IndexFunc(readings, func(r sampler.Reading) bool { return r.At.Sub(edge) >= 0 })
	before := after - 1
	if after < 0 {
		before = len(readings) - 1
	}
	offset := func(r sampler.Reading) string { return thousands(1000*r.At.Sub(edge).Seconds(), 1) + narrow + "ms" }
	if before >= 0 {
		row.Before, row.PowerBefore = offset(readings[before]), number(readings[before].Power(), 0, "W")
	}
	if after >= 0 {
		row.After, row.PowerAfter = "+"+offset(readings[after]), number(readings[after].Power(), 0, "W")
	}
	if before >= 0 && after >= 0 {
		a, okA := readings[before].EnergyJoules.Known()
		b, okB := readings[after].EnergyJoules.Known()
		if okA && okB {
			row.Counted = number(sampler.Some(b-a), 1, "J")
		}
	}
	return row
}

// runView is one window in the page.
type runView struct {
	Run, Verdict, Start, End, Backend string
	Valid, Simulated                  bool
	Reasons, Notes                    []said
	Figures                           []figure
	Trace                             chart
	Edges                             []edgeView
	GPUs                              []gpuRow
	Known                             []figure // how the number is known: label and explanation
	About                             []figure
}

func viewOf(run Run) runView {
	r := run.Result
	margin := max(3*time.Second, r.Duration()/25)
	return runView{
		Run: r.Run, Verdict: verdict(r), Valid: r.Valid(), Simulated: r.Simulated(), Start: stamp(r.Start), End: stamp(r.End),
		Backend: plain(r.Backend), Reasons: reasons(r.AllReasons()), Notes: notes(r.AllNotes()), Figures: figures(r),
		Trace: chartOf(run, frame{title: "Power of all GPUs", from: r.Start.Add(-margin), to: r.End.Add(margin), w: 960, h: 280}),
		Edges: edges(run), GPUs: gpuRows(r), Known: explain(r), About: about(r),
	}
}

type pageView struct {
	Title, Policy string
	Runs          []runView
	Comparison    *comparison
}

func pageOf(runs []Run) pageView {
	p := pageView{Policy: Policy}
	var names []string
	for _, run := range runs {
		names = append(names, run.Result.Run)
		p.Runs = append(p.Runs, viewOf(run))
	}
	p.Title = strings.Join(names, ", ")
	if len(runs) > 1 {
		p.Comparison = compare(runs)
	}
	return p
}

// placed is a chart below others.
type placed struct {
	chart
	Y float64
}

// Untitled is the chart itself.
func (p placed) Untitled() chart { return p.chart }

// Tall is its height with the title.
func (p placed) Tall() float64 { return p.Height + 20 }

// svgOf is the traces alone, one below the other.
func svgOf(runs []Run) any {
	view := struct {
		Width, Height float64
		Charts        []placed
	}{Width: 960}
	for _, run := range runs {
		c := viewOf(run).Trace
		c.Title = run.Result.Run + ": " + verdict(run.Result) + ", " + energy(run.Result.Energy(), run.Result.Bound())
		view.Charts = append(view.Charts, placed{c, view.Height})
		view.Height += c.Height + 30
	}
	return view
}
