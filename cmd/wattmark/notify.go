package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"wattmark/sampler"
)

// startGrace is how long the first readings may take before systemd is told that the daemon has started all the same:
// a GPU whose driver call hangs must not keep the others from being measured.
const startGrace = 10 * time.Second

// notifier tells systemd how the daemon is, as a unit with Type=notify and WatchdogSec= asks. Without systemd it does
// nothing. The variables stay in the environment, for a daemon that executes itself anew.
type notifier struct {
	latest   func() []sampler.Status
	waiting  func() bool // GPUs have not answered yet
	interval time.Duration
	log      *slog.Logger
}

// run says READY=1 when every GPU has been read once, good or bad, and then WATCHDOG=1 for as long as the sampling
// loops make progress. When ctx ends it says STOPPING=1.
//
// Progress is a driver call of any GPU that returned: one GPU that hangs is a reason in its windows and no cause to end
// the daemon, and a daemon without GPUs has nothing that could stand still.
func (n notifier) run(ctx context.Context) error {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return nil
	}
	n.awaitReadings(ctx)
	if ctx.Err() == nil {
		n.say(systemd.SdNotifyReady + "\nSTATUS=" + n.status())
		n.feed(ctx)
	}
	if !errors.Is(context.Cause(ctx), errReexec) { // the same service goes on
		n.say(systemd.SdNotifyStopping)
	}
	return nil
}

func (n notifier) awaitReadings(ctx context.Context) {
	limit, cancel := context.WithTimeout(ctx, startGrace)
	defer cancel()
	for n.waiting() || !n.allRead() {
		select {
		case <-limit.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (n notifier) allRead() bool {
	for _, status := range n.latest() {
		if status.Reads == 0 {
			return false
		}
	}
	return true
}

// feed says WATCHDOG=1 four times per watchdog interval, unless no driver call has returned for three intervals of
// sampling. It returns when ctx ends.
func (n notifier) feed(ctx context.Context) {
	limit, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		n.log.Warn("systemd's watchdog is not fed", "err", err)
	}
	if limit <= 0 {
		<-ctx.Done()
		return
	}
	check := time.NewTicker(limit / 4)
	defer check.Stop()
	var reads uint64
	moved := time.Now()
	for fed := true; ; {
		now, still := n.progress()
		if now != reads {
			reads, moved = now, time.Now()
		}
		alive := still == 0 || time.Since(moved) <= still
		if alive {
			n.say(systemd.SdNotifyWatchdog)
		} else if fed {
			n.log.Error("sampling stands still: systemd's watchdog is not fed any more", "seconds", time.Since(moved).Seconds())
		}
		fed = alive
		select {
		case <-ctx.Done():
			return
		case <-check.C:
		}
	}
}

// progress returns how many driver calls have returned, and how long that number may stand still: zero without GPUs.
func (n notifier) progress() (reads uint64, still time.Duration) {
	for _, status := range n.latest() {
		reads += status.Reads
		still = max(still, 3*n.interval*time.Duration(status.Stretch))
	}
	return reads, still
}

// status is what systemctl status shows.
func (n notifier) status() string {
	good, all := 0, n.latest()
	for _, status := range all {
		if status.Latest.At != (sampler.Moment{}) {
			good++
		}
	}
	return fmt.Sprintf("%d of %d GPUs read", good, len(all))
}

func (n notifier) say(state string) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		n.log.Debug("systemd not told", "state", state, "err", err)
	}
}
