package agg_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"wattmark/agg"
	"wattmark/internal/atomicfile"
)

func TestConfine(t *testing.T) {
	dir, _ := results(t, map[string]string{"agg_R.json": aggregate, "..odd": "x"})
	beside := t.TempDir()
	link := filepath.Join(beside, "link")
	must(t,
		os.Mkdir(filepath.Join(dir, "sub"), 0o755),
		os.WriteFile(filepath.Join(dir, "sub", "x.json"), []byte("x"), 0o644),
		os.WriteFile(filepath.Join(beside, "x.json"), []byte("x"), 0o644),
		os.Symlink(dir, link),
		os.Symlink("sub", filepath.Join(dir, "inner")),
		os.Symlink(beside, filepath.Join(dir, "outer")),
		os.Symlink("agg_R.json", filepath.Join(dir, "link.json")),
		os.Link(filepath.Join(beside, "x.json"), filepath.Join(dir, "hard.json")),
		syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644),
	)
	for _, test := range []struct {
		dir, path, want string
		err             error
	}{
		{dir, "agg_R.json", "agg_R.json", nil},
		{dir, "./agg_R.json", "agg_R.json", nil},
		{dir, "sub//x.json", "sub/x.json", nil},
		{dir, "sub/../agg_R.json", "agg_R.json", nil},
		{dir, "..odd", "..odd", nil},
		{dir, "not-yet.json", "not-yet.json", nil},
		{dir, "not-yet/x.json", "not-yet/x.json", nil},
		{dir, dir + "/agg_R.json", "agg_R.json", nil},
		{dir, dir + "/sub/../agg_R.json", "agg_R.json", nil},
		{link, link + "/agg_R.json", "agg_R.json", nil}, // spelled as the folder was
		{link, dir + "/agg_R.json", "agg_R.json", nil},  // or without links
		{link, "agg_R.json", "agg_R.json", nil},

		{dir, "", "", agg.ErrForbidden},
		{dir, "a\x00b", "", agg.ErrForbidden},
		{dir, "agg_R.json\x00", "", agg.ErrForbidden},
		{dir, "..", "", agg.ErrForbidden},
		{dir, "../x", "", agg.ErrForbidden},
		{dir, "sub/../../x", "", agg.ErrForbidden},
		{dir, "../" + filepath.Base(dir) + "/agg_R.json", "", agg.ErrForbidden},
		{dir, "/etc/passwd", "", agg.ErrForbidden},
		{dir, "/", "", agg.ErrForbidden},
		{dir, dir + "/../x", "", agg.ErrForbidden},
		{dir, dir + "x/agg_R.json", "", agg.ErrForbidden}, // a folder whose name begins alike
		{dir, link + "/agg_R.json", "", agg.ErrForbidden}, // leads inside, but who knows for how long
		{dir, beside + "/x.json", "", agg.ErrForbidden},

		{dir, "a\nb", "", agg.ErrForbidden},
		{dir, "a\x1b[2Jb", "", agg.ErrForbidden},
		{dir, "a\u0085b", "", agg.ErrForbidden},
		{dir, strings.Repeat("a/", 64) + "b", strings.Repeat("a/", 64) + "b", nil},
		{dir, strings.Repeat("a/", 65) + "b", "", agg.ErrForbidden},
		{dir, strings.Repeat("a/b", 1400), "", agg.ErrForbidden},

		{dir, ".", "", atomicfile.ErrName},
		{dir, "agg_R.json/", "", atomicfile.ErrName},
		{dir, "not-yet/", "", atomicfile.ErrName},
		{dir, dir, "", atomicfile.ErrName},
		{dir, strings.Repeat("x", 256), "", atomicfile.ErrName},
		{dir, "agg_R.json/x", "", atomicfile.ErrName},
		{dir, "sub", "", atomicfile.ErrNotRegular},
		{dir, "fifo", "", atomicfile.ErrNotRegular},
		{dir, "link.json", "", atomicfile.ErrLink},
		{dir, "hard.json", "", atomicfile.ErrLink},
		{dir, "inner/x.json", "", atomicfile.ErrLink},
		{dir, "outer/x.json", "", atomicfile.ErrLink},
		{dir, "outer/not-yet.json", "", atomicfile.ErrLink},
		{dir, dir + "/outer/x.json", "", atomicfile.ErrLink},

		{filepath.Join(dir, "none"), "x", "x", agg.ErrNoFolder}, // now it is not there
	} {
		got, err := agg.Confine(test.dir, test.path)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("Confine(%q, %.60q) = %q, %v, want %q, %v", test.dir, test.path, got, err, test.want, test.err)
		}
	}
	t.Chdir(dir)
	if got, err := agg.Confine(".", filepath.Join(dir, "sub/x.json")); got != "sub/x.json" || err != nil {
		t.Errorf("in the current folder: %q, %v", got, err)
	}
}
