package sim

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"wattmark/sampler"
)

func worstCase() Load {
	return Busy{Load: NewDecode(ServingH200(7)), IdleWatts: 78, Start: 3, End: 63}
}

func TestCounterIsAtMostOneTickBehindTheTruth(t *testing.T) {
	for _, model := range []string{"H200", "A100", "MI300X"} {
		gpu := New(Config{Model: model, Index: 3, Load: worstCase()})
		period, quantum := gpu.Info().CounterPeriod, gpu.sensors.CounterQuantum
		random := rand.New(rand.NewPCG(1, 2))
		last := -1e9
		for at := 0.0; at < 80; at += random.Float64() * 0.05 {
			energy, ok := gpu.At(at).EnergyJoules.Known()
			if !ok {
				t.Fatalf("%s: no counter at %g s", model, at)
			}
			got := energy - gpu.counterOrigin
			most := gpu.load.EnergyJoules(at) + 1e-6
			least := gpu.load.EnergyJoules(at-period.Seconds()) - quantum - 1e-6
			if got > most || got < least {
				t.Fatalf("%s: counter at %g s = %g J, want %g to %g", model, at, got, least, most)
			}
			if got < last {
				t.Fatalf("%s: counter fell from %g to %g J at %g s", model, last, got, at)
			}
			last = got
		}
	}
}

func TestCounterShowsTheEnergyOfItsTick(t *testing.T) {
	gpu := New(Config{Load: Constant(500), Sensors: Sensors{
		CounterQuantum: 0.001, CounterPeriod: 100 * time.Millisecond, CounterPhase: 30 * time.Millisecond,
	}})
	for _, test := range []struct{ at, tick float64 }{
		{0.03, 0.03}, {0.0301, 0.03}, {0.1299, 0.03}, {0.13, 0.13}, {0.3, 0.23}, {0.33, 0.33}, {0, -0.07}, {3600.03, 3600.03},
	} {
		got := gpu.At(test.at).EnergyJoules.Or(0) - 1e6
		if want := 500 * test.tick; math.Abs(got-want) > 0.0011 {
			t.Errorf("counter at %g s = %g J, want %g of the tick at %g s", test.at, got, want, test.tick)
		}
		if reading := gpu.At(test.at); reading.Power().OK() {
			t.Errorf("power = %v, want none: the sensors have none", reading.Power())
		}
	}
}

func TestPowerIsTheExactMeanAtItsRefresh(t *testing.T) {
	for _, test := range []struct {
		model  string
		window float64
		of     func(sampler.Reading) sampler.Value
	}{
		{"H200", 1, func(r sampler.Reading) sampler.Value { return r.PowerWatts }},
		{"H200", 0.025, func(r sampler.Reading) sampler.Value { return r.InstantWatts }},
		{"A100", 0.025, func(r sampler.Reading) sampler.Value { return r.PowerWatts }},
		{"MI300X", 0.001, func(r sampler.Reading) sampler.Value { return r.PowerWatts }},
	} {
		gpu := New(Config{Model: test.model, Index: 2, Load: worstCase()})
		s := gpu.sensors
		for k := range 200 {
			refreshed := (s.RefreshPhase + time.Duration(k)*337*s.Refresh).Seconds()
			want := (gpu.load.EnergyJoules(refreshed) - gpu.load.EnergyJoules(refreshed-test.window)) / test.window
			for _, age := range []float64{0, 0.4, 0.99} {
				got := test.of(gpu.At(refreshed + age*s.Refresh.Seconds())).Or(math.NaN())
				if !(math.Abs(got-want) <= s.PowerQuantum/2+1e-6) {
					t.Fatalf("%s: power %g of a refresh after %g s = %g W, want the mean of %g s, %g", test.model, age, refreshed, got, test.window, want)
				}
			}
		}
	}
}

