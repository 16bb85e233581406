package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"wattmark/sampler"
)

// A daemon whose driver was upgraded executes itself anew, for only a new process can load the new library: it keeps
// its process id, its listening socket and, through the state, its windows and readings.
const (
	reexecsVariable = "WATTMARK_REEXECS"  // Unix seconds of the last times
	listenVariable  = "WATTMARK_LISTENER" // the descriptor of the socket
	maxReexecs      = 3
	reexecWindow    = 10 * time.Minute
)

// errReexec is why a daemon's context ends that is to be executed anew.
var errReexec = errors.New("the driver was upgraded: executing anew")

// reexec decides whether to execute the program anew.
type reexec struct {
	listener net.Listener
	hung     func() bool // a driver call hangs: the kernel would wait for it
	cancel   context.CancelCauseFunc
	log      *slog.Logger

	mu     sync.Mutex
	socket *os.File // of the listener, for the next process; nil: this process goes on
	times  string
}

// begin says what the process has come to hold.
func (r *reexec) begin(listener net.Listener, latest func() []sampler.Status, waiting func() bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listener = listener
	r.hung = func() bool {
		return waiting() || slices.ContainsFunc(latest(), func(status sampler.Status) bool {
			return !status.Busy.IsZero() && time.Since(status.Busy) > time.Second
		})
	}
}

// mismatch is told that library and kernel driver differ.
func (r *reexec) mismatch(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.socket != nil || r.listener == nil {
		return
	}
	times, ok := nextReexec(os.Getenv(reexecsVariable), time.Now())
	if !ok || r.hung() {
		r.log.Warn("the driver was upgraded; executing anew did not help, or a driver call hangs: restart the daemon", "err", err)
		return
	}
	socket, fileErr := socketOf(r.listener)
	if fileErr != nil {
		r.log.Warn("the driver was upgraded: restart the daemon", "err", errors.Join(err, fileErr))
		return
	}
	r.log.Warn("the driver was upgraded: executing anew, open windows go on", "err", err)
	r.socket, r.times = socket, times
	r.cancel(errReexec)
}

// do executes the program anew if that was decided. It returns only if it was not, or if that fails.
func (r *reexec) do() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.socket == nil {
		return nil
	}
	fd := r.socket.Fd()
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETFD, 0); errno != 0 { // it is to stay open
		return os.NewSyscallError("fcntl", errno)
	}
	err := errors.Join(os.Setenv(reexecsVariable, r.times), os.Setenv(listenVariable, strconv.Itoa(int(fd))))
	if err == nil {
		err = syscall.Exec("/proc/self/exe", os.Args, os.Environ())
	}
	if err != nil {
		return fmt.Errorf("execute anew: %w", err)
	}
	return nil
}

// nextReexec adds now to the times of the last ones; not ok if there were too many.
func nextReexec(past string, now time.Time) (times string, ok bool) {
	var recent []string
	for text := range strings.SplitSeq(past, ",") {
		unix, err := strconv.ParseInt(text, 10, 64)
		if err == nil && now.Sub(time.Unix(unix, 0)) < reexecWindow {
			recent = append(recent, text)
		}
	}
	if len(recent) >= maxReexecs {
		return past, false
	}
	return strings.Join(append(recent, strconv.FormatInt(now.Unix(), 10)), ","), true
}

// socketOf returns the listener's socket under a descriptor of its own: it goes on listening when the listener closes.
func socketOf(l net.Listener) (*os.File, error) {
	if unix, ok := l.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false)
	}
	with, ok := l.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("a %T has no descriptor", l)
	}
	return with.File()
}

// inherited returns the socket on which the process before listened; nil if there was none.
func inherited() (net.Listener, error) {
	text := os.Getenv(listenVariable)
	if text == "" {
		return nil, nil
	}
	_ = os.Unsetenv(listenVariable)
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%s=%s: %w", listenVariable, text, err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer func() { _ = file.Close() }() // net has a descriptor of its own
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("%s=%s: %w", listenVariable, text, err)
	}
	return l, nil
}
