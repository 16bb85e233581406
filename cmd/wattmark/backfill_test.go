package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A day of artefacts in one command; the second time nothing is left to do, not even a time of change.
func TestBackfill(t *testing.T) {
	dir := t.TempDir()
	two := recorded(steady(400, 998, 1006), steady(600, 998, 1006))
	result := string(must(jsonOf(metered(nil))))
	const agg = "{\n  \"hw\": \"h200\",\n  \"tp\": 2\n}"
	for _, folder := range []string{"a", "b/c", "d"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const tp2, tp4 = "h200_fp8_sglang_tp2_pp1_dcp1_pcp1_ep1_dpa_false_conc64", "h200_fp8_sglang_tp2_pp2_dcp1_pcp1_ep1_dpa_false_conc64"
	for name, text := range map[string]string{
		"a/" + tp2 + ".json": result, "a/agg_" + tp2 + ".json": agg, "a/gpu_metrics.csv": two,
		"b/c/" + tp4 + ".json": result, "b/c/agg_" + tp4 + ".json": agg, "b/c/gpu_metrics_" + tp4 + ".csv": two,
		"b/c/plain.json": result, "b/c/agg_plain.json": agg, "b/c/plain.csv": two, // no count in the name
		"b/c/earlier.json": result, "b/c/agg_earlier.json": agg, "b/c/earlier.csv": two,
		"b/c/power_validation_earlier.json": `{"schema_version": 1, "power_valid": false, "expected_gpu_count": 2}`,
		"b/c/live_tp2.json":                 result, "b/c/agg_live_tp2.json": agg, "b/c/live_tp2.csv": two,
		"b/c/power_validation_live_tp2.json": `{"schema_version": 1, "power_valid": true, "observed_gpu_ids": ["0"], ` +
			`"integration_method": "hardware_energy_counter_with_edge_correction"}`,
		"d/lone_tp2.json": result, "d/agg_lone_tp2.json": agg, // no CSV
		"d/agg_other.json": agg, // no result
		"d/notes.txt":      "agg_",
	} {
		write(t, dir, name, text)
	}
	if err := os.Symlink("agg_lone_tp2.json", filepath.Join(dir, "d", "agg_link.json")); err != nil {
		t.Fatal(err)
	}
	out, errs, code := wattmark(t, dir, nil, "aggregate", "--backfill", ".", "--json")
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, errs)
	}
	type report struct {
		Changed, Unchanged, Skipped, Failed int
		Results                             []filled
	}
	var got report
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got.Changed != 3 || got.Unchanged != 0 || got.Skipped != 3 || got.Failed != 0 {
		t.Errorf("report = %s", out)
	}
	lines := []string{
		"[1/6] a/agg_" + tp2 + ".json: changed, valid, 4000.0 J",
		"[2/6] b/c/agg_earlier.json: changed, valid, 4000.0 J",
		"[3/6] b/c/agg_" + tp4 + ".json: changed, not valid: expected_gpu_count_mismatch: another number of GPUs gave readings",
		"[4/6] b/c/agg_live_tp2.json: skipped: it was measured live, by hardware_energy_counter_with_edge_correction",
		"[5/6] b/c/agg_plain.json: skipped: how many GPUs there should be is not known: --expected-num-gpus says it",
		"[6/6] d/agg_lone_tp2.json: skipped: there is no CSV beside it",
	}
	if want := strings.Join(lines, "\n") + "\n"; errs != want {
		t.Errorf("progress:\n%swant:\n%s", errs, want)
	}
	if text := read(t, dir, "a/agg_"+tp2+".json"); !strings.Contains(text, `"total_gpu_energy_j": 4000.0,`) || !strings.Contains(text, `"tp": 2,`) {
		t.Errorf("aggregate = %s", text)
	}
	if text := read(t, dir, "b/c/agg_"+tp4+".json"); !strings.HasSuffix(text, "\"power_valid\": 0\n}") {
		t.Errorf("aggregate = %s", text)
	}
	if first := got.Results[0]; !slices.Equal(first.Changed, []string{"agg_" + tp2 + ".json", "power_validation_" + tp2 + ".json"}) || first.Expected != 2 {
		t.Errorf("result 1 = %+v", first)
	}

	before := snapshotOf(t, dir)
	time.Sleep(20 * time.Millisecond) // so that a write would show
	out, errs, code = wattmark(t, dir, nil, "aggregate", "--backfill", dir)
	if code != 0 || out != "0 changed, 3 unchanged, 3 skipped, 0 failed\n" {
		t.Errorf("the second time: exit code %d, %s%s", code, out, errs)
	}
	if after := snapshotOf(t, dir); after != before {
		t.Errorf("the second time something was written:\n%s\nbefore:\n%s", after, before)
	}

	// A count that is given wins; what is required fails.
	out, errs, code = wattmark(t, dir, []string{"REQUIRE_POWER=1"}, "aggregate", "--backfill", "b", "--expected-num-gpus", "2")
	if code != 0 || !strings.Contains(out, "2 changed, 1 unchanged, 1 skipped, 0 failed") {
		t.Errorf("--expected-num-gpus: exit code %d, %s%s", code, out, errs)
	}
	if _, errs, code := wattmark(t, dir, nil, "aggregate", "--backfill", ".", "--require-power"); code != 1 {
		t.Errorf("without a CSV, and required: exit code %d\n%s", code, errs)
	}
	write(t, dir, "a/agg_"+tp2+".json", "{")
	out, errs, code = wattmark(t, dir, nil, "aggregate", "--backfill", "a")
	if code != 1 || !strings.Contains(errs, "failed") || read(t, dir, "a/agg_"+tp2+".json") != "{" {
		t.Errorf("broken aggregate: exit code %d, %s%s", code, out, errs)
	}
	if _, errs, code := wattmark(t, dir, nil, "aggregate", "--backfill", "nowhere"); code != 1 || !strings.Contains(errs, "nowhere") {
		t.Errorf("no folder: exit code %d\n%s", code, errs)
	}
}

// snapshotOf lists the files below dir with content and time of change.
func snapshotOf(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		b.WriteString(path + " " + info.ModTime().String() + "\n" + read(t, "", path) + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
