package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"wattmark/api"
	"wattmark/sampler"
	"wattmark/state"
)

// stateFlags say where a restart finds what it resumes.
type stateFlags struct {
	StateDir    *string       `placeholder:"DIR" help:"Recording and marks, from which a restart resumes. Default: the results folder; empty or none turns it off."`
	StateMaxAge time.Duration `default:"168h" help:"How long readings stay in the recording."`
	StateMaxMB  int64         `name:"state-max-mb" default:"512" help:"How large the recording grows, in MB."`
}

func (f stateFlags) checkState() error {
	if f.StateMaxAge < time.Minute || f.StateMaxMB < 1 {
		return errors.New("--state-max-age is at least 1m, --state-max-mb at least 1")
	}
	return nil
}

// openState opens the state. Without one the daemon measures all the same, so what speaks against it is a warning.
func (f stateFlags) openState(resultsDir, node string, clock sampler.Clock, log *slog.Logger) *state.Store {
	dir := resultsDir
	if f.StateDir != nil {
		dir = *f.StateDir
	}
	if dir == "" || dir == "none" { // none: a variable that is empty is as good as not set
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	store, err := state.Open(state.Config{
		Dir: dir, Node: node, MaxAge: f.StateMaxAge, MaxBytes: f.StateMaxMB * 1e6,
		Boot: bootID(), Host: host, Clock: clock, Logger: log,
	})
	if err != nil {
		hint := "make it writable, or name another with --state-dir; --state-dir= (empty) turns it off"
		if errors.Is(err, state.ErrInUse) {
			hint = "give this daemon a --state-dir of its own"
		}
		log.Warn("no state: open windows will not survive a restart", "folder", dir, "err", err, "hint", hint)
		return nil
	}
	return store
}

// bootID names this boot of the kernel. Where it is not known each process has a boot of its own.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if id := strings.TrimSpace(string(text)); err == nil && id != "" {
		return id
	}
	return rand.Text()
}

// resume fills memory with the readings of earlier daemons of this boot and takes over their open windows.
func resume(samples *sampler.Sampler, server *api.Server, store *state.Store, log *slog.Logger) {
	if store == nil {
		return
	}
	taken := samples.Restore(store.Earlier(samples.Now().Add(-samples.Retention())))
	found := store.Summary()
	if found.Readings+found.Skipped+found.Foreign > 0 {
		log.Info("recording read back", "readings", taken, "of_gpus_not_here", found.Readings-taken,
			"of_other_boots", found.Foreign, "lines_skipped", found.Skipped, "took", found.Took.Round(time.Millisecond))
	}
	for _, problem := range found.Problems {
		log.Warn("a part of the recording was not read", "problem", problem)
	}
	server.Resume()
}

// closeState writes what is left and lets the folder go.
func closeState(store *state.Store, log *slog.Logger) {
	if store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := store.Close(ctx); err != nil {
		log.Warn("state not closed", "err", fmt.Sprint(err))
	}
	if n := store.Dropped(); n > 0 {
		log.Warn("readings not recorded", "rows", n)
	}
}
