package main

import (
	"context"
	"testing"
	"time"
)

func TestPulseEndsWithItsContext(t *testing.T) {
	for _, interval := range []time.Duration{10 * time.Millisecond, time.Hour} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if err := pulse(ctx, begin.Add(-time.Millisecond), interval); err != nil || time.Since(begin) < 50*time.Millisecond {
			t.Errorf("every %v: %v after %v, want nil when its context ends", interval, err, time.Since(begin))
		}
	}
}
