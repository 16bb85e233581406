package probe

import (
	"fmt"
	"math"
	"slices"
	"time"

	"wattmark/sampler"
)

// point is one reading of one quantity.
type point struct {
	x, y float64 // seconds since the first reading, and W or J
	half float64 // half the driver call in seconds: x is that uncertain
}

// points returns the known values of a quantity; origin is time 0.
func points(readings []sampler.Reading, origin sampler.Moment, of func(sampler.Reading) sampler.Value) []point {
	var list []point
	for _, r := range readings {
		if y, ok := of(r).Known(); ok {
			list = append(list, point{x: r.At.Sub(origin).Seconds(), y: y, half: r.Call.Seconds() / 2})
		}
	}
	return list
}

// event is that a value changed, at a time between at−half and at+half, to y.
type event struct{ at, half, y float64 }

// changes returns when the value changed from one point to the next.
func changes(list []point) []event {
	var events []event
	for i := 1; i < len(list); i++ {
		if a, b := list[i-1], list[i]; a.y != b.y {
			events = append(events, event{at: (a.x + b.x) / 2, half: (b.x-a.x)/2 + (a.half+b.half)/2, y: b.y})
		}
	}
	return events
}

// grid is the moments origin + k·period at which a value was found to change.
type grid struct {
	origin, period float64
	bound          float64 // half the width of the periods that explain the events as well
	jitter         float64 // largest deviation of an event beyond its half
	seen           float64 // how finely the best reads show the time of an event
	events         int
}

// fewest is how many events show a pace.
const fewest = 8

// findGrid finds the pace at which a value changes, from its points at 200 Hz and at 20 Hz; why not, if it does not.
//
// An event confines the moment of a change to an interval. With the events' numbers k known, the grid is the straight
// line origin + k·period that misses these intervals least (in the maximum); by how much it misses them is the jitter.
func findGrid(quickly, steadily []point) (grid, string) {
	quick, slower := changes(quickly), changes(steadily)
	switch {
	case len(quickly)+len(steadily) < 2*fewest:
		return grid{}, "not determinable: too few readings"
	case len(quickly) > 20 && len(quick) > 8*len(quickly)/10:
		every := (quickly[len(quickly)-1].x - quickly[0].x) / float64(len(quickly)-1)
		return grid{}, fmt.Sprintf("not determinable: it changes at every read, %s apart", milliseconds(every))
	case len(quick)+len(slower) < fewest:
		return grid{}, "not determinable: the value did not change often enough"
	}
	first := quick
	if len(quick) < fewest/2 {
		first = slices.Concat(quick, slower)
	}
	best, why := grid{}, "not determinable: the changes keep no pace"
	for _, guess := range guesses(first) {
		g, bad := follow(quick, slower, guess)
		if better := best.period == 0 || g.jitter < best.jitter; bad == "" && better {
			best, why = g, ""
		} else if best.period == 0 {
			why = bad
		}
	}
	return best, why
}

// follow finds the grid with about this period. The slower reads may be too far apart to show it.
func follow(quick, slower []event, guess float64) (grid, string) {
	const rare, uneven = "not determinable: the value did not change often enough", "not determinable: the changes keep no pace"
	blurred := func(e event) bool { return 2*e.half > 0.8*guess }
	sharp := slices.DeleteFunc(slices.Clone(quick), blurred)
	usable := append(sharp, slices.DeleteFunc(slices.Clone(slower), blurred)...)
	index, kept := number(usable, guess)
	if len(kept) < fewest {
		return grid{}, rare
	}
	g := fit(index, kept, guess)
	g.seen, g.events = kept[0].half, len(kept)
	for _, e := range kept {
		g.seen = min(g.seen, e.half)
	}
	// Changes that come with the load's would look like a pace of the sensor's: few moments of the grid may be without
	// one. Where the reads show the moment of a change so coarsely that any would be near a grid's, all must fit.
	share, jitter := 0.7, 0.2
	if g.period < 8*g.seen {
		share, jitter = 0.95, 0.02
	}
	switch {
	case g.jitter > jitter*g.period, g.period < 4*g.seen, len(kept) < 9*len(usable)/10, len(sharp) < 9*len(quick)/10:
		return grid{}, uneven
	case float64(len(kept)) < share*(1+index[len(index)-1]):
		return grid{}, rare
	}
	return g, ""
}

