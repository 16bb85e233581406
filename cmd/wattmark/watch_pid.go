package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"time"
)

// watchFlags tie the daemon's life to that of another process: of a benchmark's script that may be killed before it
// stops what it has started.
type watchFlags struct {
	WatchPID int `name:"watch-pid" placeholder:"PID" help:"Stop, as on SIGTERM, when this process has ended."`
}

// watch returns a context that also ends when the process does; the file descriptor that the system gives for it cannot
// come to mean another process of the same number.
func (f watchFlags) watch(ctx context.Context, log *slog.Logger) (context.Context, error) {
	if f.WatchPID == 0 {
		return ctx, nil
	}
	process, err := os.FindProcess(f.WatchPID)
	if err != nil {
		return ctx, err
	}
	gone := func() bool {
		err := process.Signal(syscall.Signal(0))
		return errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH)
	}
	if gone() {
		return ctx, usageError{errors.New("--watch-pid: there is no such process")}
	}
	watched, end := context.WithCancel(ctx)
	go func() {
		defer end()
		ticks := time.NewTicker(500 * time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-watched.Done():
				return
			case <-ticks.C:
			}
			if gone() {
				log.Info("the process of --watch-pid has ended", "pid", f.WatchPID)
				return
			}
		}
	}()
	return watched, nil
}
