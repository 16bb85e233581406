package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// chart is power over time as the template draws it. All coordinates are those of the picture.
type chart struct {
	Title         string
	Text          string // the same in words
	Width, Height float64
	Left, Right   float64
	Top, Bottom   float64
	Y, X          []tick
	Line, Area    string // paths
	Dots          []dot
	Limit         *tick
	Band          *band
}

type tick struct {
	At    float64
	Label string
	Text  float64 // where the label's base line is
}

type dot struct{ X, Y float64 }

type band struct {
	From, Width float64
	Marks       []tick // the edges that are in the picture
}

// What the template cannot add up itself.

func (c chart) BandHeight() float64 { return c.Bottom - c.Top }
func (c chart) MarkTop() float64    { return c.Top - 6 }
func (c chart) TickEnd() float64    { return c.Bottom + 4 }
func (c chart) TickText() float64   { return c.Bottom + 18 }
func (c chart) LimitText() float64  { return c.Right - 4 }

// frame is what a chart shows.
type frame struct {
	title    string
	from, to sampler.Moment
	w, h     float64
	dots     bool
}

// chartOf draws the power of all GPUs of a run in a span of time.
func chartOf(run Run, f frame) chart {
	c := chart{Title: f.title, Width: f.w, Height: f.h, Left: 58, Right: f.w - 12, Top: 24, Bottom: f.h - 26}
	length := f.to.Sub(f.from)
	if length <= 0 {
		return c
	}
	var inside []sampler.Series
	for series := range window.Recorded(run.Series).Series(f.from, f.to) {
		inside = append(inside, series)
	}
	apart := length / 900
	if f.dots {
		apart = 0
	}
	points := window.Total(inside, apart, run.Limits)
	limit, limited := limits(run.Result)
	most := limit
	for _, p := range points {
		most = max(most, p.Watts.Or(0))
	}
	most = max(most, 10) * 1.02
	step := niceStep(most, 5)
	top := math.Ceil(most/step) * step
	x := func(m sampler.Moment) float64 {
		return c.Left + m.Sub(f.from).Seconds()/length.Seconds()*(c.Right-c.Left)
	}
	y := func(watts float64) float64 { return c.Bottom - watts/top*(c.Bottom-c.Top) }

	for watts := 0.0; watts <= top*1.0001; watts += step {
		c.Y = append(c.Y, tick{At: round(y(watts)), Label: thousands(watts, 0), Text: round(y(watts) + 4)})
	}
	c.X = slices.DeleteFunc(timeTicks(f.from, f.to, int(f.w/110), x), func(t tick) bool { return t.At < c.Left+28 }) // there is the unit
	gap := run.Limits.MaxGap
	if gap == 0 {
		gap = window.DefaultMaxGap
	}
	c.draw(points, gap, f.dots, x, y)
	if limited {
		c.Limit = &tick{At: round(y(limit)), Label: "limit " + thousands(limit, 0) + narrow + "W", Text: round(y(limit) - 5)}
	}
	c.mark(run.Result, f, x)
	c.Text = describe(points, f)
	return c
}

func round(x float64) float64 { return math.Round(x*10) / 10 }

