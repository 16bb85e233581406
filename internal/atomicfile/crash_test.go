package atomicfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"wattmark/internal/atomicfile"
)

// What cannot be done to the test's own process is done to a child: this binary again, with a task and a folder.
const taskEnv, folderEnv = "ATOMICFILE_TASK", "ATOMICFILE_FOLDER"

const size = 1 << 20

func TestMain(m *testing.M) {
	if task := os.Getenv(taskEnv); task != "" {
		if err := child(task, os.Getenv(folderEnv)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(task, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	switch task {
	case "forever": // content a, b, a, b, … until killed
		for i := 0; ; i++ {
			if err := atomicfile.Write(root, "file", content(i)); err != nil {
				return err
			}
			if i == 0 {
				fmt.Println("started")
			}
		}
	case "as nobody":
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
			return err
		}
	case "full":
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1000, Max: 1000}); err != nil {
			return err
		}
	}
	err = atomicfile.Write(root, "file", content(1))
	switch {
	case errors.Is(err, fs.ErrPermission):
		return errors.New("permission")
	case errors.Is(err, syscall.EFBIG):
		return errors.New("too big")
	}
	return err
}

func content(i int) []byte { return bytes.Repeat([]byte{'a' + byte(i%2)}, size) }

func task(t *testing.T, name, dir string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), taskEnv+"="+name, folderEnv+"="+dir)
	return cmd
}

// whole checks that the file is one of the two contents.
func whole(t *testing.T, file string) {
	t.Helper()
	got, err := os.ReadFile(file)
	must(t, err)
	if !bytes.Equal(got, content(0)) && !bytes.Equal(got, content(1)) {
		t.Fatalf("the file is torn: %d bytes, %d times a, %d times b", len(got), bytes.Count(got, []byte("a")), bytes.Count(got, []byte("b")))
	}
}

func TestKillLeavesOldOrNew(t *testing.T) {
	dir, _ := folder(t)
	for range 50 {
		cmd := task(t, "forever", dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		if _, err := out.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.Int64N(int64(5 * time.Millisecond))))
		must(t, cmd.Process.Kill())
		_ = cmd.Wait() // killed
		whole(t, filepath.Join(dir, "file"))
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	for _, name := range left {
		if base := filepath.Base(name); base != "file" && !strings.HasPrefix(base, ".wattmark-") {
			t.Errorf("%s was left behind", base)
		}
	}
}

func TestNoPermission(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir, _ := folder(t)
	write(t, filepath.Join(dir, "file"), "old")
	must(t, os.Chmod(dir, 0o755))
	if out, err := task(t, "as nobody", dir).Output(); err == nil || string(out) != "permission\n" {
		t.Errorf("in a folder that is not writable: %q, %v", out, err)
	}
	holds(t, dir, map[string]string{"file": "old"})

	// A file of someone else's in a folder that all may write to: the owner cannot be kept, the mode can.
	must(t, os.Chmod(dir, 0o777))
	must(t, os.Chmod(filepath.Join(dir, "file"), 0o664))
	if out, err := task(t, "as nobody", dir).Output(); err != nil {
		t.Errorf("in a folder that is writable: %q, %v", out, err)
	}
	holds(t, dir, map[string]string{"file": string(content(1))})
	info, err := os.Stat(filepath.Join(dir, "file"))
	must(t, err)
	if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 65534 || info.Mode() != 0o664 {
		t.Errorf("got %v of %d, want 0664 of 65534", info.Mode(), stat.Uid)
	}
}

func TestNoRoom(t *testing.T) {
	dir, _ := folder(t)
	write(t, filepath.Join(dir, "file"), "old")
	if out, err := task(t, "full", dir).Output(); err == nil || string(out) != "too big\n" {
		t.Errorf("with a limit on file sizes: %q, %v", out, err)
	}
	holds(t, dir, map[string]string{"file": "old"})
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mounting a small disk: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH) //nolint:errcheck // in a temporary folder
	write(t, filepath.Join(dir, "file"), "old")
	if err := atomicfile.WriteFile(filepath.Join(dir, "file"), content(0)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want %v", err, syscall.ENOSPC)
	}
	holds(t, dir, map[string]string{"file": "old"})
}
