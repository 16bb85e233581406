package atomicfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"wattmark/internal/atomicfile"
)

// folder returns a new folder, as a path and as a Root.
func folder(t *testing.T) (string, *os.Root) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return dir, root
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// holds checks that dir has exactly these files, so no temporary one.
func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		text, ok := want[entry.Name()]
		if !ok {
			t.Errorf("%s was left behind", entry.Name())
		} else if string(content) != text {
			t.Errorf("%s holds %.60q, want %.60q", entry.Name(), content, text)
		}
	}
	if len(entries) < len(want) {
		t.Errorf("got %d files, want %d", len(entries), len(want))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRefusedNames(t *testing.T) {
	dir, root := folder(t)
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	must(t, os.Symlink("sub", filepath.Join(dir, "link-to-folder")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	write(t, filepath.Join(dir, "file"), "x")
	write(t, filepath.Join(dir, "sub", "file"), "x")
	must(t, os.Symlink("file", filepath.Join(dir, "link")))
	must(t, os.Symlink("gone", filepath.Join(dir, "dangling")))
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "outside")))
	write(t, filepath.Join(dir, "one"), "x")
	must(t, os.Link(filepath.Join(dir, "one"), filepath.Join(dir, "other")))

	for _, test := range []struct {
		name string
		want error
	}{
		{"", atomicfile.ErrName},
		{".", atomicfile.ErrName},
		{"..", atomicfile.ErrName},
		{"../x", atomicfile.ErrName},
		{"sub/../file", atomicfile.ErrName},
		{"sub//file", atomicfile.ErrName},
		{"sub/", atomicfile.ErrName},
		{"/etc/passwd", atomicfile.ErrName},
		{"a\x00b", atomicfile.ErrName},
		{strings.Repeat("x", 256), atomicfile.ErrName},
		{"sub/" + strings.Repeat("x", 256), atomicfile.ErrName},
		{"file/x", atomicfile.ErrName},
		{"sub", atomicfile.ErrNotRegular},
		{"fifo", atomicfile.ErrNotRegular},
		{"link", atomicfile.ErrLink},
		{"dangling", atomicfile.ErrLink},
		{"outside", atomicfile.ErrLink},
		{"link-to-folder/file", atomicfile.ErrLink},
		{"link-to-folder/new", atomicfile.ErrLink},
		{"one", atomicfile.ErrLink},
		{"other", atomicfile.ErrLink},
	} {
		if _, _, err := atomicfile.Read(root, test.name, 10); !errors.Is(err, test.want) {
			t.Errorf("Read(%.30q) = %v, want %v", test.name, err, test.want)
		}
		if err := atomicfile.Write(root, test.name, []byte("new")); !errors.Is(err, test.want) {
			t.Errorf("Write(%.30q) = %v, want %v", test.name, err, test.want)
		}
		if err := atomicfile.Check(root, test.name); !errors.Is(err, test.want) {
			t.Errorf("Check(%.30q) = %v, want %v", test.name, err, test.want)
		}
	}
	for _, name := range []string{"file", "one", "sub/file"} {
		if content, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(content) != "x" {
			t.Errorf("%s holds %q, %v, want it untouched", name, content, err)
		}
	}
	for _, name := range []string{"file", "new", "sub/new", "no-such-folder/new", strings.Repeat("x", 255)} {
		if err := atomicfile.Check(root, name); err != nil {
			t.Errorf("Check(%.30q) = %v, want nil", name, err)
		}
	}
}