// draw makes the paths: broken where power is missing or was not read for longer than a gap, and cut at the picture's
// sides, outside of which the first and the last point may lie.
func (c *chart) draw(points []window.Point, gap time.Duration, dots bool, x func(sampler.Moment) float64, y func(float64) float64) {
	var line, area strings.Builder
	var last window.Point
	open := false
	first, px := 0.0, 0.0
	end := func() {
		if open {
			fmt.Fprintf(&area, "L%.1f %.1fL%.1f %.1fZ", px, c.Bottom, first, c.Bottom)
		}
		open = false
	}
	for _, p := range points {
		watts, ok := p.Watts.Known()
		if !ok {
			end()
			last = window.Point{}
			continue
		}
		joined := last.Watts.OK() && p.At.Sub(last.At) <= gap
		from := last
		last = p
		if x(p.At) < c.Left || joined && x(from.At) > c.Right {
			continue
		}
		var py float64
		px, py = x(p.At), y(watts)
		if joined {
			px, py = cut(x(from.At), y(from.Watts.Or(0)), px, py, c.Right)
		}
		if joined && !open && x(from.At) < c.Left { // the line comes in from the left
			_, at := cut(x(from.At), y(from.Watts.Or(0)), px, py, c.Left)
			first, open = c.Left, true
			fmt.Fprintf(&line, "M%.1f %.1f", c.Left, at)
			fmt.Fprintf(&area, "M%.1f %.1f", c.Left, at)
		}
		switch {
		case joined && open:
			fmt.Fprintf(&line, "L%.1f %.1f", px, py)
			fmt.Fprintf(&area, "L%.1f %.1f", px, py)
		case x(p.At) > c.Right:
			continue
		default:
			end()
			first, open = px, true
			fmt.Fprintf(&line, "M%.1f %.1fh.01", px, py)
			fmt.Fprintf(&area, "M%.1f %.1f", px, py)
		}
		if dots && x(p.At) <= c.Right {
			c.Dots = append(c.Dots, dot{round(px), round(py)})
		}
	}
	end()
	c.Line, c.Area = line.String(), area.String()
}

// cut is the end of the line from a to b, or where it meets the upright at side if that comes before.
func cut(ax, ay, bx, by, side float64) (x, y float64) {
	if bx <= side || bx <= ax {
		return bx, by
	}
	return side, ay + (by-ay)*(side-ax)/(bx-ax)
}

// mark draws the window, as far as it is in the picture.
func (c *chart) mark(r window.Result, f frame, x func(sampler.Moment) float64) {
	left, right := max(x(r.Start), c.Left), min(x(r.End), c.Right)
	if right <= left {
		return
	}
	c.Band = &band{From: round(left), Width: round(right - left)}
	for _, edge := range []struct {
		at    sampler.Moment
		label string
	}{{r.Start, "start"}, {r.End, "end"}} {
		if edge.at.Sub(f.from) >= 0 && edge.at.Sub(f.to) <= 0 {
			c.Band.Marks = append(c.Band.Marks, tick{At: round(x(edge.at)), Label: edge.label})
		}
	}
}

func timeTicks(from, to sampler.Moment, n int, x func(sampler.Moment) float64) []tick {
	step := niceTime(to.Sub(from), max(2, n))
	var ticks []tick
	first := from.Wall().UTC().Truncate(step).Add(step)
	for t := first; t.Before(to.Wall()); t = t.Add(step) {
		m := from.Add(t.Sub(from.Wall()))
		label := clock(m, step < time.Minute)
		if step < time.Second {
			label = m.Wall().UTC().Format("15:04:05.0")
		}
		ticks = append(ticks, tick{At: round(x(m)), Label: label})
	}
	return ticks
}

// limits is the sum of the power limits; not ok where one is not known.
func limits(r window.Result) (watts float64, ok bool) {
	for _, gpu := range r.GPUs {
		limit, known := gpu.PowerLimit.Known()
		if !known || limit <= 0 {
			return 0, false
		}
		watts += limit
	}
	return watts, len(r.GPUs) > 0
}

// describe says in words what the picture shows.
func describe(points []window.Point, f frame) string {
	least, most, known := math.Inf(1), 0.0, 0
	for _, p := range points {
		if watts, ok := p.Watts.Known(); ok && p.At.Sub(f.from) >= 0 && p.At.Sub(f.to) <= 0 {
			least, most, known = min(least, watts), max(most, watts), known+1
		}
	}
	if known == 0 {
		return "Power of all GPUs is not known here."
	}
	return fmt.Sprintf("Power of all GPUs from %s to %s UTC: between %s and %s watts.", clock(f.from, true), clock(f.to, true),
		thousands(least, 0), thousands(most, 0))
}
