package state

import (
	"os"
	"path/filepath"
	"testing"

	"wattmark/sampler"
)

// Whatever the marks' file holds, the daemon starts: with windows that have a run, an id and a start, or with none.
func FuzzMarks(f *testing.F) {
	for _, seed := range []string{
		`{"schema":1,"boot_id":"boot","host":"host","open":[{"id":"a","run":"r","start":{"unix_ns":1,"monotonic_ns":1},"gpus":["host/GPU-1"]}],"ended":[{"id":"b","run":"s"}]}`,
		`{"schema":2}`, `{}`, `[]`, `{"schema":1,"open":[{}]}`, `{"schema":1,"open":[null]}`, `{"schema":1,"open":null,"ended":null}`, "", "{\"schema\":1", "\x00",
		`{"schema":1,"open":[{"id":"a","run":"../../etc/x","start":{"unix_ns":9223372036854775807}}]}`,
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, "wattmark_marks.json"), text, 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Config{Dir: dir, Boot: "boot", Host: "host", Clock: sampler.NewClock()})
		if err != nil {
			return // it is a warning, and the daemon runs without a state
		}
		open, _ := s.Open()
		for _, mark := range open {
			if mark.ID == "" || mark.Run == "" || mark.Start.UnixNano <= 0 {
				t.Errorf("%q: mark %+v", text, mark)
			}
		}
		_ = s.Close(t.Context())
	})
}
