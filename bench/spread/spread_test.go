package spread_test

import (
	"math"
	"testing"

	"wattmark/bench/spread"
)

func TestOf(t *testing.T) {
	got := spread.Of([]float64{-1, 3, 1, 1}, []float64{1, 2, 1, 0})
	want := spread.Spread{Mean: 1, Deviation: math.Sqrt(2), Worst: 3, Covered: 0.5, Bound: 1}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
