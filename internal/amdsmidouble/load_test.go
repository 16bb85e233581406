package amdsmidouble

import (
	"math"
	"testing"
	"time"
)

// The energy is the integral of the power.
func TestLoads(t *testing.T) {
	for _, load := range []Load{
		{Watts: 500},
		{Watts: 500, Amplitude: 200, Period: 2 * time.Second},
		{Watts: 500, Amplitude: 200, Period: 700 * time.Millisecond, Square: true},
	} {
		const step = 100 * time.Microsecond
		sum := 0.0
		for x := time.Duration(0); x < 5*time.Second; x += step {
			sum += load.Power(x+step/2) * step.Seconds()
			if got := load.Joules(x + step); math.Abs(got-sum) > 0.05 {
				t.Fatalf("%+v: %.4f J after %v, the integral is %.4f J", load, got, x+step, sum)
			}
		}
	}
}

func TestTrueJoules(t *testing.T) {
	script := New(2)
	if got := script.TrueJoules(1, script.Origin, script.Origin+2e9); math.Abs(got-640) > 1e-9 {
		t.Errorf("got %v J in one period at 320 W, want 640 J", got)
	}
	now := float64(time.Now().UnixNano()) / 1e9
	if got := Boottime() - AtUnix(now-3); math.Abs(float64(got)/1e9-3) > 0.1 {
		t.Errorf("three seconds ago was %v ns ago", got)
	}
}