func TestRead(t *testing.T) {
	dir, root := folder(t)
	write(t, filepath.Join(dir, "ten"), "0123456789")
	if data, _, err := atomicfile.Read(root, "ten", 10); string(data) != "0123456789" || err != nil {
		t.Errorf("at the limit: %q, %v", data, err)
	}
	if _, _, err := atomicfile.Read(root, "ten", 9); !errors.Is(err, atomicfile.ErrTooLarge) {
		t.Errorf("over the limit: %v, want %v", err, atomicfile.ErrTooLarge)
	}
	if _, _, err := atomicfile.Read(root, "none", 9); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v, want %v", err, fs.ErrNotExist)
	} else if want := "open none: no such file or directory"; err.Error() != want { // one name, no system call's
		t.Errorf("a missing file: %q, want %q", err, want)
	}
	// The size that a file of /proc states is 0; the limit holds nevertheless.
	proc, err := os.OpenRoot("/proc/self")
	must(t, err)
	defer func() { _ = proc.Close() }()
	if _, _, err := atomicfile.Read(proc, "status", 10); !errors.Is(err, atomicfile.ErrTooLarge) {
		t.Errorf("a file that hides its size: %v, want %v", err, atomicfile.ErrTooLarge)
	}
}

func TestWriteCreates(t *testing.T) {
	dir, root := folder(t)
	defer syscall.Umask(syscall.Umask(0o077))
	long := strings.Repeat("x", 255) // leaves no room for a suffix
	must(t, atomicfile.Write(root, long, []byte("new")))
	holds(t, dir, map[string]string{long: "new"})
	info, err := os.Stat(filepath.Join(dir, long))
	must(t, err)
	if info.Mode() != 0o644 {
		t.Errorf("mode = %v, want 0644", info.Mode())
	}
}

func TestReplaceKeepsModeAndOwner(t *testing.T) {
	dir, root := folder(t)
	file := filepath.Join(dir, "file")
	for _, mode := range []fs.FileMode{0o600, 0o640, 0o664, 0o444} {
		must(t, os.RemoveAll(file))
		write(t, file, "old")
		must(t, os.Chmod(file, mode))
		uid, gid := os.Getuid(), os.Getgid()
		if uid == 0 {
			uid, gid = 1234, 5678
			must(t, os.Chown(file, uid, gid))
		}
		_, id, err := atomicfile.Read(root, "file", 10)
		must(t, err)
		must(t, atomicfile.Replace(root, "file", []byte("new"), id))
		holds(t, dir, map[string]string{"file": "new"})
		info, err := os.Stat(file)
		must(t, err)
		stat := info.Sys().(*syscall.Stat_t)
		if info.Mode() != mode || int(stat.Uid) != uid || int(stat.Gid) != gid {
			t.Errorf("got %v %d:%d, want %v %d:%d", info.Mode(), stat.Uid, stat.Gid, mode, uid, gid)
		}
	}
}

func TestRootsNewFileBelongsToTheFoldersOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir, root := folder(t)
	must(t, os.Chown(dir, 1234, 5678))
	must(t, atomicfile.Write(root, "file", []byte("new")))
	info, err := os.Stat(filepath.Join(dir, "file"))
	must(t, err)
	if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 1234 || stat.Gid != 5678 {
		t.Errorf("owner = %d:%d, want 1234:5678", stat.Uid, stat.Gid)
	}
}

func TestReplaceRefusesWhatWasChanged(t *testing.T) {
	for name, change := range map[string]func(file string) error{
		"longer":   func(file string) error { return os.WriteFile(file, []byte("other"), 0o644) },
		"touched":  func(file string) error { return os.Chtimes(file, time.Time{}, time.Unix(1e9, 0)) },
		"removed":  os.Remove,
		"replaced": func(file string) error { return replaced(file) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, root := folder(t)
			file := filepath.Join(dir, "file")
			write(t, file, "old")
			_, id, err := atomicfile.Read(root, "file", 10)
			must(t, err)
			must(t, change(file))
			if err := atomicfile.Replace(root, "file", []byte("new"), id); !errors.Is(err, atomicfile.ErrChanged) {
				t.Errorf("got %v, want %v", err, atomicfile.ErrChanged)
			}
			want := map[string]string{"longer": "other", "touched": "old", "replaced": "old"}
			if content, ok := want[name]; ok {
				holds(t, dir, map[string]string{"file": content})
			} else {
				holds(t, dir, nil)
			}
		})
	}
	dir, root := folder(t)
	write(t, filepath.Join(dir, "file"), "old")
	if err := atomicfile.Replace(root, "file", []byte("new"), atomicfile.Identity{}); !errors.Is(err, atomicfile.ErrChanged) {
		t.Errorf("a file where none was: %v, want %v", err, atomicfile.ErrChanged)
	}
	holds(t, dir, map[string]string{"file": "old"})
	must(t, atomicfile.Replace(root, "none", []byte("new"), atomicfile.Identity{}))
	holds(t, dir, map[string]string{"file": "old", "none": "new"})
}

