//go:build linux && cgo

package nvidia

import (
	"math"
	"testing"
	"time"

	"wattmark/internal/nvmldouble"
)

// The counter is at most one tick behind the truth, and the averaged and the instantaneous power are the true means
// over the last second and the last 25 ms before the driver's last refresh.
func TestReadingsAgreeWithTheTruth(t *testing.T) {
	decode := nvmldouble.Decode{
		Idle: 80, Prefill: 690, Plateau: 470, PrefillTime: 70 * time.Millisecond, BusyTime: 310 * time.Millisecond,
		Period: 470 * time.Millisecond,
	}
	script := running(
		nvmldouble.GPU{Power: nvmldouble.Trace{Decode: decode}, CounterPhase: 37 * time.Millisecond},
		nvmldouble.GPU{Power: nvmldouble.Trace{Sine: nvmldouble.Sine{Mean: 400, Amplitude: 250, Period: 1300 * time.Millisecond}}},
	)
	devices := mustOpen(t, script)
	const (
		tick  = 100 * time.Millisecond
		slack = 200 * time.Microsecond // for the double's tie of its clocks
	)
	truth := func(gpu int, until time.Time) float64 { return script.TrueJoules(gpu, script.Origin, until) }
	first, last := [2]float64{}, [2]float64{}
	var began, ended time.Time
	for n := range 80 {
		for i, device := range devices {
			got := mustRead(t, device)
			at := got.At.Wall()
			early, late := at.Add(-got.Call/2-slack), at.Add(got.Call/2+slack)
			counter := got.EnergyJoules.Or(math.NaN())
			if least, most := truth(i, early.Add(-tick))-0.002, truth(i, late)+0.002; !(counter >= least && counter <= most) {
				t.Fatalf("GPU %d: counter %v J, truth between %v (a tick ago) and %v", i, counter, least, most)
			}
			near := func(got float64, window time.Duration) bool {
				for _, when := range []time.Time{early, late} { // a refresh may fall into the call
					refresh := script.Origin.Add(when.Sub(script.Origin).Truncate(tick))
					want := script.TrueJoules(i, refresh.Add(-window), refresh) / window.Seconds()
					if math.Abs(got-want) < 0.002 {
						return true
					}
				}
				return false
			}
			if power := got.PowerWatts.Or(math.NaN()); !near(power, time.Second) {
				t.Fatalf("GPU %d: power %v W is not the mean over a second at %v", i, power, at.Sub(script.Origin))
			}
			if power := got.InstantWatts.Or(math.NaN()); !near(power, 25*time.Millisecond) {
				t.Fatalf("GPU %d: instant power %v W is not the mean over 25 ms at %v", i, power, at.Sub(script.Origin))
			}
			if n == 0 {
				first[i], began = counter, at
			}
			last[i], ended = counter, at
		}
		time.Sleep(10 * time.Millisecond)
	}
	for i := range devices {
		want := script.TrueJoules(i, began, ended)
		if got := last[i] - first[i]; math.Abs(got-want) > 690*tick.Seconds() {
			t.Errorf("GPU %d: the counter advanced by %v J in %v, truth %v", i, got, ended.Sub(began), want)
		}
	}
}
