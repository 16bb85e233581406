package state

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/sampler"
)

// rig is a folder with what its stores have logged.
type rig struct {
	*testing.T
	dir   string
	clock sampler.Clock
	log   bytes.Buffer
}

func newRig(t *testing.T) *rig { return &rig{T: t, dir: t.TempDir(), clock: sampler.NewClock()} }

// open opens the folder as a daemon of that boot would.

func (r *rig) open(change ...func(*Config)) *Store {
	r.Helper()
	config := Config{Dir: r.dir, Boot: "boot", Host: "host", Clock: r.clock, Logger: slog.New(slog.NewTextHandler(&r.log, nil))}
	for _, c := range change {
		c(&config)
	}
	s, err := Open(config)
	if err != nil {
		r.Fatal(err)
	}
	return s
}

func (r *rig) close(s *Store) {
	r.Helper()
	if err := s.Close(r.Context()); err != nil {
		r.Fatal(err)
	}
}

func gpus(n int) []sampler.Info {
	infos := make([]sampler.Info, n)
	for i := range infos {
		infos[i] = sampler.Info{
			Host: "host", UUID: fmt.Sprintf("GPU-%d", i), Index: i, Vendor: "nvidia", Model: "NVIDIA H200", HasCounter: true,
			CounterPeriod: 100 * time.Millisecond, PowerPeriod: time.Second, PowerLimitWatts: sampler.Some(700),
		}
	}
	return infos
}

// random is a reading with whatever may be in one.

func random(r *rand.Rand, at sampler.Moment) sampler.Reading {
	value := func() sampler.Value {
		switch r.IntN(4) {
		case 0:
			return sampler.Value{}
		case 1:
			return sampler.Some(0)
		}
		return sampler.Some((r.Float64() - 0.1) * 1e7)
	}
	gauge := func() sampler.Gauge {
		if r.IntN(4) == 0 {
			return sampler.Gauge{}
		}
		return sampler.SomeGauge(r.Float64() * 3000)
	}
	reading := sampler.Reading{
		At: at, Call: time.Duration(r.IntN(1e6)), PowerWatts: value(), InstantWatts: value(), EnergyJoules: value(),
		TemperatureC: gauge(), ClockMHz: gauge(), MemoryClockMHz: gauge(), Utilization: gauge(),
		MemoryUtilization: gauge(), Stretched: r.IntN(2) == 0, Step: r.IntN(2) == 0,
	}
	if reading.ThrottleKnown = r.IntN(2) == 0; reading.ThrottleKnown {
		reading.Throttle = sampler.Throttle(r.IntN(32))
	}
	return reading
}

// fill keeps n readings of each of the GPUs, a tenth of a second apart up to now, and returns them.

func (r *rig) fill(s *Store, infos []sampler.Info, n int) []sampler.Kept {
	r.Helper()
	s.Know(infos...)
	source := rand.New(rand.NewPCG(1, uint64(n)))
	now := r.clock.Now()
	var all []sampler.Kept
	for i := range n {
		for _, info := range infos {
			at := now.Add(time.Duration(i-n) * 100 * time.Millisecond).Add(time.Duration(info.Index) * time.Microsecond)
			all = append(all, sampler.Kept{GPU: info.ID(), Extra: source.IntN(5) == 0, Reading: random(source, at)})
		}
	}
	for _, kept := range all {
		s.Keep(kept)
	}
	if err := s.Flush(r.Context()); err != nil {
		r.Fatal(err)
	}
	return all
}

func earlier(s *Store) []sampler.Kept {
	return slices.Collect(s.Earlier(s.config.Clock.Now().Add(-24 * time.Hour)))
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) text(name string) string {
	r.Helper()
	text, err := os.ReadFile(r.path(name))
	if err != nil {
		r.Fatal(err)
	}
	return string(text)
}

const recording = "wattmark_readings.csv"

// A field of a reading that the recording does not know would be lost in a restart.

func TestEveryFieldIsRecorded(t *testing.T) {
	const known = 14
	if n := reflect.TypeFor[sampler.Reading]().NumField(); n != known {
		t.Errorf("a reading has %d fields, the recording knows %d: extend row.go and random", n, known)
	}
}

func TestReadingsComeBackExactly(t *testing.T) {
	r := newRig(t)
	first := r.open()
	want := r.fill(first, gpus(8), 200)
	r.close(first)
	second := r.open()
	more := r.fill(second, gpus(8), 3)
	if got := earlier(second); !reflect.DeepEqual(got, want) {
		t.Errorf("%d readings came back, want the %d that were kept, each the same", len(got), len(want))
	}
	if got := second.Summary(); got.Readings != len(want) || got.Skipped+got.Foreign+len(got.Problems) > 0 {
		t.Errorf("summary %+v", got)
	}
	restarts := second.Restarts()
	if len(restarts) != 1 || restarts[0].From != want[len(want)-1].Reading.At || restarts[0].To != second.self.At {
		t.Errorf("restarts %+v, want one from the last reading to the start of this process", restarts)
	}
	r.close(second)
	third := r.open()
	if got := earlier(third); !reflect.DeepEqual(got, slices.Concat(want, more)) {
		t.Errorf("%d readings came back after two lives, want %d", len(got), len(want)+len(more))
	}
	if n := len(third.Restarts()); n != 2 {
		t.Errorf("%d restarts, want 2", n)
	}
	r.close(third)
}

// A kill leaves any part of the last write: whatever that is, the rows before it come back, and the next daemon goes on.

func TestTornAtEveryByte(t *testing.T) {
	r := newRig(t)
	s := r.open()
	want := r.fill(s, gpus(2), 4)
	r.close(s)
	whole := r.text(recording)
	for cut := range len(whole) {
		if err := os.WriteFile(r.path(recording), []byte(whole[:cut]), 0o644); err != nil {
			t.Fatal(err)
		}
		s := r.open()
		got := earlier(s)
		if !reflect.DeepEqual(got, want[:len(got)]) && len(got) > 0 {
			t.Fatalf("cut at byte %d: %d readings that are not the first ones", cut, len(got))
		}
		lines := strings.Count(whole[:cut], "\n") - 4 // columns, session, two GPUs
		if len(got) != max(0, lines) {
			t.Fatalf("cut at byte %d: %d readings, want %d", cut, len(got), lines)
		}
		more := r.fill(s, gpus(2), 1)
		r.close(s)
		s = r.open()
		if again := earlier(s); !reflect.DeepEqual(again, slices.Concat(want[:len(got)], more)) {
			t.Fatalf("cut at byte %d: after going on %d readings, want %d", cut, len(again), len(got)+len(more))
		}
		r.close(s)
	}
	if !strings.Contains(r.log.String(), "torn row") {
		t.Error("nothing was said of torn rows")
	}
}

// What stands in a file's place is neither followed nor waited for.

// A disk that takes nothing more: rows are dropped, counted and said; when it has room the recording goes on, whole.

// A disk that does not answer: Keep does not wait, memory is bounded, a mark gives up.

// The readings of a boot that is over are there with their GPUs, for the windows that it left open.

// BenchmarkKeep is what a reading costs the sampler's goroutine.

// BenchmarkEarlier reads back a day of eight GPUs at 1 Hz.
