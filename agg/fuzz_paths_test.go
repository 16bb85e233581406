package agg_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"wattmark/agg"
	"wattmark/internal/atomicfile"
)

// Whatever a caller names, Confine gives a name inside the folder or an error of ours, and what is read under that name
// is never what lies outside, whichever links lead there.
func FuzzConfine(f *testing.F) {
	base := f.TempDir()
	dir := filepath.Join(base, "results")
	const canary = "canary"
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "sub"), 0o755), os.Mkdir(filepath.Join(base, "out"), 0o755),
		os.WriteFile(filepath.Join(base, "out", "x"), []byte(canary), 0o644),
		os.WriteFile(filepath.Join(dir, "x"), []byte("inside"), 0o644), os.WriteFile(filepath.Join(dir, "sub", "x"), []byte("inside"), 0o644),
		os.Symlink("../out", filepath.Join(dir, "o")), os.Symlink("../out/x", filepath.Join(dir, "l")), os.Symlink("..", filepath.Join(dir, "u")),
		os.Symlink(".", filepath.Join(dir, "h")), os.Symlink("/", filepath.Join(dir, "r")), os.Link(filepath.Join(base, "out", "x"), filepath.Join(dir, "d")),
	} {
		if err != nil {
			f.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"x", "sub/x", "../out/x", "o/x", "l", "u/out/x", "h/x", "r/etc/passwd", "d", "/", ".", "..", "sub/../x", "sub//x", "x/", "", "\x00", "x\n",
		dir + "/x", dir + "/../out/x", strings.Repeat("a/", 70), "%2e%2e/out/x", "\u2024\u2024/out/x", "h/h/u/out/x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name, err := agg.Confine(dir, path)
		if err != nil {
			ours := []error{agg.ErrForbidden, atomicfile.ErrName, atomicfile.ErrLink, atomicfile.ErrNotRegular}
			for _, known := range ours {
				if errors.Is(err, known) {
					return
				}
			}
			t.Fatalf("%q: %v is none of ours", path, err)
		}
		if !filepath.IsLocal(name) || filepath.Clean(name) != name || strings.ContainsFunc(name, unicode.IsControl) || len(name) > 4096 {
			t.Fatalf("%q is accepted as %q", path, name)
		}
		if text, _, err := atomicfile.Read(root, name, 100); err == nil && string(text) != "inside" {
			t.Fatalf("%q reads %q", path, text)
		}
	})
}

// The validation file's name is one that a file can have, beside the result, and never one of the benchmark's.
func FuzzValidationName(f *testing.F) {
	for _, seed := range [][3]string{{"r.json", "run", ""}, {"a/b/r.tar.gz", "run", "node-1"}, {"", "run", "node"}, {".json", "r", ""}, {strings.Repeat("ä", 200), "r", "n"}, {"a/", "r", ""}} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, benchmark, run, node string) {
		if strings.Contains(run+node, "/") || len(node) > 36 {
			t.Skip("refused before")
		}
		name := agg.ValidationName(benchmark, run, node)
		folder, file := filepath.Split(benchmark)
		dir, base := filepath.Split(name)
		if benchmark != "" && dir != folder || len(base) > 255 || !strings.HasPrefix(base, "power_validation_") || !strings.HasSuffix(base, ".json") {
			t.Errorf("%q, %q, %q: %q", benchmark, run, node, name)
		}
		if utf8.ValidString(file+run+node) && !utf8.ValidString(base) {
			t.Errorf("%q, %q, %q: %q is not UTF-8", benchmark, run, node, name)
		}
		if err := agg.CheckValidationName(name); err != nil {
			t.Errorf("%q, %q, %q: %v", benchmark, run, node, err)
		}
	})
}
