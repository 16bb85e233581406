package amd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"wattmark/internal/sysfsdouble"
)

func TestSysfsOfEveryVersion(t *testing.T) {
	t.Parallel()
	for revision := 3; revision <= 9; revision++ {
		h := newHost(t, 0, 2)
		h.sysfs(revision)
		l := h.open(SysfsOnly)
		for i, d := range l.Devices() {
			info := d.Info()
			name := sysfsdouble.Name(revision)
			source := map[bool]string{true: "average", false: "socket"}[revision == 3]
			if info.Library != "sysfs gpu_metrics "+name || info.PowerSource != source || !info.HasCounter {
				t.Errorf("%s: got %+v", name, info)
			}
			if info.BusID != h.script.GPUs[i].Bus || info.Index != i || info.Model != "AMD Instinct MI300X OAM" ||
				info.Serial != h.script.GPUs[i].Serial || info.PowerLimitWatts.Or(0) != 750 || info.Driver != "6.14.14" ||
				!strings.HasPrefix(info.UUID, "GPU-ab0000000000000") || info.Architecture != "gfx942" {
				t.Errorf("%s: identity %+v", name, info)
			}
			if r := read(t, d); !r.PowerWatts.OK() || !r.EnergyJoules.OK() || r.TemperatureC.Value().Or(0) != 71 {
				t.Errorf("%s: got %+v", name, r)
			}
		}
		h.freeze()
	}
}

// A table of the future is refused by name; power then comes from hwmon, and there is no energy.
func TestUnknownRevision(t *testing.T) {
	t.Parallel()
	h := newHost(t, 0, 1)
	h.script.GPUs[0].Load.Amplitude = 0
	h.sysfs(10)
	d := h.open(SysfsOnly).Devices()[0]
	if info := d.Info(); info.HasCounter || !strings.Contains(strings.Join(info.Problems, "; "), "gpu_metrics v1.10") {
		t.Errorf("got %+v, want no counter and the version's name", info)
	}
	if r := read(t, d); r.PowerWatts.Or(0) != 300 || r.EnergyJoules.OK() {
		t.Errorf("got %+v, want 300 W and no energy", r)
	}

	h.freeze()
	if err := os.RemoveAll(filepath.Join(h.tree.Device(0), "hwmon")); err != nil {
		t.Fatal(err)
	}
	cards, problems := findCards(h.config.SysfsRoot, time.Second)
	if all := strings.Join(problems, "; "); len(cards) != 0 || !strings.Contains(all, "gpu_metrics v1.10: table version is not known") {
		t.Errorf("without hwmon: got %d cards, %q; want none and why", len(cards), all)
	}
}

func TestFileThatIsNoTable(t *testing.T) {
	t.Parallel()
	h := newHost(t, 0, 1)
	h.sysfs(7)
	path := filepath.Join(t.TempDir(), "0000:05:00.0")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	c := newCard(path, 5*time.Second) // what waits for a pipe's other end says that it did not answer
	table := filepath.Join(path, "gpu_metrics")
	if err := syscall.Mkfifo(table, 0o644); err != nil {
		t.Fatal(err)
	}
	if s, err := c.read(); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a pipe: got %+v, %v", s, err)
	}
	if err := os.Remove(table); err != nil {
		t.Fatal(err)
	}
	if s, err := c.read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: got %+v, %v", s, err)
	}
	if err := os.WriteFile(table, make([]byte, maxTable+1), 0o644); err != nil {
		t.Fatal(err)
	}
	if s, err := c.read(); err == nil || !strings.Contains(err.Error(), "more than 65536 bytes") {
		t.Errorf("too much: got %+v, %v", s, err)
	}
}

func TestDriverThatRefuses(t *testing.T) {
	t.Parallel()
	for _, errno := range []syscall.Errno{syscall.EAGAIN, syscall.EPERM, syscall.EBUSY, syscall.EIO} {
		c := newCard("/nonexistent/0000:05:00.0", 100*time.Millisecond)
		c.power = "/nonexistent/power"
		c.file = func(path string, _ int) ([]byte, error) {
			return nil, &fs.PathError{Op: "read", Path: path, Err: errno}
		}
		if s, err := c.read(); !errors.Is(err, errno) || s.watts.OK() || s.counted {
			t.Errorf("%v: got %+v, %v", errno, s, err)
		}
	}
}

// A read that blocks in the driver keeps one goroutine, whoever comes later fails at once, and all is well when the
// driver answers.
func TestDriverThatBlocks(t *testing.T) {
	t.Parallel()
	c := newCard("/nonexistent/0000:05:00.0", 50*time.Millisecond)
	release := make(chan struct{})
	var calls atomic.Int32
	c.file = func(string, int) ([]byte, error) {
		calls.Add(1)
		<-release
		return sysfsdouble.Table(7, goldenValues()), nil
	}
	start := time.Now()
	if _, err := c.read(); err == nil || !strings.Contains(err.Error(), "did not answer within 50ms") {
		t.Errorf("got %v, want that it did not answer", err)
	}
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("the first read took %v", took)
	}
	start = time.Now()
	for range 100 {
		if _, err := c.read(); !errors.Is(err, errBusy) {
			t.Fatalf("got %v, want %v", err, errBusy)
		}
	}
	if took := time.Since(start); took > 2*time.Second { // 5 s, if each waited for as long as the first
		t.Errorf("100 reads beside one that blocks took %v; they should fail at once", took)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls are in the driver, want 1", n)
	}
	close(release)
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if s, err := c.read(); err == nil && s.counts == 1e10 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("not read after the driver answered")
		}
	}
}

// Two who come at the same time both get an answer: the daemon's feed, and a person's wattmark gpus.
func TestTwoReaders(t *testing.T) {
	t.Parallel()
	c := newCard("/nonexistent/0000:05:00.0", time.Second)
	c.file = func(string, int) ([]byte, error) {
		time.Sleep(30 * time.Millisecond)
		return sysfsdouble.Table(7, goldenValues()), nil
	}
	errs := make(chan error)
	for range 2 {
		go func() {
			_, err := c.read()
			errs <- err
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestCardsOfOthers(t *testing.T) {
	t.Parallel()
	h := newHost(t, 0, 3)
	h.sysfs(7)
	h.freeze()
	put := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root := h.config.SysfsRoot
	put(filepath.Join(h.tree.Device(0), "vendor"), "0x10de\n")
	if err := os.Remove(h.tree.Table(1)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("card1", filepath.Join(root, "class/drm/card1-DP-1")); err != nil {
		t.Fatal(err)
	}
	put(filepath.Join(root, "class/drm/version"), "drm 1.1.0\n")
	cards, problems := findCards(root, time.Second)
	if len(cards) != 1 || cards[0].bus != "0000:25:00.0" {
		t.Errorf("got %d cards, want 0000:25:00.0 only", len(cards))
	}
	if all := strings.Join(problems, "; "); !strings.Contains(all, "0000:15:00.0 is left out: it has no gpu_metrics table") {
		t.Errorf("problems %q", all)
	}
}