// guesses are first guesses of the period: the median of the times between events, and the mean of those that are
// about their lower quartile, for some changes may not show in a value that is rounded.
func guesses(events []event) []float64 {
	var apart []float64
	for i := 1; i < len(events); i++ {
		apart = append(apart, events[i].at-events[i-1].at)
	}
	median, short := quantile(apart, 0.5), quantile(apart, 0.25)
	mean, _ := meanOf(slices.DeleteFunc(apart, func(d float64) bool { return d < short/2 || d > 1.9*short }))
	return []float64{mean, median}
}

// number finds out how many periods after the first each event is, with a line through those before it; then again, for
// the first ones, with the line through all. It returns the events that are clearly later than the one before.
func number(events []event, guess float64) (index []float64, kept []event) {
	origin, period := 0.0, guess
	for pass := range 3 {
		var line regression
		index, kept = nil, nil
		for i, e := range events {
			if i == 0 && pass == 0 {
				origin = e.at
			}
			k := math.Round((e.at - origin) / period)
			if n := len(index); n > 0 && k <= index[n-1] {
				continue
			}
			index, kept = append(index, k), append(kept, e)
			line.add(k, e.at, 1/(e.half*e.half+1e-9))
			slope, ok := line.slope()
			if settled := pass == 0 && k > 10 || i == len(events)-1; ok && settled && math.Abs(slope-guess) < 0.3*guess {
				period, origin = slope, line.at(0)
			}
		}
	}
	for i := range index[1:] {
		index[i+1] -= index[0]
	}
	index[0] = 0
	return index, kept
}

// fit returns the line that misses the events' intervals least.
func fit(index []float64, events []event, guess float64) grid {
	// For a period, the best origin is in the middle between the bounds that the events set.
	miss := func(period float64) (most, origin float64) {
		latest, earliest := math.Inf(-1), math.Inf(1)
		for i, e := range events {
			at := e.at - index[i]*period
			latest, earliest = max(latest, at-e.half), min(earliest, at+e.half)
		}
		return (latest - earliest) / 2, (latest + earliest) / 2
	}
	var line regression
	for i, e := range events {
		line.add(index[i], e.at, 1)
	}
	slope, ok := line.slope()
	if !ok {
		slope = guess
	}
	low, high := 0.8*slope, 1.2*slope
	for range 80 { // most is convex in the period
		a, b := low+(high-low)/3, high-(high-low)/3
		missA, _ := miss(a)
		missB, _ := miss(b)
		if missA < missB {
			high = b
		} else {
			low = a
		}
	}
	best := (low + high) / 2
	least, _ := miss(best)
	// The periods that explain the events: all of them, or, where none does, as well as the best but for a quarter.
	level := 0.0
	if least > 0 {
		level = 1.25*least + 1e-4
	}
	side := func(sign float64) float64 {
		near, far := 0.0, 0.2*slope
		for range 60 {
			middle := (near + far) / 2
			if m, _ := miss(best + sign*middle); m <= level {
				near = middle
			} else {
				far = middle
			}
		}
		return near
	}
	less, more := side(-1), side(1)
	g := grid{period: best + (more-less)/2, bound: (more + less) / 2, jitter: max(0, least)}
	_, g.origin = miss(g.period)
	return g
}

// before returns the last moment of the grid at or before x.
func (g grid) before(x float64) float64 {
	return g.origin + math.Floor((x-g.origin)/g.period)*g.period
}

// nearest returns the moment of the grid nearest to x.
func (g grid) nearest(x float64) float64 {
	return g.origin + math.Round((x-g.origin)/g.period)*g.period
}

// steps describes the grid.
func (g grid) steps(why string) Steps {
	if why != "" {
		return Steps{Note: why}
	}
	return Steps{
		Period: sampler.Some(g.period), Bound: sampler.Some(g.bound), Jitter: sampler.Some(g.jitter),
		Seen: sampler.Some(g.seen), Count: g.events,
	}
}

func milliseconds(seconds float64) string {
	return fmt.Sprintf("%.4g ms", seconds*float64(time.Second/time.Millisecond))
}
