package state

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	"wattmark/window"
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

func TestWhatIsNotOurs(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(r *rig)
		says   string
		kept   int // readings that come back of the 20 that were there
	}{
		{"garbage in the middle", func(r *rig) {
			text := r.text(recording)
			half := strings.LastIndexByte(text[:len(text)/2], '\n') + 1
			r.write(recording, text[:half]+"1,2,3\n\x00\xff\n"+strings.Repeat("x", 200<<10)+"\n"+text[half:])
		}, "", 20},
		{"no recording but a text", func(r *rig) { r.write(recording, "dear diary\n") }, "set aside", 0},
		{"an older schema", func(r *rig) {
			r.write(recording, strings.Replace(r.text(recording), "unix_ns,", "time,", 1))
		}, "set aside", 0},
		{"garbage without a line", func(r *rig) { r.write(recording, strings.Repeat("\x00", 1<<20)) }, "set aside", 0},
		{"another boot", func(r *rig) {
			r.write(recording, strings.ReplaceAll(r.text(recording), `"boot"`, `"other"`))
		}, "", 0},
		{"another name of the host", func(r *rig) {
			text := strings.ReplaceAll(r.text(recording), `"host":"host","start"`, `"host":"pod-7","start"`)
			r.write(recording, strings.ReplaceAll(text, `"host/GPU-`, `"pod-7/GPU-`))
		}, "", 20},
		{"a session line that is torn", func(r *rig) {
			r.write(recording, strings.Replace(r.text(recording), `#start {"boot_id"`, `#start {"boot`, 1))
		}, "", 0},
		{"nothing", func(r *rig) { r.write(recording, "") }, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t)
			s := r.open()
			r.fill(s, gpus(2), 10)
			r.close(s)
			test.before(r)
			s = r.open()
			kept := earlier(s)
			if got := len(kept); got != test.kept {
				t.Errorf("%d readings came back, want %d", got, test.kept)
			}
			for _, k := range kept {
				if !strings.HasPrefix(k.GPU, "host/GPU-") {
					t.Fatalf("a reading of %q came back", k.GPU)
				}
			}
			found := s.Summary()
			other := test.name == "another boot"
			if other != (found.Foreign == 20) {
				t.Errorf("%d rows of another boot or host", found.Foreign)
			}
			if strings.Contains(test.name, "middle") && found.Skipped != 3 {
				t.Errorf("%d lines skipped, want 3", found.Skipped)
			}
			if !strings.Contains(r.log.String(), test.says) {
				t.Errorf("log %q does not say %q", r.log.String(), test.says)
			}
			more := r.fill(s, gpus(2), 1)
			r.close(s)
			s = r.open()
			if got := earlier(s); len(got) != test.kept+2 || !reflect.DeepEqual(got[test.kept:], more) {
				t.Errorf("after going on %d readings come back, want %d", len(got), test.kept+2)
			}
			r.close(s)
			if test.says == "set aside" {
				if old, _ := filepath.Glob(r.path("*.old")); len(old) != 1 {
					t.Errorf("set aside: %q", old)
				}
			}
		})
	}
}

func (r *rig) write(name, text string) {
	r.Helper()
	if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
		r.Fatal(err)
	}
}

// What stands in a file's place is neither followed nor waited for.
func TestNotARegularFile(t *testing.T) {
	for _, name := range []string{recording, "wattmark_state.lock", "wattmark_marks.json"} {
		for kind, put := range map[string]func(path string) error{
			"link":   func(path string) error { return os.Symlink("/etc/hostname", path) },
			"folder": func(path string) error { return os.Mkdir(path, 0o755) },
			"fifo":   mkfifo,
		} {
			r := newRig(t)
			if err := put(r.path(name)); err != nil {
				t.Fatal(err)
			}
			s, err := Open(Config{Dir: r.dir, Boot: "boot", Host: "host", Clock: r.clock, Logger: slog.New(slog.NewTextHandler(&r.log, nil))})
			if name != "wattmark_marks.json" {
				if err == nil || !strings.Contains(err.Error(), "not a regular file") {
					t.Errorf("%s is a %s: %v", name, kind, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s is a %s: %v", name, kind, err)
			}
			if err := s.Save(t.Context(), noMarks); err == nil {
				t.Errorf("%s is a %s: it was replaced", name, kind)
			}
			r.close(s)
			if !strings.Contains(r.log.String(), "marks not read") {
				t.Errorf("%s is a %s: log %q", name, kind, r.log.String())
			}
		}
	}
}

func noMarks() ([]window.Mark, []Ended) { return nil, nil }

func TestTheFolderBelongsToOne(t *testing.T) {
	r := newRig(t)
	s := r.open()
	_, err := Open(Config{Dir: r.dir, Boot: "boot", Host: "host", Clock: r.clock})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("the second: %v", err)
	}
	other := r.open(func(c *Config) { c.Node = "n2" }) // its files have other names
	r.close(other)
	r.close(s)
	r.close(r.open())
}

func TestReadOnlyFolder(t *testing.T) {
	r := newRig(t)
	if err := os.Chmod(r.dir, 0o555); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		r.dir = "/proc/self" // root may write everywhere else
	}
	if _, err := Open(Config{Dir: r.dir, Clock: r.clock}); err == nil {
		t.Error("a folder that cannot be written was opened")
	}
}

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

// A disk that takes nothing more: rows are dropped, counted and said; when it has room the recording goes on, whole.
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

// A disk that does not answer: Keep does not wait, memory is bounded, a mark gives up.
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