func TestEachModelHasItsSensors(t *testing.T) {
	for _, test := range []struct {
		model, source             string
		period                    time.Duration
		hasPower, hasInstant      bool
		limit                     float64
		vendor, id, counterPeriod string
	}{
		{"H100", "average", time.Second, true, true, 700, "nvidia", "h/GPU-5156d3a7-0000-0000-0000-00000000000b", "100ms"},
		{"B200", "average", time.Second, true, true, 1000, "nvidia", "h/GPU-5156d3a7-0000-0000-0000-00000000000b", "100ms"},
		{"L40S", "average", time.Second, true, true, 350, "nvidia", "h/GPU-5156d3a7-0000-0000-0000-00000000000b", "100ms"},
		{"A100", "instant", 0, true, true, 400, "nvidia", "h/GPU-5156d3a7-0000-0000-0000-00000000000b", "101.3ms"},
		{"MI300X", "socket", 0, true, false, 750, "amd", "h/0000:0b:00.0", "0s"},
	} {
		gpu := New(Config{Model: test.model, Host: "h", Index: 11})
		info, reading := gpu.Info(), gpu.At(5)
		if info.PowerSource != test.source || info.PowerPeriod != test.period || info.PowerLimitWatts.Or(0) != test.limit ||
			info.Vendor != test.vendor || info.ID() != test.id || info.CounterPeriod.String() != test.counterPeriod ||
			!info.HasCounter || !info.Simulated || info.Scope != sampler.ScopeGPU {
			t.Errorf("%s: info = %+v, want %+v", test.model, info, test)
		}
		if reading.PowerWatts.OK() != test.hasPower || reading.InstantWatts.OK() != test.hasInstant {
			t.Errorf("%s: power %v, instant %v; want %v, %v", test.model,
				reading.PowerWatts.OK(), reading.InstantWatts.OK(), test.hasPower, test.hasInstant)
		}
	}
}

func TestTemperatureClocksAndThrottleFollowPower(t *testing.T) {
	gpu := New(Config{Load: Steps{{Watts: 78}, {At: 10, Watts: 500}, {At: 100, Watts: 700}}})
	idle, busy, capped := gpu.At(9), gpu.At(90), gpu.At(190)
	for _, test := range []struct {
		name      string
		got, want float64
	}{
		{"idle utilisation", idle.Utilization.Value().Or(-1), 0},
		{"busy utilisation", busy.Utilization.Value().Or(-1), 1},
		{"idle clock", idle.ClockMHz.Value().Or(-1), 345},
		{"busy clock", busy.ClockMHz.Value().Or(-1), 1952},
		{"idle temperature", idle.TemperatureC.Value().Or(-1), 33},
		{"busy temperature", busy.TemperatureC.Value().Or(-1), 58},
		{"throttle when busy", float64(busy.Throttle), 0},
		{"throttle at the limit", float64(capped.Throttle), float64(sampler.ThrottlePowerCap)},
	} {
		if test.got != test.want {
			t.Errorf("%s = %g, want %g", test.name, test.got, test.want)
		}
	}
}

func TestModelTimeIsRepeatable(t *testing.T) {
	origin := time.Now()
	config := Config{Load: worstCase(), Clock: sampler.NewClock(), Origin: origin}
	a, b := New(config), New(config)
	for at := 0.0; at < 70; at += 0.31 {
		if x, y := a.At(at), b.At(at); x != y {
			t.Fatalf("readings at %g s differ: %+v, %+v", at, x, y)
		}
	}
	if got, want := a.TrueJoules(origin.Add(time.Second), origin.Add(2*time.Second)), 78.0; math.Abs(got-want) > 1e-9 {
		t.Errorf("true energy of an idle second = %g J, want %g", got, want)
	}
	if got := a.At(2.5).At.Sub(a.Moment(1)); got != 1500*time.Millisecond {
		t.Errorf("readings at 1 s and 2.5 s are %v apart", got)
	}
}
