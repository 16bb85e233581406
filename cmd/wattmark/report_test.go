package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a report is written as follows from --format, else from the file's ending; an ending that is none of a report's is refused
// before anything is read or written.
func TestReportEnding(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	address := "127.0.0.1:" + freePort(t)
	p := serveCommand(t, &served{t: t, log: &logBuffer{}}, "--backend", "sim", "--sim", "1xH200", "--allow-simulated",
		"--results-dir", dir, "--listen", address)
	defer func() { _ = p.stop() }()
	for _, args := range [][]string{{"ready"}, {"mark-start", "--run", "r"}, {"mark-end", "--run", "r"}} {
		if _, errs, code := wattmark(t, dir, nil, append(args, "--addr", address)...); code != 0 {
			t.Fatal(errs)
		}
	}
	for _, test := range []struct{ file, format, begins string }{
		{"r.html", "", "<!doctype html>"},
		{"r.HTM", "", "<!doctype html>"},
		{"r", "", "<!doctype html>"},
		{"r.svg", "", "<svg"},
		{"r.md", "", "## r"},
		{"summary.txt", "md", "## r"},
		{"r.pdf", "", ""},
	} {
		args := []string{"report", "power_window_r.json", "-o", test.file}
		if test.format != "" {
			args = append(args, "--format", test.format)
		}
		_, errs, code := wattmark(t, dir, nil, args...)
		text, err := os.ReadFile(filepath.Join(dir, test.file))
		if test.begins == "" {
			if code != 2 || !strings.Contains(errs, ".pdf") || !strings.Contains(errs, "--format") || !os.IsNotExist(err) {
				t.Errorf("%s: exit code %d, %q, file: %v", test.file, code, errs, err)
			}
			continue
		}
		if code != 0 || err != nil || !strings.HasPrefix(strings.ToLower(string(text)), test.begins) {
			t.Errorf("%s %s: exit code %d, %q, %v, begins %.40q, want %q", test.file, test.format, code, errs, err, text, test.begins)
		}
	}
}
