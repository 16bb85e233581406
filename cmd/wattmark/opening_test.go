package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/api"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
)

// threeOfFour are GPUs 0, 1 and 3; GPU 2 has not answered for a while, if that is more than 0.
func threeOfFour(clock sampler.Clock, silent time.Duration) backend {
	b := backend{Backend: api.Backend{Name: "nvidia", Problems: []string{}}, close: func() {}}
	for _, i := range []int{0, 1, 3} {
		b.devices = append(b.devices, sim.New(sim.Config{Index: i, Clock: clock}))
	}
	b.awaited = func() []awaited {
		if silent == 0 {
			return nil
		}
		return []awaited{{"GPU 2: silent", time.Now().Add(-silent)}}
	}
	return b
}

// A name may be that of a GPU that has not answered: then it is no usage error, and the daemon says what it waits for.
func TestNamesOfGPUsThatHaveNotAnswered(t *testing.T) {
	clock := sampler.NewClock()
	for _, tt := range []struct {
		names   string
		silent  time.Duration
		devices int
		missing string // what it says; "": nothing
		waking  bool
		usage   bool
	}{
		{names: "", devices: 3},
		{names: "0,3", devices: 2},
		{names: "0,2", usage: true},
		{names: "", silent: time.Second, devices: 3, missing: "GPU 2: silent", waking: true},
		{names: "", silent: time.Minute, devices: 3, missing: "GPU 2: silent"}, // it hangs
		{names: "0,2", silent: time.Second, devices: 1, missing: "GPU 2: silent", waking: true},
		{names: "2", silent: time.Second, devices: 0, missing: "GPU 2: silent", waking: true},
		{names: "0,3", silent: time.Second, devices: 2}, // GPU 2 is not wanted
	} {
		b := threeOfFour(clock, tt.silent)
		var names []string
		if tt.names != "" {
			names = strings.Split(tt.names, ",")
		}
		err := b.choose(names)
		if (err != nil) != tt.usage {
			t.Errorf("--gpus %q, silent for %v: %v", tt.names, tt.silent, err)
		}
		if err != nil {
			continue
		}
		now := b.now()
		if said := strings.Join(now.Missing, "; "); len(b.devices) != tt.devices || said != tt.missing || now.Waking != tt.waking ||
			strings.Join(now.Problems, "; ") != tt.missing || now.Absent != len(now.Missing) {
			t.Errorf("--gpus %q, silent for %v: %d GPUs, missing %q, waking %v, problems %q", tt.names, tt.silent, len(b.devices), said, now.Waking, now.Problems)
		}
	}

	b := threeOfFour(clock, time.Second)
	if err := b.choose([]string{"0", "9"}); err != nil {
		t.Fatal(err)
	}
	b.awaited = nil // all have answered, and none is GPU 9
	if now := b.now(); len(now.Missing) != 1 || !strings.Contains(now.Missing[0], `unknown GPU "9"`) || now.Waking || now.Absent != 1 {
		t.Errorf("a name of no GPU: %+v", now)
	}
}

// A library that takes its time is waited for by one call, which the seeker goes on with.
func TestOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &opening{since: time.Now(), done: make(chan struct{})}
		b := backend{opening: o, close: func() {}}
		begin := time.Now()
		if o.within(t.Context(), 2*time.Second) || time.Since(begin) != 2*time.Second {
			t.Errorf("not open after %v", time.Since(begin))
		}
		if now := b.now(); !now.Waking || len(now.Missing) != 1 || !strings.Contains(now.Missing[0], "for 2.0 s") {
			t.Errorf("meanwhile: %+v", now)
		}
		time.Sleep(wakingTime)
		if now := b.now(); now.Waking || len(now.Missing) != 1 {
			t.Errorf("after %v: %+v", wakingTime, now)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if begin := time.Now(); o.within(ended, time.Hour) || time.Since(begin) > 0 {
			t.Error("it waits beyond the end")
		}
		close(o.done)
		if !o.within(t.Context(), time.Hour) || len(b.now().Missing) != 1 { // nobody has taken it in
			t.Errorf("open: %+v", b.now())
		}
	})
}

// A run waits for GPUs that wake up one after the other, and not for what no longer answers.
func TestSettle(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answers int // GPUs that answer, one every 2 s
		took    time.Duration
		devices int
	}{
		{"one hangs", 0, 2 * time.Second, 3},
		{"three wake up, one hangs", 3, 8 * time.Second, 6},
		{"many wake up", 100, 10 * time.Second, 8},
	} {
		synctest.Test(t, func(t *testing.T) {
			clock := sampler.NewClock()
			b := threeOfFour(clock, time.Second)
			b.late = func() (found []sampler.Device, more bool) {
				if time.Sleep(2 * time.Second); tt.answers > 0 {
					tt.answers--
					found = append(found, sim.New(sim.Config{Index: 9, Clock: clock}))
				}
				return found, true
			}
			begin := time.Now()
			b = b.settle(t.Context(), begin.Add(openWait))
			if took := time.Since(begin); took != tt.took || len(b.devices) != tt.devices || b.now().Waking || b.now().Absent != 1 {
				t.Errorf("%s: %d GPUs after %v, %+v; want %d after %v", tt.name, len(b.devices), took, b.now(), tt.devices, tt.took)
			}
		})
	}
}
