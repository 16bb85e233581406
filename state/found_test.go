package state

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"wattmark/window"
)

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
