package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"wattmark/internal/callfault"
)

// The daemon is killed while it writes a window's files, WATTMARK_KILLS times (make endurance: 200): each file is as it
// was, or whole and new, and the next daemon finishes the job. The steps of writing one by one, and 200 kills of what
// writes, are in package agg.
func TestKilledDaemonLeavesWholeFiles(t *testing.T) {
	kills := 6
	if n, err := strconv.Atoi(os.Getenv("WATTMARK_KILLS")); err == nil {
		kills = n
	}
	dir := t.TempDir()
	write(t, dir, "r.json", smallResult)
	old, renewed, torn := 0, 0, 0
	var measured time.Duration
	for i := range kills {
		write(t, dir, "agg_r.json", smallAggregate)
		for _, name := range []string{"power_window_r.json", "power_validation_r.json"} {
			_ = os.Remove(filepath.Join(dir, name)) // of the round before
		}
		d := overSocket(t, callfault.Fault{}, dir, "--interval", "10ms")
		time.Sleep(100 * time.Millisecond)
		fields := func() []string {
			now := float64(time.Now().UnixMicro()) / 1e6
			return []string{"run", "r", "start_unix", fmt.Sprintf("%.6f", now-0.08), "end_unix", fmt.Sprintf("%.6f", now), "benchmark_result", "r.json", "agg_result", "agg_r.json"}
		}
		if i == 0 { // how long it takes when nobody kills it
			begin := time.Now()
			d.measured(fields())
			measured = time.Since(begin)
			write(t, dir, "agg_r.json", smallAggregate)
		}
		go func() {
			response, err := d.client.PostForm(d.base+"/v1/measure", form(fields()...))
			if err == nil {
				_ = response.Body.Close()
			}
		}()
		time.Sleep(time.Duration(rand.Int64N(int64(measured) + 1)))
		if err := d.command.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := <-d.exited; err == nil {
			t.Fatal("the daemon ended by itself")
		}
		switch text := read(t, dir, "agg_r.json"); {
		case text == smallAggregate:
			old++
		case json.Valid([]byte(text)) && strings.Contains(text, `"power_valid": 1`) && strings.Contains(text, `"big": 12345678901234567890`):
			renewed++
		default:
			torn++
			t.Errorf("round %d: the aggregate is torn: %q", i, text)
		}
		for _, name := range []string{"power_window_r.json", "power_validation_r.json"} {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err == nil && !json.Valid(text) {
				t.Errorf("round %d: %s is torn: %.100q", i, name, text)
			}
		}
	}
	t.Logf("%d kills within %v of a measurement: %d times the old aggregate, %d times the new one, %d torn", kills, measured, old, renewed, torn)
	if kills >= 50 && (old == 0 || renewed == 0) {
		t.Error("the kills did not fall on the writing")
	}
	d := overSocket(t, callfault.Fault{}, dir)
	d.begin("r")
	a := d.end("r", "")
	if a.status != "patched" {
		t.Errorf("the next daemon: %s %q", a.status, a.detail)
	}
	patched(t, dir, a)
}

// measured is a measurement that has to succeed.
func (d *served) measured(fields []string) {
	d.t.Helper()
	response, err := d.client.PostForm(d.base+"/v1/measure", form(fields...))
	if err != nil {
		d.t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != 200 {
		d.t.Fatalf("measure: %d", response.StatusCode)
	}
}
