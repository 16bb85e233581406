//go:build linux

package main

import (
	"os"
	"testing"
	"time"
)

// A day of eight GPUs, 256 open windows, and the most that callers may ask for: in 64 MB.
func TestDayInLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	if err := run(options{limit: 64, duration: 3 * time.Second, log: os.Stderr}, t.Output()); err != nil {
		t.Error(err)
	}
}
