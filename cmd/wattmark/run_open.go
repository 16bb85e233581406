package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"wattmark/sampler"
)

// How long the command that is measured may be kept waiting for the GPUs.
const (
	openWait   = 10 * time.Second // for all of them, and the driver's library
	answerTime = 2 * time.Second  // for the first ones to answer; GPUs that wake up do so one after the other
)

// openForRun opens the GPUs. A driver that hangs must not keep the command from running: GPUs that have not answered are
// left out, and stay among what the backend waits for, so that windows of all GPUs have the reason.
func (c *runCmd) openForRun(ctx context.Context, clock sampler.Clock, log *slog.Logger) (backend, error) {
	end := time.Now().Add(openWait)
	c.patience = answerTime
	found, err := c.openSoon(ctx, openWait, clock, log)
	if err == nil {
		found = found.settle(ctx, end)
	}
	if err == nil && len(found.devices) == 0 {
		err = errors.New("there is no GPU ('wattmark gpus' says why)")
		if missing := found.now().Missing; len(missing) > 0 {
			err = fmt.Errorf("no GPU has answered: %s", strings.Join(missing, "; "))
		}
		if found.opening == nil {
			found.close()
		}
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return found, err
}

// settle takes in GPUs that answer late, until none has for 2 s or the end has come: more are not waited for.
func (b backend) settle(ctx context.Context, end time.Time) backend {
	for b.late != nil && len(b.pending()) > 0 && time.Now().Before(end) && ctx.Err() == nil {
		more, _ := b.late()
		if len(more) == 0 {
			break
		}
		b.devices = slices.Concat(b.devices, chosen(more, b.names))
	}
	b.settled = true
	return b
}
