//go:build linux

package main

import (
	"io"
	"math"
	"testing"
	"time"

	"wattmark/bench/daemon"
)

// Some seconds of what the program does for a minute. How late readings are is its business: here other tests run beside.
func TestLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Parallel()
	dir := t.TempDir()
	program, err := daemon.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	o := options{duration: 13 * time.Second, marks: 40, scrapes: 20, hostile: 1}
	r, err := o.measure(program, dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.rows() {
		t.Logf("%-52s %s", row[0], row[1])
	}
	if err := r.check(math.Inf(1)); err != nil {
		t.Error(err)
	}
}
