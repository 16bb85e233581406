package agg_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os/exec"
	"strconv"
	"testing"
)

// reference runs testdata/reference.py and calls check for each of its cases.
func reference[Case any](t *testing.T, kind string, n int, check func(Case)) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/reference.py", kind, strconv.Itoa(n), "7").Output()
	if err != nil {
		t.Fatalf("testdata/reference.py: %v", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	cases := 0
	for ; lines.Scan(); cases++ {
		var c Case
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		if check(c); t.Failed() {
			return
		}
	}
	if err := lines.Err(); err != nil || cases != n {
		t.Fatalf("got %d cases, %v, want %d", cases, err, n)
	}
}

// hexFloat reads Python's float.hex.
func hexFloat(t *testing.T, text string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}
