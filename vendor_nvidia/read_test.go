//go:build linux && cgo

package nvidia

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wattmark/internal/nvmldouble"
	"wattmark/sampler"
)

func TestReadTellsEverything(t *testing.T) {
	device := mustOpen(t, running(gpu()))[0]
	got := mustRead(t, device)
	if got.Call <= 0 || got.Call > time.Second || time.Since(got.At.Wall()) > time.Second {
		t.Errorf("at %v, call %v", got.At, got.Call)
	}
	if joules := got.EnergyJoules.Or(-1); joules < 30_000-60 || joules > 31_000 {
		t.Errorf("energy = %v J, want about 500 W for a minute", joules)
	}
	got.At, got.Call, got.EnergyJoules = sampler.Moment{}, 0, sampler.Value{}
	if want := (sampler.Reading{
		PowerWatts: sampler.Some(500), InstantWatts: sampler.Some(500),
		TemperatureC: sampler.SomeGauge(61), ClockMHz: sampler.SomeGauge(1755), MemoryClockMHz: sampler.SomeGauge(3201),
		Utilization: sampler.SomeGauge(0.97), MemoryUtilization: sampler.SomeGauge(0.48),
		Throttle: sampler.ThrottlePowerCap, ThrottleKnown: true,
	}); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// One batched call per reading; the conditions around it once a second.
func TestReadsAreCheap(t *testing.T) {
	function, field := callsDuring(t, running(gpu()), func(devices []sampler.Device) {
		for range 10 {
			mustRead(t, devices[0])
		}
		around := &devices[0].(*device).around
		around.at = around.at.Add(-time.Second)
		mustRead(t, devices[0])
	})
	for name, want := range map[string]int{
		"nvmlDeviceGetFieldValues":               11,
		"nvmlDeviceGetPowerUsage":                0,
		"nvmlDeviceGetTotalEnergyConsumption":    0,
		"nvmlDeviceGetTemperature":               2,
		"nvmlDeviceGetClockInfo":                 4,
		"nvmlDeviceGetUtilizationRates":          2,
		"nvmlDeviceGetCurrentClocksEventReasons": 2,
	} {
		if got := function(name); got != want {
			t.Errorf("%s: %d calls in 11 readings, want %d", name, got, want)
		}
	}
	for _, id := range []int{83, 185, 186} {
		if got := field(id); got != 11 {
			t.Errorf("field %d asked %d times in 11 readings", id, got)
		}
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	device := mustOpen(t, running(gpu()))[0]
	mustRead(t, device)
	if n := testing.AllocsPerRun(100, func() { mustRead(t, device) }); n > 0 {
		t.Errorf("%v allocations per reading", n)
	}
}

// The middle of the batched call is the reading's time; the calls for the conditions, which follow, do not count.
func TestTimeIsThatOfTheBatchedCall(t *testing.T) {
	slow := gpu()
	slow.Latency = 30 * time.Millisecond
	device := mustOpen(t, running(slow))[0]
	before := time.Now()
	got := mustRead(t, device)
	if got.Call < 30*time.Millisecond || got.Call >= 60*time.Millisecond {
		t.Errorf("call = %v, want that of one call, 30ms", got.Call)
	}
	if after := got.At.Wall().Sub(before); after < 15*time.Millisecond || after >= 30*time.Millisecond {
		t.Errorf("at %v after the beginning, want the middle of the call, 15ms", after)
	}
}

// With a field that is not supported the driver still reports success, and 0.
func TestWhatIsNotAnsweredIsMissing(t *testing.T) {
	refuses := func(field int) nvmldouble.Fault { return nvmldouble.FieldReturns(field, 3) }
	noCall := func(name string) nvmldouble.Fault { return nvmldouble.Returns(name, 3) }
	for _, test := range []struct {
		name                   string
		faults                 []nvmldouble.Fault
		power, instant, energy bool
	}{
		{"nothing wrong", nil, true, true, true},
		{"no average", []nvmldouble.Fault{refuses(185)}, true, true, true}, // from GetPowerUsage
		{"no average, no call", []nvmldouble.Fault{refuses(185), noCall("nvmlDeviceGetPowerUsage")}, true, false, true},
		{"no instant", []nvmldouble.Fault{refuses(186)}, true, false, true},
		{"no power fields", []nvmldouble.Fault{refuses(185), refuses(186)}, true, false, true},
		{"no power", []nvmldouble.Fault{nvmldouble.PowerNotAvailable()}, false, false, true},
		{"no energy field", []nvmldouble.Fault{refuses(83)}, true, true, true}, // from GetTotalEnergyConsumption
		{"no energy", []nvmldouble.Fault{refuses(83), noCall("nvmlDeviceGetTotalEnergyConsumption")}, true, true, false},
		{"no fields", []nvmldouble.Fault{noCall("nvmlDeviceGetFieldValues")}, true, false, true},
		{"average fails now", []nvmldouble.Fault{nvmldouble.FieldReturns(185, 999)}, false, true, true},
		{"energy fails now", []nvmldouble.Fault{nvmldouble.FieldReturns(83, 10)}, true, true, false},
	} {
		got := mustRead(t, mustOpen(t, running(gpu(test.faults...)))[0])
		for what, each := range map[string]struct {
			value sampler.Value
			want  bool
		}{
			"power": {got.PowerWatts, test.power}, "instant": {got.InstantWatts, test.instant}, "energy": {got.EnergyJoules, test.energy},
		} {
			if x, ok := each.value.Known(); ok != each.want || ok && x < 400 {
				t.Errorf("%s: %s = %v, %v, want it known: %v", test.name, what, x, ok, each.want)
			}
		}
	}
}

func TestNothingAnsweredIsAnError(t *testing.T) {
	device := mustOpen(t, running(gpu(nvmldouble.PowerNotAvailable(), nvmldouble.FieldReturns(83, 3),
		nvmldouble.Returns("nvmlDeviceGetTotalEnergyConsumption", 3))))[0]
	if got, err := device.Read(); !errors.Is(err, NotSupported) || got != (sampler.Reading{}) {
		t.Errorf("Read = %+v, %v", got, err)
	}
}

func TestUnsupportedIsNotAskedAgain(t *testing.T) {
	faults := []nvmldouble.Fault{
		nvmldouble.FieldReturns(186, 3), nvmldouble.FieldReturns(83, 2), nvmldouble.Returns("nvmlDeviceGetTotalEnergyConsumption", 3),
		nvmldouble.Returns("nvmlDeviceGetTemperature", 3), nvmldouble.Returns("nvmlDeviceGetClockInfo", 10),
	}
	function, field := callsDuring(t, running(gpu(faults...)), func(devices []sampler.Device) {
		for range 5 {
			devices[0].(*device).around.at = time.Time{}
			mustRead(t, devices[0])
		}
	})
	if got := [...]int{
		field(186), field(83), function("nvmlDeviceGetTotalEnergyConsumption"), function("nvmlDeviceGetTemperature"),
		function("nvmlDeviceGetClockInfo"), field(185),
	}; got != [...]int{0, 0, 0, 1, 10, 5} { // a timeout (10) is asked again; temperature was first asked in the first read
		t.Errorf("asked %v times", got)
	}
}

// What answered once, and what has not answered yet for another reason than "not supported", is asked for ever.
func TestTransientErrorsAreNotRemembered(t *testing.T) {
	for _, code := range []int{3, 15, 999, 10} {
		script := running(gpu())
		device := mustOpen(t, script)[0]
		script.GPUs[0].Faults = []nvmldouble.Fault{
			nvmldouble.FieldReturns(83, code), nvmldouble.Returns("nvmlDeviceGetTotalEnergyConsumption", code),
			nvmldouble.FieldReturns(186, code),
		}
		play(t, script)
		for range 3 {
			if got := mustRead(t, device); got.EnergyJoules.OK() || got.InstantWatts.OK() || !got.PowerWatts.OK() {
				t.Errorf("code %d: %+v", code, got)
			}
		}
		script.GPUs[0].Faults = nil
		play(t, script)
		if got := mustRead(t, device); !got.EnergyJoules.OK() || !got.InstantWatts.OK() {
			t.Errorf("after code %d: %+v", code, got)
		}
	}
	for _, fault := range []nvmldouble.Fault{nvmldouble.FieldReturns(83, 10), nvmldouble.FieldReturns(185, 10)} {
		device := mustOpen(t, running(gpu(fault)))[0]
		if info := device.Info(); !info.HasCounter || info.PowerSource != "average" {
			t.Errorf("opened with %v: %+v", fault, info)
		}
	}
	for _, code := range []int{15, 999, 10} { // from the beginning
		script := running(gpu(nvmldouble.Returns("nvmlDeviceGetFieldValues", code)))
		device := mustOpen(t, script)[0]
		if info := device.Info(); !info.HasCounter || info.PowerSource != "average" || len(info.Problems) != 1 {
			t.Errorf("code %d: %+v", code, info)
		}
		script.GPUs[0].Faults = nil
		play(t, script)
		if got := mustRead(t, device); !got.EnergyJoules.OK() || !got.InstantWatts.OK() || !got.PowerWatts.OK() {
			t.Errorf("opened with code %d: %+v", code, got)
		}
	}
}

func TestLostGPU(t *testing.T) {
	script := running(gpu(), gpu())
	function, _ := callsDuring(t, script, func(devices []sampler.Device) {
		script.GPUs[0].Faults = []nvmldouble.Fault{nvmldouble.Lost()}
		play(t, script)
		_, err := devices[0].Read()
		if !errors.Is(err, nvml.ERROR_GPU_IS_LOST) || !errors.Is(err, GPULost) || errors.Is(err, nvml.ERROR_UNKNOWN) {
			t.Errorf("Read = %v", err)
		}
		if want := "read NVML field values: the GPU is lost (NVML code 15)"; err != nil && err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
		mustRead(t, devices[1])
		script.GPUs[0].Faults = nil
		play(t, script)
		mustRead(t, devices[0])
	})
	if n := function("nvmlErrorString"); n != 0 {
		t.Errorf("nvmlErrorString was called %d times: an nvml.Return was printed", n)
	}
}

func TestModuleScope(t *testing.T) {
	for _, test := range []struct {
		name         string
		scopes       int
		faults       []nvmldouble.Fault
		want         sampler.Scope
		power, joule float64
	}{
		{"GPU", 1, nil, sampler.ScopeGPU, 500, 30_000},
		{"both", 3, nil, sampler.ScopeGPU, 500, 30_000},
		{"module", 2, nil, sampler.ScopeModule, 570, 30_000},
		{"module without energy", 2, []nvmldouble.Fault{nvmldouble.FieldReturnsInScope(83, 3, 1)}, sampler.ScopeModule, 570, 30_000},
		{"module without average", 2, []nvmldouble.Fault{nvmldouble.FieldReturns(185, 3)}, sampler.ScopeModule, 570, 30_000},
	} {
		g := gpu(test.faults...)
		g.Scopes, g.ModuleExtraWatts = test.scopes, 70
		opened := mustOpen(t, running(g))[0].(*device)
		if got := opened.Info().Scope; got != test.want {
			t.Errorf("%s: scope %q, want %q", test.name, got, test.want)
		}
		got := mustRead(t, opened)
		if opened.total.support != untried {
			t.Errorf("%s: the counter is read by a call of its own", test.name)
		}
		if got.PowerWatts.Or(0) != test.power || math.Abs(got.EnergyJoules.Or(0)-test.joule) > 500 {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}

func TestFieldTypes(t *testing.T) {
	for _, test := range []struct {
		kind  nvml.ValueType
		value [8]byte
		want  float64
		code  Code
	}{
		{nvml.VALUE_TYPE_UNSIGNED_INT, [8]byte{0, 0, 0, 0x80, 9}, 1 << 31, 0},
		{nvml.VALUE_TYPE_SIGNED_INT, [8]byte{0xff, 0xff, 0xff, 0xff, 9}, -1, 0},
		{nvml.VALUE_TYPE_UNSIGNED_LONG, [8]byte{0, 0, 0, 0, 1}, 1 << 32, 0},
		{nvml.VALUE_TYPE_UNSIGNED_LONG_LONG, [8]byte{0, 0, 0, 0, 1}, 1 << 32, 0},
		{nvml.VALUE_TYPE_SIGNED_LONG_LONG, [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, -1, 0},
		{nvml.VALUE_TYPE_UNSIGNED_SHORT, [8]byte{1, 1, 1}, 257, 0},
		{nvml.VALUE_TYPE_DOUBLE, [8]byte{6: 0xf8, 7: 0x3f}, 1.5, 0},
		{99, [8]byte{1}, 0, NotSupported},
	} {
		got, code := milli(nvml.FieldValue{ValueType: uint32(test.kind), Value: test.value})
		if got != test.want || code != test.code {
			t.Errorf("type %d, %v: %v, %v, want %v, %v", test.kind, test.value, got, code, test.want, test.code)
		}
	}
	if _, code := milli(nvml.FieldValue{NvmlReturn: ^uint32(0)}); code != notAnswered {
		t.Errorf("an untouched field: %v", code)
	}
}

func TestThrottleReasons(t *testing.T) {
	for bits, want := range map[uint64]sampler.Throttle{
		0: 0, 0x1: 0, 0x2: 0, 0x100: 0,
		0x4:  sampler.ThrottlePowerCap,
		0x20: sampler.ThrottleThermal, 0x40: sampler.ThrottleThermal,
		0x8: sampler.ThrottleHardware, 0x80: sampler.ThrottlePowerBrake,
		0x10: sampler.ThrottleOther, 0x200: sampler.ThrottleOther, 0x400: sampler.ThrottleOther,
		0x4 | 0x8 | 0x40 | 0x1: sampler.ThrottlePowerCap | sampler.ThrottleHardware | sampler.ThrottleThermal,
	} {
		if got := throttle(bits); got != want {
			t.Errorf("throttle(%#x) = %b, want %b", bits, got, want)
		}
	}
}
