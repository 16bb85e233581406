package probe

import (
	"math"
	"slices"

	"wattmark/sampler"
)

// quantile returns the value below which a share of the values lies; NaN if there are none.
func quantile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

// regression is a weighted straight line y over x.
type regression struct{ w, x, y, xx, xy, yy float64 }

func (r *regression) add(x, y, weight float64) {
	// Around the running mean: sums of squares of large numbers would lose the digits that matter.
	r.w += weight
	dx, dy := x-r.x, y-r.y
	r.x += dx * weight / r.w
	r.y += dy * weight / r.w
	r.xx += weight * dx * (x - r.x)
	r.xy += weight * dx * (y - r.y)
	r.yy += weight * dy * (y - r.y)
}

func (r *regression) slope() (float64, bool) {
	if r.xx <= 0 {
		return 0, false
	}
	return r.xy / r.xx, true
}

func (r *regression) at(x float64) float64 {
	slope, _ := r.slope()
	return r.y + slope*(x-r.x)
}

// r2 is the share of y's variance that the line explains; 0 for a line that falls.
func (r *regression) r2() float64 {
	if r.xx <= 0 || r.yy <= 0 || r.xy <= 0 {
		return 0
	}
	return min(1, r.xy*r.xy/(r.xx*r.yy))
}

// residual is the standard deviation of y around the line.
func (r *regression) residual() float64 { return math.Sqrt(max(0, (1-r.r2())*r.yy/max(r.w, 1))) }

// mean and deviation of values; 0 for none.
func meanOf(values []float64) (mean, deviation float64) {
	var r regression
	for _, v := range values {
		r.add(0, v, 1)
	}
	return r.y, math.Sqrt(r.yy / max(1, r.w))
}

// quantum returns the largest usual resolution of which all values are multiples; missing for fewer than six different
// values, for these may be round by chance.
func quantum(values []float64) sampler.Value {
	different := slices.Compact(slices.Sorted(slices.Values(values)))
	if len(different) < 6 {
		return sampler.Value{}
	}
	for _, q := range []float64{100, 10, 1, 0.5, 0.1, 0.01, 0.001, 1.0 / 65536, 1e-6} {
		fits := func(v float64) bool {
			return math.Abs(v-math.Round(v/q)*q) <= 1e-6*q+1e-15*math.Abs(v)
		}
		if !slices.ContainsFunc(different, func(v float64) bool { return !fits(v) }) {
			return sampler.Some(q)
		}
	}
	return sampler.Value{}
}
