package recording_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"wattmark/recording"
)

// rowAt is a row and its text.
func rowAt(second int) (recording.Row, string) {
	at := time.Date(2025, 1, 15, 12, 0, second, 0, time.UTC)
	return recording.Row{Index: 3, Reading: aReading(at, 400)},
		at.Format("2006/01/02 15:04:05.000") + ", 3, 400.00 W, 61, 1980 MHz, 2619 MHz, 98 %, 45 %\n"
}

func appendAt(t *testing.T, f *recording.File, second int) {
	t.Helper()
	row, _ := rowAt(second)
	if err := f.Append([]recording.Row{row}); err != nil {
		t.Fatal(err)
	}
}

func wantFile(t *testing.T, path string, parts ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(parts, ""); string(text) != want {
		t.Errorf("file has\n%s\nwant\n%s", text, want)
	}
}

// What an earlier process left: rows go on after it, behind its last whole row.
func TestFileContinues(t *testing.T) {
	_, first := rowAt(1)
	_, second := rowAt(2)
	for _, tt := range []struct{ name, before, kept string }{
		{"no file", "-", nvidiaHeader},
		{"empty", "", nvidiaHeader},
		{"header", nvidiaHeader, nvidiaHeader},
		{"header torn", nvidiaHeader[:20], nvidiaHeader},
		{"header without its end", strings.TrimSuffix(nvidiaHeader, "\n"), nvidiaHeader},
		{"whole rows", nvidiaHeader + first, nvidiaHeader + first},
		{"row torn", nvidiaHeader + first + second[:30], nvidiaHeader + first},
		{"row without its end", nvidiaHeader + first + strings.TrimSuffix(second, "\n"), nvidiaHeader + first},
		{"blocks of zeros after a crash", nvidiaHeader + first + strings.Repeat("\x00", 4096), nvidiaHeader + first},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gpu_metrics.csv")
			if tt.before != "-" {
				if err := os.WriteFile(path, []byte(tt.before), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			f := recording.NewFile(path, recording.NVIDIA, recording.UTC)
			appendAt(t, f, 5)
			appendAt(t, f, 6)
			_, fifth := rowAt(5)
			_, sixth := rowAt(6)
			wantFile(t, path, tt.kept, fifth, sixth)
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
				t.Errorf("mode %v, %v, want 0644: a later writer is another user", info.Mode(), err)
			}
		})
	}
}

// What is not ours is left as it is.
func TestFileRefuses(t *testing.T) {
	row, _ := rowAt(1)
	refuses := func(t *testing.T, path string, want error) {
		t.Helper()
		f := recording.NewFile(path, recording.NVIDIA, recording.UTC)
		if err := f.Append([]recording.Row{row}); !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want %v and the path", err, want)
		}
	}
	for name, content := range map[string]string{
		"text":           "dear diary\n",
		"other columns":  "timestamp, index, power.draw [W]\n2025/01/15 12:34:56.789, 0, 412.34 W\n",
		"AMD's":          "timestamp,gpu,gfx_activity\n",
		"one long line":  nvidiaHeader[:len(nvidiaHeader)-1] + strings.Repeat("x", 200_000),
		"one long row":   nvidiaHeader + strings.Repeat("x", 200_000),
		"one byte of it": "x",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			refuses(t, path, recording.ErrForeign)
			wantFile(t, path, content)
		})
	}
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0) // so that opening it to write would not fail
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	refuses(t, fifo, recording.ErrNotRegular)
	refuses(t, dir, syscall.EISDIR)
	refuses(t, filepath.Join(dir, "no", "such", "folder"), syscall.ENOENT)

	taken := filepath.Join(dir, "taken")
	first := recording.NewFile(taken, recording.NVIDIA, recording.UTC)
	appendAt(t, first, 1)
	refuses(t, taken, recording.ErrInUse)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	appendAt(t, recording.NewFile(taken, recording.NVIDIA, recording.UTC), 2)
	_, one := rowAt(1)
	_, two := rowAt(2)
	wantFile(t, taken, nvidiaHeader, one, two)
}

// What others do to the file while it grows.
func TestFileIsMovedAndCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f := recording.NewFile(path, recording.NVIDIA, recording.UTC)
	row := func(second int) string { _, text := rowAt(second); return text }
	appendAt(t, f, 1)

	if err := os.Rename(path, path+".1"); err != nil { // logrotate
		t.Fatal(err)
	}
	appendAt(t, f, 2)
	wantFile(t, path+".1", nvidiaHeader, row(1))
	wantFile(t, path, nvidiaHeader, row(2))

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	appendAt(t, f, 3)
	wantFile(t, path, nvidiaHeader, row(3))

	if err := os.Truncate(path, 0); err != nil { // logrotate's copytruncate
		t.Fatal(err)
	}
	appendAt(t, f, 4)
	wantFile(t, path, nvidiaHeader, row(4))

	if err := os.Truncate(path, int64(len(nvidiaHeader)+10)); err != nil {
		t.Fatal(err)
	}
	appendAt(t, f, 5)
	wantFile(t, path, nvidiaHeader, row(5))

	other, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if _, err := other.WriteString(row(6) + "2025/01/15 12:0"); err != nil {
		t.Fatal(err)
	}
	appendAt(t, f, 7)
	wantFile(t, path, nvidiaHeader, row(5), row(6), row(7))

	if err := os.WriteFile(path+".new", []byte("dear diary\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	eighth, _ := rowAt(8)
	if err := f.Append([]recording.Row{eighth}); !errors.Is(err, recording.ErrForeign) {
		t.Errorf("got %v, want %v", err, recording.ErrForeign)
	}
	wantFile(t, path, "dear diary\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	appendAt(t, f, 9)
	wantFile(t, path, nvidiaHeader, row(9))
}

// A disk that takes a part of the rows takes none: a reader never sees half a row after the call.
func TestFileOnFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f := recording.NewFile(path, recording.NVIDIA, recording.UTC)
	row := func(second int) string { _, text := rowAt(second); return text }
	second, _ := rowAt(2)
	third, _ := rowAt(3)
	for _, n := range []int{0, 1, 30} { // of the header and the first row
		f.TakesOnly(n, syscall.ENOSPC)
		if err := f.Append([]recording.Row{second}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got %v, want %v", err, syscall.ENOSPC)
		}
		wantFile(t, path)
	}
	appendAt(t, f, 1)
	for _, n := range []int{0, 1, len(row(2)), len(row(2)) + 3} {
		f.TakesOnly(n, syscall.ENOSPC)
		if err := f.Append([]recording.Row{second, third}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got %v, want %v", err, syscall.ENOSPC)
		}
		wantFile(t, path, nvidiaHeader, row(1))
	}
	if err := f.Append([]recording.Row{second, third}); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, nvidiaHeader, row(1), row(2), row(3))
}

// Nothing is written, and nothing made, beyond what there is to say.
func TestFileWithoutRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f := recording.NewFile(path, recording.NVIDIA, recording.UTC)
	for range 2 {
		if err := f.Append(nil); err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, nvidiaHeader)
	}
}
