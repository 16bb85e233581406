package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"wattmark/api"
	"wattmark/sampler"
	"wattmark/window"
)

var update = flag.Bool("update", false, "write the golden files")

// watched is a screen of two GPUs, of which one is lost, and three windows.
func watched(t *testing.T, colour bool) *screen {
	t.Helper()
	lost := "GPU is lost\x1b[2J"
	yes, no := true, false
	end := 1000.0
	gpu := func(i int) sampler.Info {
		return sampler.Info{Host: "node7", UUID: fmt.Sprint("GPU-", i), Index: i, Vendor: "nvidia", Model: "NVIDIA H200", PowerLimitWatts: sampler.Some(700)}
	}
	some := sampler.Some
	events := map[string]any{
		"daemon": api.DaemonEvent{
			IntervalS: 1, Reasons: []string{"GPU 1 (node7/GPU-1): " + lost},
			GPUs: []api.WatchedGPU{{Info: gpu(0), Method: window.Counter}, {Info: gpu(1), Method: window.Boxcar, Error: &lost}},
		},
		"windows": api.WindowsEvent{More: 3, Windows: []api.WatchedWindow{
			{ID: "3", Run: "now", State: "open", StartUnix: 1088},
			{ID: "2", Run: "c64", State: "ended", Valid: &yes, EndUnix: &end, DurationS: some(12.3456), Energy: some(47909.33), Bound: some(15.9), Power: some(3984.7), PerOutputToken: some(2.924131), PerOutputTokenBound: some(0.00097)},
			{ID: "1", Run: strings.Repeat("x", 60), State: "ended", Valid: &no, EndUnix: &end, DurationS: some(1), Reasons: []api.Worded{{Code: "x", Words: window.NotBracketed.Words()}}},
		}},
	}
	live := api.Live{DurationS: 60, Engine: "vllm\x1b]0;x", Up: true, OutputPerSecond: some(2003.4), PerOutputToken: some(2.26), PerTotalToken: some(0.452)}
	power := api.PowerEvent{Unix: 1100, Fresh: true, Live: &live, GPUs: []api.PowerOfGPU{
		{ID: "node7/GPU-0", Power: some(525), Temperature: some(61), Utilization: some(1), Throttle: []string{"power limit"}},
		{ID: "node7/GPU-1", AgeS: 20},
	}}
	for i := range 121 { // up a ramp, and nothing since the loss 20 s ago
		p := api.PowerPoint{some(980 + float64(i)), some(700 + 5*float64(i))}
		if i > 100 {
			p[1] = sampler.Value{}
		}
		power.Total = append(power.Total, p)
	}
	events["power"] = power
	s := &screen{span: 2 * time.Minute, colour: colour, zone: time.UTC}
	for name, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.take(name, text); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// What the screen looks like; look at the file when it changes.
func TestWatchScreen(t *testing.T) {
	got := strings.Join(watched(t, false).draw(100, 40), "\n") + "\n"
	path := filepath.Join("testdata", "watch.golden")
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Colours are all that colour adds, and no size makes a line too long or too many.
func TestWatchFits(t *testing.T) {
	escape := regexp.MustCompile("\x1b\\[[0-9]*m")
	coloured := watched(t, true).draw(100, 40)
	if text := strings.Join(coloured, "\n"); !escape.MatchString(text) ||
		escape.ReplaceAllString(text, "") != strings.Join(watched(t, false).draw(100, 40), "\n") {
		t.Errorf("coloured it says something else:\n%s", text)
	}
	for _, columns := range []int{20, 36, 80, 300} {
		for _, rows := range []int{3, 10, 60} {
			lines := watched(t, true).draw(columns, rows)
			if len(lines) > rows {
				t.Errorf("%d lines on %d rows", len(lines), rows)
			}
			for _, line := range lines {
				bare := escape.ReplaceAllString(line, "")
				if utf8.RuneCountInString(bare) > columns || strings.ContainsAny(bare, "\x1b\n\r") {
					t.Errorf("%d columns: %q", columns, line)
				}
			}
		}
	}
	for _, line := range (&screen{span: time.Minute}).draw(80, 24) { // nothing is known yet
		if strings.Contains(line, "NaN") || strings.Contains(line, "Inf") {
			t.Error(line)
		}
	}
}

// Piped it prints lines; --once prints the screen, --json the events; without a daemon it fails.
func TestWatchPiped(t *testing.T) {
	t.Parallel()
	d := serve(t, nil, "--backend", "sim", "--sim", "2xH200,load=constant,watts=500", "--allow-simulated").ready()
	addr := "--addr=" + d.base
	once, errs, code := wattmark(t, t.TempDir(), nil, "watch", addr, "--once")
	if code != 0 || !strings.Contains(once, "2 × NVIDIA H200") || strings.Contains(once, "\x1b") {
		t.Errorf("--once: %d\n%s%s", code, once, errs)
	}
	out, _, code := wattmark(t, t.TempDir(), nil, "watch", addr, "--json", "--once")
	for line := range strings.Lines(out) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %.200s", line)
		}
	}
	if code != 0 || strings.Count(out, "\n") != 3 {
		t.Errorf("--json: %d, %d lines", code, strings.Count(out, "\n"))
	}
	watch := exec.Command(program(t), "watch", addr)
	log := &logBuffer{}
	watch.Stdout = log
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	d.must("/v1/mark-start", "run", "r1")
	waitFor(t, "the window", func() bool { return strings.Contains(log.String(), "window r1: open\n") })
	d.must("/v1/mark-end", "run", "r1")
	waitFor(t, "its verdict", func() bool { return strings.Contains(log.String(), "window r1: valid, ") })
	if !regexp.MustCompile(`(?m)^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ (99\d|100\d) W, mean of `).MatchString(log.String()) || strings.Contains(log.String(), "\x1b") {
		t.Errorf("lines:\n%s", log)
	}
	if err := watch.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = watch.Wait()
	if code := watch.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit %d after SIGINT, want 130", code)
	}
	if _, errs, code := wattmark(t, t.TempDir(), nil, "watch", "--addr", "127.0.0.1:"+freePort(t)); code != 1 || !strings.Contains(errs, "is 'wattmark serve' running?") {
		t.Errorf("without a daemon: %d %s", code, errs)
	}
}

