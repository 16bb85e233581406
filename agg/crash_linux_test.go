package agg_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/agg"
	"wattmark/internal/callfault"
	"wattmark/sampler"
	"wattmark/window"
)

// What kills a process cannot be done to the test's own: this binary again, with a folder and how often to write.
const folderVariable, timesVariable = "AGG_CRASH_FOLDER", "AGG_CRASH_TIMES"

// crashMain is TestMain's other life.
func crashMain() {
	callfault.Main()
	if dir := os.Getenv(folderVariable); dir != "" {
		if err := writeFiles(dir, os.Getenv(timesVariable)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// The energies that the child writes in turn.
func crashEnergies() []float64 { return []float64{1000, 2000} }

// bigAggregate has a member of 200 kB, so that a write can be told from others by its size.
func bigAggregate() []byte {
	return fmt.Appendf(nil, "{\n  \"hw\": \"h200\",\n  \"filler\": %q\n}", strings.Repeat("x", 200_000))
}

// writeFiles patches the aggregate and writes the validation file, again and again with another energy.
func writeFiles(dir, times string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	for i := 0; times == "forever" || i < 1; i++ {
		aggregate, err := agg.Write(root, crashResult(crashEnergies()[i%2]), agg.Files{Aggregate: "agg_r.json", Validation: "power_validation_r.json"})
		if err := errors.Join(err, wrongStatus(aggregate)); err != nil {
			return err
		}
		if i == 0 {
			fmt.Println("started")
		}
	}
	return nil
}

func wrongStatus(a window.Aggregate) error {
	if a.Status != agg.StatusPatched {
		return fmt.Errorf("aggregate %s: %s", a.Status, a.Detail)
	}
	return nil
}

func crashResult(joules float64) window.Result {
	at := sampler.Moment{UnixNano: 1_785_585_600e9}
	one := int64(1)
	r := window.Result{Run: "r", Start: at, End: at.Add(10 * time.Second)}
	r.Work = &window.Work{Completed: &one, InputTokens: &one, OutputTokens: &one}
	r.GPUs = []window.GPU{{Host: "h", UUID: "GPU-1", Energy: sampler.Some(joules), Method: window.Counter}}
	return r
}

func crashChild(t *testing.T, dir, times string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], os.Args[0])
	cmd.Env = append(os.Environ(), folderVariable+"="+dir, timesVariable+"="+times)
	return cmd
}

// states are the bytes that each file may have: as it was, or as an undisturbed write leaves it.
func states(t *testing.T) (aggregates, validations [][]byte) {
	t.Helper()
	aggregates = [][]byte{bigAggregate()}
	for _, joules := range crashEnergies() {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "agg_r.json"), bigAggregate(), 0o644))
		root, err := os.OpenRoot(dir)
		must(t, err)
		a, err := agg.Write(root, crashResult(joules), agg.Files{Aggregate: "agg_r.json", Validation: "power_validation_r.json"})
		must(t, errors.Join(err, wrongStatus(a), root.Close()))
		for _, file := range []struct {
			name string
			list *[][]byte
		}{{"agg_r.json", &aggregates}, {"power_validation_r.json", &validations}} {
			text, err := os.ReadFile(filepath.Join(dir, file.name))
			must(t, err)
			*file.list = append(*file.list, text)
		}
	}
	if slices.ContainsFunc(aggregates[1:], func(a []byte) bool { return !json.Valid(a) || bytes.Equal(a, aggregates[0]) }) {
		t.Fatal("the child's writes change nothing")
	}
	return aggregates, validations
}

// wantOneOf checks that a file is whole: one of the states, or absent if that is allowed.
func wantOneOf(t *testing.T, file string, absent bool, states [][]byte) {
	t.Helper()
	text, err := os.ReadFile(file)
	if absent && errors.Is(err, os.ErrNotExist) {
		return
	}
	must(t, err)
	if !slices.ContainsFunc(states, func(s []byte) bool { return bytes.Equal(s, text) }) {
		t.Fatalf("%s is torn: %d bytes, %.40q … %.80q", filepath.Base(file), len(text), text, text[max(0, len(text)-80):])
	}
}

// SIGKILL 200 times, at any moment of patching and writing: each file is what it was or what it was to be.
func TestKilledWriterLeavesOldOrNew(t *testing.T) {
	dir := t.TempDir()
	aggregates, validations := states(t)
	must(t, os.WriteFile(filepath.Join(dir, "agg_r.json"), bigAggregate(), 0o644))
	seen := map[int]int{}
	for range 200 {
		cmd := crashChild(t, dir, "forever")
		out, err := cmd.StdoutPipe()
		must(t, err, cmd.Start())
		if _, err := out.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.Int64N(int64(6 * time.Millisecond))))
		must(t, cmd.Process.Kill())
		_ = cmd.Wait() // killed
		wantOneOf(t, filepath.Join(dir, "agg_r.json"), false, aggregates)
		wantOneOf(t, filepath.Join(dir, "power_validation_r.json"), true, validations)
		left, err := filepath.Glob(filepath.Join(dir, ".wattmark-*.tmp"))
		must(t, err)
		seen[len(left)]++
		for _, name := range left {
			must(t, os.Remove(name))
		}
	}
	t.Logf("killed with n temporary files there, n: times = %v", seen)
	if seen[0] == 0 || seen[1] == 0 {
		t.Errorf("killed with n temporary files there: %v; want some in the middle of a write and some between two", seen)
	}
}

// Killed at each step of replacing the aggregate, one after the other: before the last of them it is the old one.
func TestKilledAtEachStep(t *testing.T) {
	aggregates, validations := states(t)
	for step, fault := range map[string]callfault.Fault{
		"create": callfault.Create(callfault.Kill), "write": callfault.Write(100_000, callfault.Kill), "chmod": callfault.Chmod(callfault.Kill),
		"fsync": callfault.Sync(callfault.Kill), "rename": callfault.Rename(callfault.Kill),
	} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "agg_r.json"), bigAggregate(), 0o644))
		cmd := crashChild(t, dir, "once")
		cmd.Env = append(cmd.Env, fault.Environment())
		out, err := cmd.CombinedOutput()
		if err == nil || len(out) > 0 {
			t.Errorf("%s: %v %s, want it killed", step, err, out)
		}
		wantOneOf(t, filepath.Join(dir, "agg_r.json"), false, aggregates[:1])
		if left, err := filepath.Glob(filepath.Join(dir, ".wattmark-*.tmp")); err != nil || len(left) != 1 && step != "create" {
			t.Errorf("%s: temporary files %v, %v: was it killed there?", step, left, err)
		}
		// The next writer is not disturbed by what is left.
		if out, err := crashChild(t, dir, "once").CombinedOutput(); err != nil {
			t.Errorf("after %s: %v %s", step, err, out)
		}
		wantOneOf(t, filepath.Join(dir, "agg_r.json"), false, aggregates[1:2])
		wantOneOf(t, filepath.Join(dir, "power_validation_r.json"), false, validations[:1])
	}
}
