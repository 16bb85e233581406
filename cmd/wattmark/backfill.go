package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"wattmark/agg"
	"wattmark/sampler"
	"wattmark/window"
)

// triple is what belongs together in one folder: agg_<R>.json, <R>.json and a CSV.
type triple struct {
	folder    string
	aggregate string // names in the folder
	benchmark string
	csv       string // "": there is none
}

// filled is what became of a triple.
type filled struct {
	Aggregate  string          `json:"aggregate"`
	CSV        string          `json:"csv"`
	Expected   int             `json:"expected_num_gpus"`
	Status     string          `json:"status"` // "changed", "unchanged", "skipped", "failed"
	Changed    []string        `json:"changed"`
	PowerValid *bool           `json:"power_valid"` // null: not measured
	Reasons    []window.Reason `json:"reasons"`
	Energy     sampler.Value   `json:"total_gpu_energy_j"`
	Detail     string          `json:"detail"` // why it was skipped or failed
}

// The states of a triple.
const (
	fillChanged   = "changed"
	fillUnchanged = "unchanged"
	fillSkipped   = "skipped"
	fillFailed    = "failed"
)

// backfill measures every triple below a folder. Progress goes to std.err, what changed to std.out.
func (c aggregateCmd) backfill(ctx context.Context, std streams) error {
	triples, err := findTriples(c.Backfill)
	if err != nil {
		return err
	}
	report := []filled{}
	for i, t := range triples {
		if err := ctx.Err(); err != nil {
			return errors.Join(err, c.report(std, report))
		}
		f := c.fill(t)
		report = append(report, f)
		_, _ = fmt.Fprintf(std.err, "[%d/%d] %s\n", i+1, len(triples), f)
	}
	if err := c.report(std, report); err != nil {
		return err
	}
	bad := func(f filled) bool {
		return f.Status == fillFailed || c.required() && (f.PowerValid == nil || !*f.PowerValid)
	}
	if slices.ContainsFunc(report, bad) {
		return exitCode(exitFailed)
	}
	return nil
}

// findTriples returns the aggregates below dir that have their benchmark's result beside them, in the order of their
// paths. Links are not followed.
func findTriples(dir string) ([]triple, error) {
	var found []triple
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		run, ok := strings.CutPrefix(entry.Name(), "agg_")
		if !ok || !entry.Type().IsRegular() || filepath.Ext(run) != ".json" {
			return nil
		}
		t := triple{folder: filepath.Dir(path), aggregate: entry.Name(), benchmark: run}
		if !regular(filepath.Join(t.folder, run)) {
			return nil
		}
		stem := strings.TrimSuffix(run, ".json")
		for _, name := range []string{"gpu_metrics_" + stem + ".csv", stem + "_gpu_metrics.csv", stem + ".csv", "gpu_metrics.csv"} {
			if regular(filepath.Join(t.folder, name)) {
				t.csv = name
				break
			}
		}
		found = append(found, t)
		return nil
	})
	return found, err
}

func regular(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}

// fill measures one triple and writes its aggregate and its validation file.
func (c aggregateCmd) fill(t triple) filled {
	f := filled{
		Aggregate: filepath.Join(t.folder, t.aggregate), CSV: t.csv, Status: fillSkipped, Changed: []string{},
		Reasons: []window.Reason{},
	}
	if t.csv == "" {
		f.Detail = "there is no CSV beside it"
		return f
	}
	validation := agg.ValidationName(filepath.Join(t.folder, t.benchmark), "", "")
	earlier := readEarlier(validation)
	if earlier.live() {
		f.Detail, f.PowerValid = "it was measured live, by "+earlier.Method, &earlier.Valid
		return f
	}
	expected, ok := c.expectedOf(t, earlier)
	if !ok {
		f.Detail = "how many GPUs there should be is not known: --expected-num-gpus says it"
		return f
	}
	f.Expected = expected

	job := c.job()
	job.csv, job.benchmark, job.folder, job.expected = t.csv, t.benchmark, t.folder, expected
	before := [][]byte{content(f.Aggregate), content(validation)}
	result, sources, _ := job.measure()
	files := agg.Files{Aggregate: f.Aggregate, Validation: validation, MustExist: true, Sources: sources, Extra: c.AggExtra}
	written, err := agg.WritePaths(result, files)
	valid := result.Valid() && written.Status == agg.StatusPatched
	f.PowerValid, f.Reasons = &valid, result.AllReasons()
	if valid {
		f.Energy = result.Energy()
	}
	f.Status = fillUnchanged
	for i, path := range []string{f.Aggregate, validation} {
		if !bytes.Equal(before[i], content(path)) {
			f.Status, f.Changed = fillChanged, append(f.Changed, filepath.Base(path))
		}
	}
	if err != nil || written.Status != agg.StatusPatched {
		f.Status, f.Detail = fillFailed, strings.TrimSpace(fmt.Sprint(written.Detail, " ", errors.Join(err)))
	}
	return f
}

