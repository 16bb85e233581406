package probe_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/probe"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
)

// counting is a device that counts its reads, and has a sample buffer if it is given one.
type counting struct {
	sampler.Device
	reads  atomic.Int64
	buffer func() (sampler.PowerSamples, error)
}

func (c *counting) Read() (sampler.Reading, error) {
	c.reads.Add(1)
	return c.Device.Read()
}

func (c *counting) PowerSamples() (sampler.PowerSamples, error) { return c.buffer() }

// A minute: 1 Hz, a burst, 20 Hz; the buffer is emptied about once a second.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drains := 0
		gpu := &counting{Device: sim.New(sim.Config{Load: sim.NewDecode(sim.ServingH200(1))})}
		gpu.buffer = func() (sampler.PowerSamples, error) {
			drains++
			return sampler.PowerSamples{}, errors.New("no buffer here")
		}
		began := time.Now()
		r := probe.Run(t.Context(), gpu, time.Minute)
		took := time.Since(began)
		if took > time.Minute || took < 59*time.Second || !r.Complete || r.Seconds < 59 {
			t.Errorf("it took %v, readings cover %v s, complete %v", took, r.Seconds, r.Complete)
		}
		// 20 at 1 Hz, 600 in three seconds, 740 at 20 Hz
		if n := gpu.reads.Load(); n < 1350 || n > 1370 || r.Reads.Good != int(n) || r.Reads.Failed != 0 {
			t.Errorf("%d reads, reported %+v, want 1360", n, r.Reads)
		}
		if drains < 55 || drains > 66 || r.Buffer.Note != "no buffer here" {
			t.Errorf("the buffer was emptied %d times, want once a second: %+v", drains, r.Buffer)
		}
		if p, _ := r.Counter.Steps.Period.Known(); p < 0.0998 || p > 0.1002 {
			t.Errorf("counter steps %+v", r.Counter.Steps)
		}
		text, err := json.Marshal(r)
		if err != nil || strings.Contains(string(text), "NaN") {
			t.Errorf("%s %v", text, err)
		}
		var again probe.Report
		if err := json.Unmarshal(text, &again); err != nil || again.Verdict.Method != "counter" {
			t.Errorf("%+v %v", again.Verdict, err)
		}
	})
}

// Reads that fail are counted; what the others say stands.
func TestRunWithFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu := sim.New(sim.Config{
			Load:   sim.NewDecode(sim.ServingH200(1)),
			Faults: []sim.Fault{sim.Drop(5*time.Second, 5500*time.Millisecond)},
		})
		r := probe.Run(t.Context(), gpu, 8*time.Second)
		if r.Reads.Failed < 5 || r.Reads.Error != sim.ErrDropped.Error() || r.Verdict.Method != "counter" {
			t.Errorf("%+v %+v", r.Reads, r.Verdict)
		}
		if p, _ := r.Counter.Steps.Period.Known(); p < 0.099 || p > 0.101 {
			t.Errorf("counter steps %+v", r.Counter.Steps)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := probe.Run(t.Context(), sim.New(sim.Config{Faults: []sim.Fault{sim.Lost(0)}}), 8*time.Second)
		if r.Reads.Good != 0 || r.Reads.Failed == 0 || r.Verdict.Method != "" || r.Verdict.Text == "" || r.Seconds != 0 {
			t.Errorf("a lost GPU: %+v %+v", r.Reads, r.Verdict)
		}
	})
}

// Slow calls: reads are left out, none is made up for, and the steps are found all the same.
func TestRunWithSlowCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu := &counting{Device: sim.New(sim.Config{
			Load: sim.NewDecode(sim.ServingH200(1)), Faults: []sim.Fault{sim.CallTime(12 * time.Millisecond)},
		})}
		gpu.buffer = func() (sampler.PowerSamples, error) { return sampler.PowerSamples{}, nil }
		began := time.Now()
		r := probe.Run(t.Context(), gpu, 8*time.Second)
		if took := time.Since(began); took > 8100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if p := r.Reads.CallP50.Or(0); p < 0.012 || p > 0.013 {
			t.Errorf("calls %+v, want 12 ms", r.Reads)
		}
		if p, b := r.Counter.Steps.Period.Or(0), r.Counter.Steps.Bound.Or(9); p < 0.1-b || p > 0.1+b || b > 0.003 {
			t.Errorf("counter steps %+v", r.Counter.Steps)
		}
	})
}

// When ctx ends, the report is made of what there is.
func TestRunEndsEarly(t *testing.T) {
	for _, after := range []time.Duration{0, 500 * time.Millisecond, 3500 * time.Millisecond, 6 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			began := time.Now()
			r := probe.Run(ctx, sim.New(sim.Config{Load: sim.NewDecode(sim.ServingH200(1))}), 8*time.Second)
			if took := time.Since(began); took > after+time.Second {
				t.Errorf("after %v it took %v", after, took)
			}
			if _, err := json.Marshal(r); err != nil || r.Complete {
				t.Errorf("after %v: complete %v, %v", after, r.Complete, err)
			}
			if after >= 3500*time.Millisecond != r.Verdict.FastReads || (after > 0) != (r.Verdict.Method == "counter") {
				t.Errorf("after %v: %+v", after, r.Verdict)
			}
			synctest.Wait()
		})
	}
}

// A driver call that hangs: the probe gives up after ten seconds, and the report says so.
func TestRunHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu := sim.New(sim.Config{Faults: []sim.Fault{sim.Hang(2500*time.Millisecond, time.Minute)}})
		began := time.Now()
		r := probe.Run(t.Context(), gpu, 30*time.Second)
		if took := time.Since(began); took < 12*time.Second || took > 15*time.Second {
			t.Errorf("it took %v, want ten seconds from the call that hangs at 3 s", took)
		}
		if r.Complete || r.Reads.Good != 3 || !strings.Contains(r.Reads.Error, "no answer for 10s") {
			t.Errorf("complete %v, %+v", r.Complete, r.Reads)
		}
		time.Sleep(time.Minute) // the call comes back
	})
	synctest.Test(t, func(t *testing.T) { // and does not wait for it when ctx ends
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		r := probe.Run(ctx, sim.New(sim.Config{Faults: []sim.Fault{sim.Hang(2500*time.Millisecond, time.Minute)}}), 30*time.Second)
		if took := time.Since(began); took > 5*time.Second || r.Complete || r.Reads.Good != 3 {
			t.Errorf("it took %v: %+v", took, r.Reads)
		}
		time.Sleep(time.Minute)
	})
}
