// Package spread says how far measured energies lie from the true ones.
package spread

import "math"

// Spread sums up the errors of many windows; percent of the true energy, but for Covered.
type Spread struct {
	Mean, Deviation, Worst float64
	Covered                float64 // share of windows whose truth lies within the 2σ bound
	Bound                  float64 // mean of the 2σ bounds
}

// Of returns the spread of errors, each with its 2σ bound.
func Of(errors, bounds []float64) Spread {
	var s Spread
	n := float64(len(errors))
	for i, e := range errors {
		s.Mean += e / n
		s.Worst = max(s.Worst, math.Abs(e))
		s.Bound += bounds[i] / n
		if math.Abs(e) <= bounds[i] {
			s.Covered += 1 / n
		}
	}
	for _, e := range errors {
		s.Deviation += (e - s.Mean) * (e - s.Mean) / n
	}
	s.Deviation = math.Sqrt(s.Deviation)
	return s
}
