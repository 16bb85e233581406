package probe

import (
	"math"

	"wattmark/sampler"
)

// integral regresses the power of each step of the counter on the instantaneous field.
//
// A field that sees 25 ms of each 100 explains a counter that adds up what it shows, to the last digit; it explains
// one that counts all of the time only as far as power stays the same in between. That tells them apart where power
// differs from one refresh to the next in an irregular way.
func integral(c curve, counter grid, instant []point, refreshed []float64) Integral {
	if counter.period <= 0 {
		return Integral{Note: "not determinable: the counter's steps were not seen"}
	}
	rough := roughness(refreshed)
	mean, deviation := meanOf(refreshed)
	switch {
	case len(refreshed) < 10 || len(instant) == 0:
		return Integral{Note: "not determinable: too few values of instantaneous power"}
	case deviation < moved*mean:
		return Integral{Note: "not determinable: power did not move"}
	case rough < moved*mean:
		return Integral{Note: "not determinable: power moved too evenly"}
	}
	best := regression{}
	for shift := -1.0; shift <= 1; shift += 0.1 { // which glimpses belong to which step is not known
		var line regression
		for i := 1; i < len(c.x); i++ {
			long := c.x[i] - c.x[i-1]
			if math.Abs(long-counter.period) > 0.01*counter.period {
				continue // some steps were not seen
			}
			if watts, ok := held(instant, c.x[i]+shift*counter.period); ok {
				line.add(watts, (c.y[i]-c.y[i-1])/long, 1)
			}
		}
		if line.w >= 10 && line.r2() > best.r2() {
			best = line
		}
	}
	if best.w == 0 {
		return Integral{Note: "not determinable: the counter does not follow instantaneous power"}
	}
	out := Integral{R2: sampler.Some(best.r2())}
	switch left := best.residual(); {
	case left >= 0.3*rough:
		out.FullTime = new(true)
	case left <= 0.1*rough:
		out.FullTime = new(false)
		out.Note = "the counter adds up what the instantaneous field shows: it sees as much of the time as that field"
	default:
		out.Note = "not determinable: power moved too evenly"
	}
	return out
}

// roughness is the standard deviation of what cannot be told of a value from its two neighbours on either side: 0 for
// one that is steady, and for up to two sines, however fast.
func roughness(values []float64) float64 {
	mean, _ := meanOf(values)
	var near, far, cross, nearY, farY, y, n float64 // sums of products, around the mean
	for i := 2; i+2 < len(values); i++ {
		a, b := values[i-1]+values[i+1]-2*mean, values[i-2]+values[i+2]-2*mean
		v := values[i] - mean
		near, far, cross = near+a*a, far+b*b, cross+a*b
		nearY, farY, y, n = nearY+a*v, farY+b*v, y+v*v, n+1
	}
	det := near*far - cross*cross
	if n == 0 || near == 0 {
		return 0
	}
	left := y - nearY*nearY/near
	if det > 1e-9*near*far {
		p, q := (nearY*far-farY*cross)/det, (farY*near-nearY*cross)/det
		left = y - p*nearY - q*farY
	}
	return math.Sqrt(max(0, left) / n)
}

// held returns the value that the field showed at t: that of the last reading before it, if that is at most 60 ms old.
func held(list []point, t float64) (float64, bool) {
	low, high := 0, len(list)
	for low < high {
		if middle := (low + high) / 2; list[middle].x <= t {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == 0 || t-list[low-1].x > 0.065 {
		return 0, false
	}
	return list[low-1].y, true
}
