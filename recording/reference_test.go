package recording_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"wattmark/recording"
)

// reference runs testdata/reference.py in a zone and calls check for each of its lines.
func reference[Line any](t *testing.T, zone, what string, n int, check func(Line)) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	command := exec.CommandContext(t.Context(), python, "testdata/reference.py", what, strconv.Itoa(n), "5")
	command.Env = append(os.Environ(), "TZ="+zone)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("testdata/reference.py: %v", err)
	}
	lines := 0
	for text := bufio.NewScanner(bytes.NewReader(out)); text.Scan(); lines++ {
		var line Line
		if err := json.Unmarshal(text.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		check(line)
	}
	if lines != n {
		t.Fatalf("%d lines, want %d", lines, n)
	}
}

// Each cell means what it means to Python, to the last bit.
func TestCellsAsInPython(t *testing.T) {
	type line struct {
		Text           string
		Seconds, Watts *string
	}
	for _, name := range []string{"UTC", "America/Los_Angeles", "Asia/Kolkata", "Europe/Berlin"} {
		t.Run(name, func(t *testing.T) {
			zone, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			stamps := 0
			reference(t, name, "cells", 20_000, func(l line) {
				seconds, ok := recording.ReadStamp(l.Text, zone, false)
				compare(t, fmt.Sprintf("%q as a time", l.Text), seconds, ok, l.Seconds)
				watts, ok := recording.ReadPower(l.Text, false)
				compare(t, fmt.Sprintf("%q as power", l.Text), watts, ok, l.Watts)
				if l.Seconds != nil {
					stamps++
				}
			})
			if stamps < 3000 {
				t.Errorf("only %d of the cells are times", stamps)
			}
		})
	}
}

func compare(t *testing.T, what string, got float64, ok bool, want *string) {
	t.Helper()
	switch {
	case want == nil && ok:
		t.Errorf("%s: got %v, want none", what, got)
	case want != nil && !ok:
		t.Errorf("%s: got none, want %s", what, *want)
	case want != nil:
		if x, err := strconv.ParseFloat(*want, 64); err != nil || x != got {
			t.Errorf("%s: got %.9f, want %.9f", what, got, x)
		}
	}
}

// Each file has the rows that Python's csv module finds, however the reads cut it.
func TestRowsAsInPython(t *testing.T) {
	type line struct {
		Text string
		Rows [][]string
	}
	reference(t, "UTC", "rows", 20_000, func(l line) {
		if l.Rows == nil {
			l.Rows = [][]string{}
		}
		got, lines, err := recording.SplitRows(strings.NewReader(l.Text))
		if err != nil || !slices.EqualFunc(got, l.Rows, slices.Equal[[]string]) {
			t.Errorf("%q: got %q, %v, want %q", l.Text, got, err, l.Rows)
		}
		bytewise, again, err := recording.SplitRows(iotest.OneByteReader(strings.NewReader(l.Text)))
		if err != nil || !slices.EqualFunc(bytewise, got, slices.Equal[[]string]) || !slices.Equal(again, lines) {
			t.Errorf("%q byte by byte: got %q on %v, %v, want %q on %v", l.Text, bytewise, again, err, got, lines)
		}
	})
}
