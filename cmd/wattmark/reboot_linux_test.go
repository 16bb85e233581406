package main

import (
	"fmt"
	"math"
	"testing"
	"time"

	"wattmark/internal/memcgroup"
	"wattmark/sampler"
	"wattmark/state"
	"wattmark/window"
)

// rebooted is a state folder as a power failure leaves it: eight GPUs at 500 W that were read once a second for so long,
// and windows that were open then.
func rebooted(t *testing.T, dir string, recorded time.Duration, starts []time.Duration) {
	t.Helper()
	began := sampler.Moment{UnixNano: time.Now().Add(-recorded - time.Minute).UnixNano(), MonoNano: 1e15}
	store, err := state.Open(state.Config{Dir: dir, Boot: "the boot before", Host: "node", Clock: sampler.NewClock()})
	if err != nil {
		t.Fatal(err)
	}
	infos := make([]sampler.Info, 8)
	ids := make([]string, len(infos))
	for i := range infos {
		infos[i] = sampler.Info{
			Host: "node", UUID: fmt.Sprint("GPU-", i), Index: i, Vendor: "nvidia", Model: "NVIDIA H200", Scope: sampler.ScopeGPU, HasCounter: true,
			CounterPeriod: 100 * time.Millisecond, PowerPeriod: time.Second, PowerLimitWatts: sampler.Some(700), Driver: "570.1",
		}
		ids[i] = infos[i].ID()
	}
	store.Know(infos...)
	for second := range int(recorded / time.Second) {
		for gpu, id := range ids {
			at := began.Add(time.Duration(second)*time.Second + time.Duration(gpu)*time.Millisecond)
			store.Keep(sampler.Kept{GPU: id, Reading: sampler.Reading{
				At: at, Call: time.Millisecond, PowerWatts: sampler.Some(500), InstantWatts: sampler.Some(500),
				EnergyJoules: sampler.Some(math.Floor(at.Sub(began).Seconds()*10) * 50), TemperatureC: sampler.SomeGauge(61),
				ClockMHz: sampler.SomeGauge(1980), Utilization: sampler.SomeGauge(0.97), ThrottleKnown: true,
			}})
		}
		if second%1000 == 0 {
			if err := store.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	var open []window.Mark
	for i, start := range starts {
		open = append(open, window.Mark{ID: fmt.Sprintf("id%d", i), Run: fmt.Sprintf("run%d", i), Start: began.Add(start), GPUs: ids})
	}
	if err := store.Save(t.Context(), func() ([]window.Mark, []state.Ended) { return open, nil }); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The first start after a reboot reads the recording once, however many windows the boot before left open, and within the
// memory limit. With 256 windows of up to ten minutes and a day's recording that takes 2.8 s; when each read the recording for
// itself, 64 s. One window of 20 hours took 40 s more.
func TestRebootWithManyWindowsIsFast(t *testing.T) {
	const recorded, windows = 24 * time.Hour, 256
	if raceEnabled {
		t.Skip("the detector's memory is many times the program's")
	}
	group, err := memcgroup.New(confinedLimit)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = group.Close() })
	starts := []time.Duration{recorded / 6}
	for i := 1; i < windows; i++ {
		starts = append(starts, recorded-time.Duration(i)*2300*time.Millisecond)
	}
	dir := t.TempDir()
	rebooted(t, dir, recorded, starts)
	began := time.Now()
	d := serveWithin(t, group.Command(), nil, "--backend", "sim", "--sim", "8xH200", "--results-dir", dir)
	d.results = dir
	d.get("/healthz")
	took := time.Since(began)
	t.Logf("HTTP answers after %v", took)
	if took > 20*time.Second {
		t.Errorf("HTTP answers after %v", took)
	}
	anonymous, err := group.Anonymous() // the rest is of files, and goes where memory is needed
	if killed, killErr := group.Killed(); err != nil || killErr != nil || killed > 0 || anonymous > confinedLimit*8/10 {
		t.Errorf("%d bytes anonymous, killed %d, %v, %v", anonymous, killed, err, killErr)
	}
	for i, start := range starts {
		if i > 3 && i%50 != 0 {
			continue
		}
		r := d.must("/v1/mark-end", "run", fmt.Sprint("run", i))
		seconds := (recorded - time.Second - start).Seconds()
		energy, bound := r.number(t, "total_gpu_energy_j"), r.number(t, "energy_bound_j")
		if got := r.number(t, "duration_s"); math.Abs(got-seconds) > 1e-3 || math.Abs(energy-8*500*got) > bound || bound > 200 {
			t.Errorf("run%d: %v s, want %v; %v ± %v J, want %v", i, got, seconds, energy, bound, 8*500*got)
		}
		if got := fmt.Sprint(r["reasons"]); got != "[window_interrupted]" {
			t.Errorf("run%d: reasons %s", i, got)
		}
		if samples := r.gpus(t)[0].number(t, "samples"); samples < min(seconds, 20_000)-1 {
			t.Errorf("run%d: %v readings in %v s", i, samples, seconds)
		}
	}
	if _, err := d.stop(); err != nil {
		t.Error(err)
	}
}
