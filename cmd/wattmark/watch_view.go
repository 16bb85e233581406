package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"wattmark/api"
)

// view is what shows events.
type view interface {
	event(name string, data []byte) error
	lost(err error)
	close()
}

// errShown ends the stream of --once.
var errShown = errors.New("shown")

// view chooses how to show: a terminal is redrawn in place, all else gets lines.
func (c *watchCmd) view(std streams) view {
	file, isFile := std.out.(*os.File)
	_, _, terminal := 0, 0, false
	if isFile {
		_, _, terminal = size(file)
	}
	switch colour := terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"; {
	case c.JSON:
		return &jsonView{std: std, once: c.Once}
	case c.Once:
		return &lineView{std: std, whole: true, screen: screen{span: c.Span, colour: colour}, file: file}
	case terminal && os.Getenv("TERM") != "dumb":
		return newTerminalView(file, c.Span, colour)
	default:
		return &lineView{std: std, screen: screen{span: c.Span}}
	}
}

// size is that of the terminal; not ok where the file is none.
func size(file *os.File) (columns, rows int, ok bool) {
	ws, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	if ws.Col == 0 || ws.Row == 0 { // a terminal that does not say
		return 80, 24, true
	}
	return int(ws.Col), int(ws.Row), true
}

// jsonView prints events as they are.
type jsonView struct {
	std  streams
	once bool
}

func (v *jsonView) event(name string, data []byte) error {
	if _, err := fmt.Fprintf(v.std.out, "{\"event\":%q,\"data\":%s}\n", name, data); err != nil {
		return err
	}
	if v.once && name == "power" {
		return errShown
	}
	return nil
}

func (v *jsonView) lost(err error) { _, _ = fmt.Fprintln(v.std.err, "wattmark:", err) }
func (v *jsonView) close()         {}

// lineView prints a line for each event: for pipes and logs. whole prints the screen once instead.
type lineView struct {
	std    streams
	screen screen
	whole  bool
	file   *os.File
	said   map[string]string // of each window
}

func (v *lineView) event(name string, data []byte) error {
	if err := v.screen.take(name, data); err != nil {
		return err
	}
	switch {
	case v.whole && name == "power":
		columns := 100
		if v.file != nil {
			if c, _, ok := size(v.file); ok {
				columns = c
			}
		}
		if _, err := fmt.Fprintln(v.std.out, strings.Join(v.screen.draw(columns, 1000), "\n")); err != nil {
			return err
		}
		return errShown
	case v.whole:
		return nil
	case name == "power":
		_, err := fmt.Fprintln(v.std.out, v.screen.line())
		return err
	case name == "windows":
		return v.news()
	default:
		return nil
	}
}

// news prints what has become of windows since it was called last.
func (v *lineView) news() error {
	first := v.said == nil
	if first {
		v.said = map[string]string{}
	}
	for _, w := range slices.Backward(v.screen.windows) {
		text := windowWords(w)
		if v.said[w.ID] == text {
			continue
		}
		v.said[w.ID] = text
		if first && w.State != "open" {
			continue // of before
		}
		if _, err := fmt.Fprintln(v.std.out, text); err != nil {
			return err
		}
	}
	return nil
}

func (v *lineView) lost(err error) { _, _ = fmt.Fprintln(v.std.err, "wattmark:", err) }
func (v *lineView) close()         {}

// terminalView redraws the screen in place. It leaves the terminal as it found it.
type terminalView struct {
	file    *os.File
	screen  screen
	resized chan os.Signal
	redraw  chan func()
	done    chan struct{}
}

func newTerminalView(file *os.File, span time.Duration, colour bool) *terminalView {
	v := &terminalView{
		file: file, screen: screen{span: span, colour: colour}, resized: make(chan os.Signal, 1),
		redraw: make(chan func()), done: make(chan struct{}),
	}
	signal.Notify(v.resized, syscall.SIGWINCH)
	_, _ = io.WriteString(file, "\x1b[?1049h\x1b[?25l") // the other screen, no cursor
	go v.run()
	return v
}

// run is the only one that draws.
func (v *terminalView) run() {
	defer close(v.done)
	for {
		select {
		case change, ok := <-v.redraw:
			if !ok {
				return
			}
			change()
		case <-v.resized:
		}
		columns, rows, _ := size(v.file)
		lines := v.screen.draw(columns, rows)
		_, _ = io.WriteString(v.file, "\x1b[H"+strings.Join(lines, "\x1b[K\r\n")+"\x1b[K\x1b[J")
	}
}

func (v *terminalView) event(name string, data []byte) error {
	failed := make(chan error, 1)
	v.redraw <- func() { failed <- v.screen.take(name, data) }
	return <-failed
}

func (v *terminalView) lost(err error) {
	v.redraw <- func() { v.screen.trouble = err.Error() }
}

func (v *terminalView) close() {
	signal.Stop(v.resized)
	close(v.redraw)
	<-v.done
	_, _ = io.WriteString(v.file, "\x1b[?25h\x1b[?1049l")
}

// take keeps what an event says.
func (s *screen) take(name string, data []byte) error {
	s.trouble = ""
	var err error
	switch name {
	case "daemon":
		s.daemon = api.DaemonEvent{}
		err = json.Unmarshal(data, &s.daemon)
	case "windows":
		var e api.WindowsEvent
		err = json.Unmarshal(data, &e)
		s.windows, s.more = e.Windows, e.More
	case "power":
		var e api.PowerEvent
		err = json.Unmarshal(data, &e)
		s.power = e
		if e.Fresh {
			s.total = nil
		}
		s.total = append(s.total, e.Total...)
		from := e.Unix - s.span.Seconds()
		for len(s.total) > 0 && s.total[0][0].Or(0) < from {
			s.total = s.total[1:]
		}
	}
	if err != nil {
		return fmt.Errorf("the daemon's event %s: %w", name, err)
	}
	return nil
}
