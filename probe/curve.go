package probe

import "sort"

// curve is E(t) by the energy counter: joules at some times, straight lines in between.
type curve struct{ x, y []float64 }

// newCurve puts each count at the step of the grid that it is from: the one before the middle of the readings that
// show it. Without a grid a count is as old as its reading.
func newCurve(list []point, g grid) curve {
	var c curve
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1].y == list[i].y {
			j++
		}
		x := list[i].x
		if g.period > 0 {
			x = g.before((list[i].x + list[j].x) / 2)
		}
		if n := len(c.x); n == 0 || x > c.x[n-1] {
			c.x, c.y = append(c.x, x), append(c.y, list[i].y)
		}
		i = j + 1
	}
	return c
}

// seconds is how long the curve is.
func (c curve) seconds() float64 {
	if len(c.x) == 0 {
		return 0
	}
	return c.x[len(c.x)-1] - c.x[0]
}

// joules returns E(t); false outside of what was read.
func (c curve) joules(t float64) (float64, bool) {
	n := len(c.x)
	if n < 2 || t < c.x[0] || t > c.x[n-1] {
		return 0, false
	}
	i := max(1, sort.SearchFloat64s(c.x, t))
	a, b := i-1, i
	return c.y[a] + (c.y[b]-c.y[a])*(t-c.x[a])/(c.x[b]-c.x[a]), true
}

// mean returns the mean power over the window before t.
func (c curve) mean(t, window float64) (watts float64, ok bool) {
	from, ok1 := c.joules(t - window)
	to, ok2 := c.joules(t)
	return (to - from) / window, ok1 && ok2 && window > 0
}

// meanNear is mean with the window moved by at most near to where the curve is.
func (c curve) meanNear(t, window, near float64) (watts float64, ok bool) {
	if len(c.x) < 2 {
		return 0, false
	}
	to := max(min(t, c.x[len(c.x)-1]), c.x[0]+window)
	if to > t+near || to < t-near {
		return 0, false
	}
	return c.mean(to, window)
}

// falls reports that the counter fell.
func falls(list []point) bool {
	for i := 1; i < len(list); i++ {
		if list[i].y < list[i-1].y {
			return true
		}
	}
	return false
}

// still reports that the counter stood still for longer than its steps, of period seconds where that is known, explain.
func still(list []point, period float64) bool {
	since := 0
	for i := range list {
		if list[i].y != list[since].y {
			since = i
		}
		if list[i].x-list[since].x > max(1.5, 3*period) {
			return true
		}
	}
	return false
}