func TestMarks(t *testing.T) {
	r := newRig(t)
	s := r.open()
	if open, _ := s.Open(); len(open) != 0 || len(s.Ended()) != 0 {
		t.Errorf("marks in an empty folder: %+v, %+v", open, s.Ended())
	}
	eight := 8
	open := []window.Mark{{ID: "a1", Run: "r1", Start: r.clock.Now(), GPUs: []string{"host/GPU-0"}, Expected: &eight, Role: "decode"}}
	ended := []Ended{{"b2", "r0"}}
	for range 50 {
		if err := s.Save(t.Context(), func() ([]window.Mark, []Ended) { return open, ended }); err != nil {
			t.Fatal(err)
		}
	}
	r.close(s)
	s = r.open()
	got, same := s.Open()
	if !reflect.DeepEqual(got, open) || !same || !reflect.DeepEqual(s.Ended(), ended) {
		t.Errorf("marks %+v of this boot %v, ended %+v", got, same, s.Ended())
	}
	r.close(s)
	s = r.open(func(c *Config) { c.Host = "pod-8" })
	if got, same := s.Open(); len(got) != 1 || !same || got[0].GPUs[0] != "pod-8/GPU-0" {
		t.Errorf("under another name of the host: %+v, %v", got, same)
	}
	r.close(s)
	s = r.open(func(c *Config) { c.Boot = "next" })
	if got, same := s.Open(); len(got) != 1 || same {
		t.Errorf("in another boot: %d marks, of this boot %v", len(got), same)
	}
	r.close(s)

	whole := r.text("wattmark_marks.json")
	for _, text := range []string{
		"", "{", whole[:len(whole)/2], "[]", `{"schema":2}`, strings.Repeat(" ", maxMarksFile+1) + whole,
		`{"schema":1,"open":[{"run":"r"}]}`, `{"schema":1,"open":[{"run":"r","id":"x","start":{"unix_ns":-1}}]}`,
	} {
		r.write("wattmark_marks.json", text)
		r.log.Reset()
		s := r.open()
		if open, _ := s.Open(); len(open) != 0 || !strings.Contains(r.log.String(), "marks not read") {
			t.Errorf("%.40q: %d marks, log %q", text, len(open), r.log.String())
		}
		r.close(s)
	}
}

// The readings of a boot that is over are there with their GPUs, for the windows that it left open.
func TestOfOther(t *testing.T) {
	r := newRig(t)
	s := r.open()
	kept := r.fill(s, gpus(2), 40)
	if err := s.Save(t.Context(), noMarks); err != nil {
		t.Fatal(err)
	}
	r.close(s)
	s = r.open(func(c *Config) { c.Boot = "next" })
	r.fill(s, gpus(1), 3)
	from := kept[60].Reading.At.Add(14*time.Second + 500*time.Millisecond) // 15 s are kept of the time before
	all := s.OfOther(from)
	if len(all) != 2 || !reflect.DeepEqual(all[0].Info, gpus(2)[0]) || len(all[0].Readings) != 15 {
		text, _ := json.Marshal(all)
		t.Errorf("%d series: %.300s", len(all), text)
	}
	r.close(s)
}

func FuzzReadRow(f *testing.F) {
	source := rand.New(rand.NewPCG(3, 3))
	for range 5 {
		f.Add(appendRow(nil, 1, true, random(source, sampler.Moment{UnixNano: 1, MonoNano: 2})))
	}
	f.Add([]byte("1,1,0,0,0,,,,,,,,,,0,0"))
	f.Add([]byte("1,1,0,0,0,NaN,Inf,1e999,,,,,,-1,0,0"))
	f.Fuzz(func(t *testing.T, line []byte) {
		index, extra, reading, err := readRow(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			return
		}
		text := appendRow(nil, index, extra, reading)
		again, more, same, err := readRow(bytes.TrimSuffix(text, []byte("\n")))
		if err != nil || again != index || more != extra || same != reading {
			t.Errorf("%q reads as %+v, written and read again %+v, %v", line, reading, same, err)
		}
	})
}

// BenchmarkKeep is what a reading costs the sampler's goroutine.
func BenchmarkKeep(b *testing.B) {
	s, err := Open(Config{Dir: b.TempDir(), Boot: "boot", Host: "host", Clock: sampler.NewClock()})
	if err != nil {
		b.Fatal(err)
	}
	s.Know(gpus(8)...)
	source := rand.New(rand.NewPCG(1, 1))
	kept := sampler.Kept{GPU: "host/GPU-3", Reading: random(source, s.config.Clock.Now())}
	b.ReportAllocs()
	for b.Loop() {
		s.Keep(kept)
	}
	_ = s.Close(b.Context())
}

// BenchmarkEarlier reads back a day of eight GPUs at 1 Hz.
func BenchmarkEarlier(b *testing.B) {
	s, err := Open(Config{Dir: b.TempDir(), Boot: "boot", Host: "host", Clock: sampler.NewClock()})
	if err != nil {
		b.Fatal(err)
	}
	s.Know(gpus(8)...)
	source := rand.New(rand.NewPCG(1, 1))
	now := s.config.Clock.Now()
	for i := range 86_400 {
		for g := range 8 {
			reading := random(source, now.Add(time.Duration(i)*time.Second))
			s.Keep(sampler.Kept{GPU: fmt.Sprintf("host/GPU-%d", g), Reading: reading})
		}
		if i%1000 == 0 {
			_ = s.Flush(b.Context())
		}
	}
	_ = s.Flush(b.Context())
	config := s.config
	_ = s.Close(b.Context())
	again, err := Open(config)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for range again.Earlier(sampler.Moment{UnixNano: 1, MonoNano: 1}) {
		}
	}
	b.ReportMetric(float64(again.Summary().Readings), "readings")
	_ = again.Close(b.Context())
}