// On a real terminal it is redrawn in place, follows its size, and leaves it as it was.
func TestWatchTerminal(t *testing.T) {
	t.Parallel()
	d := serve(t, nil, "--backend", "sim", "--sim", "2xH200", "--allow-simulated").ready()
	master, slave := terminal(t)
	resize := func(columns, rows uint16) {
		if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
			t.Fatal(err)
		}
	}
	resize(120, 30)
	watch := exec.Command(program(t), "watch", "--addr="+d.base)
	watch.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=1")
	watch.Stdin, watch.Stdout, watch.Stderr = slave, slave, slave
	watch.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close()
	log := &logBuffer{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(log, master) // ends with the terminal
	}()
	waitFor(t, "a screen", func() bool { return strings.Contains(log.String(), "energy counter") })
	resize(40, 8)
	frames := func() []string { return strings.Split(log.String(), "\x1b[H") }
	waitFor(t, "a small screen", func() bool { return strings.Contains(frames()[len(frames())-1], "more lines") })
	last := frames()[len(frames())-1]
	for line := range strings.SplitSeq(strings.TrimSuffix(last, "\x1b[K\x1b[J"), "\x1b[K\r\r\n") {
		if utf8.RuneCountInString(line) > 40 {
			t.Errorf("%d columns on 40: %q", utf8.RuneCountInString(line), line)
		}
	}
	if err := watch.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = watch.Wait()
	<-read
	text := log.String()
	if !strings.HasPrefix(text, "\x1b[?1049h\x1b[?25l") || !strings.Contains(text, "\x1b[?25h\x1b[?1049l") {
		t.Errorf("it does not leave the terminal as it was: %q … %q", text[:40], text[max(0, len(text)-80):])
	}
	if regexp.MustCompile("\x1b\\[[0-9]+m").MatchString(text) {
		t.Error("colour under NO_COLOR")
	}
}