// replaced puts an equal file in file's place, with the same time.
func replaced(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".2", []byte("old"), 0o644); err != nil {
		return err
	}
	if err := os.Chtimes(file+".2", time.Time{}, info.ModTime()); err != nil {
		return err
	}
	return os.Rename(file+".2", file)
}

// TestReplaceLooksAgain: the file changes while the new content is being written.
func TestReplaceLooksAgain(t *testing.T) {
	dir, root := folder(t)
	file := filepath.Join(dir, "file")
	write(t, file, "old")
	_, id, err := atomicfile.Read(root, "file", 10)
	must(t, err)
	changed := make(chan error)
	go func() {
		for { // until the temporary file is there
			if entries, err := os.ReadDir(dir); err != nil || len(entries) == 2 {
				changed <- errors.Join(err, os.WriteFile(file, []byte("other"), 0o644))
				return
			}
		}
	}()
	err = atomicfile.Replace(root, "file", make([]byte, 32<<20), id)
	must(t, <-changed)
	if !errors.Is(err, atomicfile.ErrChanged) {
		t.Errorf("got %v, want %v", err, atomicfile.ErrChanged)
	}
	holds(t, dir, map[string]string{"file": "other"})
}

// What killed writers left is swept away, once nobody can be at work on it any more, and nothing else.
func TestSweep(t *testing.T) {
	dir, root := folder(t)
	old := time.Now().Add(-2 * time.Hour)
	for name, at := range map[string]time.Time{
		".wattmark-OLD.tmp": old, ".wattmark-YOUNG.tmp": time.Now(), ".wattmark-x": old, "wattmark-x.tmp": old, "agg.json": old,
	} {
		write(t, filepath.Join(dir, name), "x")
		must(t, os.Chtimes(filepath.Join(dir, name), at, at))
	}
	must(t, os.Symlink("agg.json", filepath.Join(dir, ".wattmark-link.tmp")))
	must(t, os.Mkdir(filepath.Join(dir, ".wattmark-folder.tmp"), 0o755))
	if n, err := atomicfile.Sweep(root, time.Hour); n != 1 || err != nil {
		t.Errorf("%d files removed, %v; want 1", n, err)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 6 {
		t.Errorf("left: %v", entries)
	}
}

func TestPaths(t *testing.T) {
	dir, _ := folder(t)
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	must(t, os.Symlink("sub", filepath.Join(dir, "link")))
	must(t, atomicfile.WriteFile(filepath.Join(dir, "link", "file"), []byte("new")))
	holds(t, filepath.Join(dir, "sub"), map[string]string{"file": "new"})
	t.Chdir(filepath.Join(dir, "sub"))
	must(t, atomicfile.WriteFile("file", []byte("newer")))
	holds(t, filepath.Join(dir, "sub"), map[string]string{"file": "newer"})
	for _, file := range []string{"", "x/", "/", ".", "..", "sub/..", "a\x00b"} {
		if err := atomicfile.WriteFile(file, nil); !errors.Is(err, atomicfile.ErrName) {
			t.Errorf("WriteFile(%q) = %v, want %v", file, err, atomicfile.ErrName)
		}
	}
	if err := atomicfile.WriteFile("none/file", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such folder: %v, want %v", err, fs.ErrNotExist)
	}
}
