//go:build linux

package main

import (
	"math"
	"testing"
	"time"

	"wattmark/bench/daemon"
	"wattmark/bench/spread"
)

// A short run: eight windows of 3 s. What is off by so many joules at the edges is a third of that in percent at 10 s.
func TestWindowsAgainstTruth(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 15 s")
	}
	dir := t.TempDir()
	program, err := daemon.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := measure(program, dir, plan{length: 3 * time.Second, rounds: 1, call: 4 * time.Microsecond})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != gpus {
		t.Fatalf("%d windows, want %d", len(all), gpus)
	}
	errors, bounds := percents(all, func(measured) bool { return true })
	for i, m := range all {
		t.Log(m)
		if len(m.notes) > 0 {
			t.Errorf("GPU %d: %v, want the counter and nothing to note", m.gpu, m.notes)
		}
		// The bound is 2 σ. One of eight may lie beyond it, none beyond 4 σ.
		if math.Abs(errors[i]) > 2*bounds[i] {
			t.Errorf("%v: beyond 4 σ", m)
		}
	}
	s := spread.Of(errors, bounds)
	if s.Covered < 0.74 {
		t.Errorf("the bound holds in %.0f %% of the windows, want 95 %%", 100*s.Covered)
	}
	if math.Abs(s.Mean) > 0.2 || s.Worst > 1 {
		t.Errorf("mean error %+.3f %%, worst %.3f %%; want none, at most 1", s.Mean, s.Worst)
	}
}

// The script's load is where the plan says, and no two begin together.
func TestPlan(t *testing.T) {
	p := plan{length: 10 * time.Second, rounds: 2}
	script := p.script(time.Unix(1e9, 0))
	for gpu := range gpus {
		for n := range p.rounds {
			at := script.Origin.Add(p.begin(gpu, n))
			before := script.TrueJoules(gpu, at.Add(-time.Second), at)
			first := script.TrueJoules(gpu, at, at.Add(100*time.Millisecond))
			last := script.TrueJoules(gpu, at.Add(p.length-100*time.Millisecond), at.Add(p.length))
			after := script.TrueJoules(gpu, at.Add(p.length), at.Add(p.length+time.Second))
			if before > 121 || after > 121 || first < 60 || last < 45 {
				t.Errorf("GPU %d, load %d: %.1f J in the second before, %.1f and %.1f J in the first and the last 0.1 s, %.1f J after",
					gpu, n, before, first, last, after)
			}
		}
		if gpu > 0 && p.begin(gpu, 0)-p.begin(gpu-1, 0) < time.Second {
			t.Errorf("GPU %d begins %v after the one before", gpu, p.begin(gpu, 0)-p.begin(gpu-1, 0))
		}
	}
}
