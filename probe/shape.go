package probe

import (
	"fmt"
	"math"
	"slices"

	"wattmark/sampler"
)

// windows are the averaging windows that are tried, in seconds.
func windows() []float64 {
	return []float64{
		0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1, 1.05, 1.1, 1.2, 1.4, 1.7, 2,
	}
}

// shorter returns the windows up to the longest.
func shorter(windows []float64, longest float64) []float64 {
	return slices.DeleteFunc(windows, func(w float64) bool { return w > longest })
}

const (
	lagFirst, lagLast, lagStep = -0.1, 0.5, 0.01 // s; below 0: the counter lags behind the field
	moved                      = 0.01            // standard deviation over mean from which on power has moved
	explained                  = 0.9             // share of its movement from which on a field is explained
)

// explain finds the window and the lag with which the counter's differences explain a power field best. shown is what
// the field showed and since when; step is the counter's, 0 for one that is always up to date.
func explain(shown []point, c curve, windows []float64, step float64) Shape {
	if len(windows) == 0 {
		shown = nil
	}
	var usable []point // those for which every candidate is defined
	for _, v := range shown {
		longest := windows[len(windows)-1]
		_, before := c.joules(v.x - lagLast - longest)
		_, after := c.joules(v.x - lagFirst)
		if before && after {
			usable = append(usable, v)
		}
	}
	const enough = 250
	if every := (len(usable) + enough - 1) / enough; every > 1 { // more would take longer and say no more
		for i := range len(usable) / every {
			usable[i] = usable[i*every]
		}
		usable = usable[:len(usable)/every]
	}
	mean, deviation := meanOf(values(usable))
	switch {
	case len(usable) < 12:
		return Shape{Note: "not determinable: too few refreshed values beside counts"}
	case deviation < moved*mean:
		return Shape{Note: "not determinable: power did not move"}
	}
	fits := make([]fitted, len(windows))
	best := fitted{r2: -1}
	for i, window := range windows {
		fits[i] = bestLag(usable, c, window)
		if fits[i].r2 > best.r2 {
			best = fits[i]
		}
	}
	return best.shape(fits, step)
}

// fitted is how well a window explains a field, with the lag that suits it.
type fitted struct {
	window, r2, lag, first, last float64 // lags from first to last explain it nearly as well
}

func bestLag(values []point, c curve, window float64) fitted {
	best := fitted{window: window, r2: -1}
	var all []float64
	for lag := lagFirst; lag < lagLast+lagStep/2; lag += lagStep {
		var line regression
		for _, v := range values {
			watts, _ := c.mean(v.x-lag, window)
			line.add(watts, v.y, 1)
		}
		all = append(all, line.r2())
		if r2 := line.r2(); r2 > best.r2 {
			best.r2, best.lag = r2, lag
		}
	}
	best.first, best.last = math.Inf(1), math.Inf(-1)
	for i, r2 := range all {
		if lag := lagFirst + float64(i)*lagStep; alike(r2, best.r2) {
			best.first, best.last = min(best.first, lag), max(best.last, lag)
		}
	}
	return best
}

// alike reports that what is left unexplained is about the same: by half more, or by a thousandth of the whole.
func alike(r2, best float64) bool { return 1-r2 <= 1.5*(1-best)+0.001 }

// shape is the verdict on the best of fits. What is shorter than the counter's step looks all the same.
func (f fitted) shape(fits []fitted, step float64) Shape {
	least, most := f.window, f.window
	for _, other := range fits {
		if alike(other.r2, f.r2) {
			least, most = min(least, other.window), max(most, other.window)
		}
	}
	s := Shape{R2: sampler.Some(max(0, f.r2))}
	short := least <= step && most <= 3*step
	switch {
	case f.r2 < explained && !(short && f.r2 >= explained/2):
		s.Note = fmt.Sprintf("not determinable: the counter explains %.0f %% of its movement at best", 100*max(0, f.r2))
	case short:
		s.Least, s.Most = sampler.Some(0), sampler.Some(max(most, step))
		s.Note = fmt.Sprintf("at most %s: what is shorter does not show in the counter", milliseconds(max(most, step)))
	case most > 1.2*least:
		s.Least, s.Most = sampler.Some(least), sampler.Some(most)
		s.Note = "not determinable: several windows explain it alike"
	default:
		s.Window, s.Least, s.Most = sampler.Some(f.window), sampler.Some(least), sampler.Some(most)
		if f.last-f.first <= 0.1 {
			s.Lag = sampler.Some(math.Round(f.lag/lagStep) * lagStep)
		}
	}
	return s
}
