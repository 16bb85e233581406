package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// expectation is what recording/testdata/reference.py makes of a folder.
type expectation struct {
	Validation    map[string]any `json:"validation"` // metrics unrounded
	InternalError *string        `json:"internal_error"`
	Aggregate     map[string]any `json:"aggregate"` // nil: not to be patched
	Expected      int            `json:"expected"`
}

// The whole command does what the reference does, on generated files from clean to broken, wherever the host is.
func TestAggregateCSVAsReference(t *testing.T) {
	cases, seeds := 150, []string{"1", "2"}
	if n, err := strconv.Atoi(os.Getenv("WATTMARK_TEST_CASES")); err == nil {
		cases = n
	}
	for i, name := range []string{"UTC", "America/Los_Angeles"} {
		t.Run(name, func(t *testing.T) {
			dir := referenceCases(t, name, cases, seeds[i])
			zone, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			host := time.Local
			time.Local = zone
			t.Cleanup(func() { time.Local = host })

			folders, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil || len(folders) != cases {
				t.Fatalf("%d folders, %v, want %d", len(folders), err, cases)
			}
			valid, different, numbers := 0, 0, 0
			for _, folder := range folders {
				p := parity{t: t, folder: folder}
				p.run()
				valid += p.valid
				different, numbers = different+p.lastDigit, numbers+p.numbers
			}
			t.Logf("%d cases, %d valid; %d of %d rounded numbers differ in the last digit", cases, valid, different, numbers)
			if valid < cases/4 || valid > 3*cases/4 {
				t.Errorf("%d of %d cases are valid: the generator is lopsided", valid, cases)
			}
		})
	}
}

// referenceCases generates folders with the reference's expectations.
func referenceCases(t *testing.T, zone string, n int, seed string) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	script, err := filepath.Abs("../../recording/testdata/reference.py")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	command := exec.CommandContext(t.Context(), python, script, "cases", strconv.Itoa(n), seed, dir)
	command.Env = append(os.Environ(), "TZ="+zone)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("reference.py: %v\n%s", err, out)
	}
	return dir
}

type parity struct {
	t                         *testing.T
	folder                    string
	valid, numbers, lastDigit int
}

func (p *parity) errorf(format string, args ...any) {
	p.t.Helper()
	kept := "" // of a failure, where WATTMARK_TEST_KEEP says
	if keep := os.Getenv("WATTMARK_TEST_KEEP"); keep != "" {
		kept = filepath.Join(keep, filepath.Base(p.folder))
		_ = os.CopyFS(kept, os.DirFS(p.folder))
	}
	p.t.Errorf("%s %s: %s", filepath.Base(p.folder), kept, fmt.Sprintf(format, args...))
}

func (p *parity) run() {
	var want expectation
	text, err := os.ReadFile(filepath.Join(p.folder, "expected.json"))
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Chdir(p.folder)
	before, _ := os.ReadFile("agg_r.json")
	args := []string{
		"aggregate", "--csv", "gpu_metrics.csv", "--bench-result", "r.json", "--agg-result", "agg_r.json",
		"--expected-num-gpus", strconv.Itoa(want.Expected),
	}
	var out, errs bytes.Buffer
	if code := run(p.t.Context(), args, &out, &errs); code != 0 {
		p.errorf("exit code %d\n%s", code, errs.String())
	}
	if want.Validation["power_valid"] == true {
		p.valid = 1
	}
	code := run(p.t.Context(), append(args, "--require-power"), &out, &errs)
	if wantCode := 1 - p.valid; code != wantCode {
		p.errorf("exit code %d with --require-power, want %d", code, wantCode)
	}

	var got map[string]any
	if err := json.Unmarshal([]byte(read(p.t, ".", "power_validation_r.json")), &got); err != nil {
		p.t.Fatal(err)
	}
	for key, value := range want.Validation {
		p.compare(key, got[key], value)
	}
	if failure, ok := got["internal_error"].(map[string]any); ok != (want.InternalError != nil) || ok && failure["type"] != *want.InternalError {
		p.errorf("internal_error = %v", got["internal_error"])
	}
	p.aggregate(before, want)
}

// compare compares a value of the validation file: numbers to 1e-9, all else exactly.
func (p *parity) compare(path string, got, want any) {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok || len(object) != len(want) {
			p.errorf("%s = %v, want %v", path, got, want)
			return
		}
		for key, value := range want {
			p.compare(path+"."+key, object[key], value)
		}
	case []any:
		if list, ok := got.([]any); !ok || !slices.Equal(list, want) {
			p.errorf("%s = %v, want %v", path, got, want)
		}
	case float64:
		x, ok := got.(float64)
		tolerance := 1e-9 * math.Abs(want)
		if strings.HasPrefix(path, "metrics.") {
			tolerance += 0.5e-6
		}
		if !ok || math.Abs(x-want) > tolerance {
			p.errorf("%s = %v, want %v", path, got, want)
		}
	default:
		if got != want {
			p.errorf("%s = %v, want %v", path, got, want)
		}
	}
}

// aggregate compares the patched file: the same keys in the same order; metrics to the last digit but one.
func (p *parity) aggregate(before []byte, want expectation) {
	after, err := os.ReadFile("agg_r.json")
	if want.Aggregate == nil {
		if !bytes.Equal(before, after) || (err != nil) != (before == nil) {
			p.errorf("the aggregate was changed: %s", after)
		}
		return
	}
	var got map[string]any
	if err := json.Unmarshal(after, &got); err != nil || len(got) != len(want.Aggregate) {
		p.errorf("aggregate = %s, want %v", after, want.Aggregate)
	}
	for key, value := range want.Aggregate {
		x, isNumber := value.(float64)
		y, ok := got[key].(float64)
		switch {
		case got[key] == value:
			p.numbers++
		case isNumber && ok && math.Abs(x-y) <= lastDigit(key)*1.001+1e-9*math.Abs(x):
			p.numbers++
			p.lastDigit++
		default:
			p.errorf("aggregate: %s = %v, want %v", key, got[key], value)
		}
	}
}

func lastDigit(key string) float64 {
	if strings.HasSuffix(key, "_w") || strings.HasSuffix(key, "_j") {
		return 1e-3
	}
	return 1e-6
}
