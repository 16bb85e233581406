package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// A few nodes, so that the measurement itself stays right: it fails where edges, energies or files do.
func TestFewNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program and marks for some seconds")
	}
	var out bytes.Buffer
	if err := run(&out, 20, 2, 2*time.Second, 1); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "20 nodes, 40 GPUs, edges equal on all") || !strings.Contains(out.String(), "the same numbers") {
		t.Errorf("report:\n%s", out.String())
	}
}
