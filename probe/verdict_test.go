package probe_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/probe"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// eager is a GPU on which every read of the counter adds joules.
type eager struct {
	sampler.Device
	joules, sum float64
}

func (e *eager) Read() (sampler.Reading, error) {
	r, err := e.Device.Read()
	e.sum += e.joules
	if joules, ok := r.EnergyJoules.Known(); ok {
		r.EnergyJoules = sampler.Some(joules + e.sum)
	}
	return r, err
}

// mute is a GPU without a counter.
type mute struct{ sampler.Device }

func (m mute) Info() sampler.Info {
	info := m.Device.Info()
	info.HasCounter, info.CounterPeriod = false, 0
	return info
}

func (m mute) Read() (sampler.Reading, error) {
	r, err := m.Device.Read()
	r.EnergyJoules = sampler.Value{}
	return r, err
}

// What the probe says the GPU is measured by is what package window measures it by, and whether fast reads are made is
// what package sampler decides.
func TestVerdict(t *testing.T) {
	gpu := func(model string, faults ...sim.Fault) sampler.Device {
		load := sim.Load(sim.NewDecode(sim.ServingH200(4)))
		if model == "A100" {
			load = sim.Scale{Load: load, Factor: 0.5}
		}
		return sim.New(sim.Config{Model: model, Load: load, Index: 2, Faults: faults})
	}
	for _, test := range []struct {
		name   string
		device func() sampler.Device
		method string
		edges  string
	}{
		{"H200", func() sampler.Device { return gpu("H200") }, "counter", "step_seen"},
		{"A100", func() sampler.Device { return gpu("A100") }, "counter", "step_seen"},
		{"MI300X", func() sampler.Device { return gpu("MI300X") }, "counter", "stamped"},
		{"idle", func() sampler.Device { return sim.New(sim.Config{}) }, "counter", "step_seen"},
		{"no counter, averaged", func() sampler.Device { return mute{gpu("H200")} }, "boxcar", ""},
		{"no counter, instantaneous", func() sampler.Device { return mute{gpu("A100")} }, "trapezoid", ""},
		{"counts half", func() sampler.Device { return gpu("H200", sim.CounterScale(0.5)) }, "boxcar", ""},
		{"counts half, A100", func() sampler.Device { return gpu("A100", sim.CounterScale(0.5)) }, "trapezoid", ""},
		{"counts 1.3 times", func() sampler.Device { return gpu("H200", sim.CounterScale(1.3)) }, "boxcar", ""},
		{"counts 1.05 times", func() sampler.Device { return gpu("H200", sim.CounterScale(1.05)) }, "counter", "step_seen"},
		{"counts 3 times", func() sampler.Device { return gpu("H200", sim.CounterScale(3)) }, "boxcar", ""},
		{"frozen", func() sampler.Device { return gpu("H200", sim.CounterFrozen(0, time.Hour)) }, "boxcar", ""},
		{"counter does not answer", func() sampler.Device { return gpu("H200", sim.CounterMissing(0, time.Hour)) }, "boxcar", ""},
		{"power does not answer", func() sampler.Device { return gpu("H200", sim.PowerMissing(0, time.Hour)) }, "counter", "step_seen"},
		{"depends on polling", func() sampler.Device { return &eager{Device: gpu("H200"), joules: 8} }, "counter", "half_step"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := probe.Run(t.Context(), test.device(), 20*time.Second)
				v := r.Verdict
				if v.Method != test.method || v.Edges != test.edges || v.FastReads != (test.edges == "step_seen") {
					t.Errorf("%+v, want %s with edges %q\ncounter %+v\nrates %+v", v, test.method, test.edges, r.Counter, r.Rates)
				}
				if why := map[string]string{
					"counts half": "it counts 0.50 times", "counts 3 times": "the limit is 700 W", "frozen": "it stood still",
					"counter does not answer": "it did not answer", "depends on polling": "as fast when it is read fast",
				}[test.name]; why != "" && !strings.Contains(v.Because[0], why) {
					t.Errorf("because %q, want %q", v.Because, why)
				}
				if v.Text == "" || len(v.Because) == 0 && test.edges != "stamped" {
					t.Errorf("it gives no reasons: %+v", v)
				}
				if slow := v.Interval != 0.1; slow != (test.name != "no counter, averaged" && test.name != "no counter, instantaneous") {
					t.Errorf("read every %v s while a window is open", v.Interval)
				}
				if depends := r.Counter.Polling.Depends; (depends != nil && *depends) != (test.name == "depends on polling") {
					t.Errorf("depends on polling: %+v", r.Counter.Polling)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				if got := measuredBy(test.device()); string(got) != test.method {
					t.Errorf("package window measures it by %s, want %s", got, test.method)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				if test.edges != "step_seen" && test.edges != "half_step" {
					return // package sampler does not calibrate, or nobody asks
				}
				if c := sampler.Calibrate(test.device()); c.Steady != (test.edges == "step_seen") {
					t.Errorf("the sampler finds %+v", c)
				}
			})
		})
	}
}

// measuredBy is the method of a window of a minute, read at 1 Hz.
func measuredBy(device sampler.Device) window.Method {
	series := sampler.Series{Info: device.Info()}
	for range 65 {
		if r, err := device.Read(); err == nil {
			series.Readings = append(series.Readings, r)
		}
		time.Sleep(time.Second)
	}
	from, to := series.Readings[2].At, series.Readings[62].At
	result := window.Measure(window.Recorded{series}, window.Window{Start: from, End: to}, window.Limits{AllowSimulated: true})
	return result.GPUs[0].Method
}

// A daemon that starts while a server works finds the counter's steps all the same; a counter that grows with every
// read is given none, for the reads made them.
func TestCalibration(t *testing.T) {
	for i := range 40 {
		for name, load := range map[string]sim.Load{
			"serving": sim.NewDecode(sim.ServingH200(7)),
			"square":  sim.Square{Low: 80, High: 690, Period: 1.7, Duty: 0.6},
		} {
			synctest.Test(t, func(t *testing.T) {
				device := sim.New(sim.Config{Index: i % 8, Load: sim.Shift{Load: load, By: -0.37 * float64(i)}})
				if c := sampler.Calibrate(device); !c.Steady || (c.Period-100*time.Millisecond).Abs() > time.Millisecond {
					t.Errorf("%s %d: %+v", name, i, c)
				}
			})
		}
		synctest.Test(t, func(t *testing.T) {
			device := &eager{Device: sim.New(sim.Config{Index: i % 8, Load: sim.Constant(300)}), joules: 8}
			if c := sampler.Calibrate(device); c.Steady || c.Period != 0 || c.RateRatio.Or(1) < 3 {
				t.Errorf("grows with every read, %d: %+v", i, c)
			}
		})
	}
}