// content returns a file's bytes; nil if it cannot be read.
func content(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return data
}

// earlierValidation is what a validation file of an earlier measurement says.
type earlierValidation struct {
	Method   string `json:"integration_method"`
	Valid    bool   `json:"power_valid"`
	Expected *int   `json:"expected_gpu_count"`
	GPUs     []any  `json:"observed_gpu_ids"`
}

func readEarlier(path string) earlierValidation {
	var v earlierValidation
	if json.Unmarshal(content(path), &v) != nil {
		return earlierValidation{}
	}
	return v
}

// live reports that the numbers come from a daemon that knew more than a CSV does.
func (v earlierValidation) live() bool {
	return v.Method != "" && len(v.GPUs) > 0 && !strings.HasPrefix(v.Method, "per_device_trapezoidal")
}

// expectedOf returns how many GPUs a triple should have: as the flag says; as an earlier validation says; or as the
// run's name does, TP·PP·PCP, where InferenceX's workflow has put them: …_tp8_pp1_dcp1_pcp1_….
func (c aggregateCmd) expectedOf(t triple, earlier earlierValidation) (int, bool) {
	switch {
	case c.ExpectedNumGPUs.given:
		return c.ExpectedNumGPUs.n, true
	case earlier.Expected != nil:
		return *earlier.Expected, true
	}
	product, known := 1, false
	for _, match := range regexp.MustCompile(`_(tp|pp|pcp)([0-9]{1,4})(?:_|\.json$)`).FindAllStringSubmatch(
		strings.ReplaceAll(t.aggregate, "_", "__"), -1) {
		n, err := strconv.Atoi(match[2])
		if err != nil || n == 0 {
			return 0, false
		}
		product, known = product*n, known || match[1] == "tp"
	}
	return product, known
}

// String is a line of progress.
func (f filled) String() string {
	text := f.Aggregate + ": " + f.Status
	switch {
	case f.Detail != "":
		text += ": " + f.Detail
	case f.PowerValid != nil && *f.PowerValid:
		text += fmt.Sprintf(", valid, %.1f J", f.Energy.Or(0))
	default:
		reasons := make([]string, len(f.Reasons))
		for i, reason := range f.Reasons {
			reasons[i] = explained(string(reason), reason.Words())
		}
		text += ", not valid: " + strings.Join(reasons, "; ")
	}
	return text
}

// report says what changed.
func (c aggregateCmd) report(std streams, all []filled) error {
	count := map[string]int{}
	for _, f := range all {
		count[f.Status]++
	}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(map[string]any{
			"changed": count[fillChanged], "unchanged": count[fillUnchanged], "skipped": count[fillSkipped],
			"failed": count[fillFailed], "results": all,
		})
	}
	for _, f := range all {
		if f.Status == fillChanged {
			_, _ = fmt.Fprintln(std.out, f)
		}
	}
	_, err := fmt.Fprintf(std.out, "%d changed, %d unchanged, %d skipped, %d failed\n",
		count[fillChanged], count[fillUnchanged], count[fillSkipped], count[fillFailed])
	return err
}
