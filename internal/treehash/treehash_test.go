//go:build unix

package treehash_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"wattmark/internal/treehash"
)

// Whatever is done to a folder shows; reading it does not.
func TestOf(t *testing.T) {
	dir := t.TempDir()
	file, sub := filepath.Join(dir, "a"), filepath.Join(dir, "sub")
	if err := errors.Join(os.WriteFile(file, []byte("text"), 0o644), os.Mkdir(sub, 0o755), os.WriteFile(filepath.Join(sub, "b"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	seen := map[string]string{}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"nothing", func() error { return nil }},
		{"content, with size and time as before", func() error {
			info, err := os.Stat(file)
			return errors.Join(err, os.WriteFile(file, []byte("TEXT"), 0o644), os.Chtimes(file, info.ModTime(), info.ModTime()))
		}},
		{"mode", func() error { return os.Chmod(file, 0o600) }},
		{"time", func() error { return os.Chtimes(file, old, old) }},
		{"a second link", func() error { return os.Link(file, filepath.Join(t.TempDir(), "link")) }},
		{"a name", func() error { return os.Rename(filepath.Join(sub, "b"), filepath.Join(sub, "c")) }},
		{"a file", func() error { return os.WriteFile(filepath.Join(sub, "d"), nil, 0o644) }},
		{"a file less", func() error { return os.Remove(filepath.Join(sub, "c")) }},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		once, err := treehash.Of(dir)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := treehash.Of(dir); again != once || err != nil {
			t.Errorf("%s: read twice it differs: %v", step.name, err)
		}
		if before, ok := seen[once]; ok {
			t.Errorf("%s does not show: as after %s", step.name, before)
		}
		seen[once] = step.name
	}
	if _, err := treehash.Of(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}
