//go:build linux

package main

import (
	"bytes"
	"io"
	"testing"
	"time"
)

// A few seconds of what the program runs for minutes: the sums, and that nothing runs away. Rings and the list of ended
// windows are still filling then, and the garbage collector has up to 6 MB of headroom.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 12 s")
	}
	t.Parallel()
	var out bytes.Buffer
	err := run(options{duration: 4 * time.Second, settle: 6 * time.Second, window: 200 * time.Millisecond, growth: 6}, &out, io.Discard)
	if err != nil {
		t.Error(err)
	}
	t.Logf("\n%s", &out)
}
