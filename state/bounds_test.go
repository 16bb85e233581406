package state

import (
	"context"
	"errors"
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

func TestBounds(t *testing.T) {
	r := newRig(t)
	small := func(c *Config) { c.MaxBytes = 64 << 10 }
	s := r.open(small)
	var want []sampler.Kept
	for i := range 150 {
		want = append(want, r.fill(s, gpus(4), 5+i%3)...)
		if size := r.size(); size > 64<<10 {
			t.Fatalf("%d bytes after %d rounds, the bound is %d", size, i, 64<<10)
		}
	}
	r.close(s)
	s = r.open(small)
	got := earlier(s)
	if len(got) < 200 || !reflect.DeepEqual(got, want[len(want)-len(got):]) {
		t.Errorf("%d of %d readings came back, want the newest ones, in order", len(got), len(want))
	}
	if len(s.Restarts()) != 1 {
		t.Errorf("%d restarts: a new part of the recording is none", len(s.Restarts()))
	}
	r.close(s)

	// By age: parts last written longer ago than seven eighths of the bound go.
	old := time.Now().Add(-100 * time.Hour)
	for _, part := range s.mustParts(t, r.dir) {
		if err := os.Chtimes(r.path(part), old, old); err != nil {
			t.Fatal(err)
		}
	}
	s = r.open(func(c *Config) { c.MaxAge = 101 * time.Hour })
	if left := s.mustParts(t, r.dir); len(left) != 0 {
		t.Errorf("parts left: %q", left)
	}
	s.since = time.Now().Add(-20 * time.Hour) // of the file's begin: more than an eighth
	r.fill(s, gpus(4), 1)
	if left := s.mustParts(t, r.dir); len(left) != 1 {
		t.Errorf("parts after an eighth of the time: %q, want 1", left)
	}
	r.close(s)
}

func (s *Store) mustParts(t *testing.T, dir string) []string {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(dir, "wattmark_readings.0*.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range parts {
		parts[i] = filepath.Base(parts[i])
	}
	return parts
}

func (r *rig) size() (total int64) {
	files, _ := filepath.Glob(r.path("wattmark_readings*"))
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			total += info.Size()
		}
	}
	return total
}

func TestWritingFails(t *testing.T) {
	r := newRig(t)
	s := r.open()
	before := r.fill(s, gpus(2), 5)
	good := s.file
	broken, err := os.Open(r.path(recording)) // writes to it fail
	if err != nil {
		t.Fatal(err)
	}
	s.swap(broken)
	s.Keep(before[0])
	if err := s.Flush(t.Context()); err == nil {
		t.Error("no error")
	}
	if s.Dropped() != 1 {
		t.Errorf("%d dropped, want 1", s.Dropped())
	}
	s.swap(good)
	after := r.fill(s, gpus(2), 2)
	r.close(s)
	s = r.open()
	if got := earlier(s); !reflect.DeepEqual(got, slices.Concat(before, after)) {
		t.Errorf("%d readings came back, want %d", len(got), len(before)+len(after))
	}
	if n := len(s.Restarts()); n != 1 {
		t.Errorf("%d restarts, want 1", n)
	}
	r.close(s)
	for _, say := range []string{"recording failing", "recording goes on", "dropped_rows=1"} {
		if !strings.Contains(r.log.String(), say) {
			t.Errorf("log lacks %q: %s", say, r.log.String())
		}
	}
}

func (s *Store) swap(f *os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = f
}

func TestDiskHangs(t *testing.T) {
	r := newRig(t)
	s := r.open()
	s.Know(gpus(1)...)
	reader, writer, err := os.Pipe() // nobody reads: writes wait once it is full
	if err != nil {
		t.Fatal(err)
	}
	s.swap(writer)
	kept := sampler.Kept{GPU: "host/GPU-0", Reading: random(rand.New(rand.NewPCG(1, 1)), r.clock.Now())}
	const rows = 100_000
	began := time.Now()
	for range rows {
		s.Keep(kept)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("%d readings took %v", rows, took)
	}
	if s.Dropped() == 0 {
		t.Error("nothing was dropped")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Save(ctx, noMarks); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Save: %v", err)
	}
	_ = reader.Close() // the write ends, and with it the store
	_ = s.Close(t.Context())
}
