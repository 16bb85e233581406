package agg_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"wattmark/agg"
	"wattmark/sampler"
	"wattmark/window"
)

const (
	aggregate = "{\n  \"hw\": \"h200\",\n  \"tp\": 8\n}"
	patched   = "{\n  \"hw\": \"h200\",\n  \"tp\": 8,\n  \"power_metric_schema_version\": 2,\n  \"power_valid\": 1,\n" +
		"  \"avg_power_w\": 500.0,\n  \"avg_total_gpu_power_w\": 1000.0,\n  \"total_gpu_energy_j\": 3000.0,\n" +
		"  \"joules_per_successful_query\": 1500.0,\n  \"joules_per_input_token\": 10.0,\n" +
		"  \"joules_per_output_token\": 20.0,\n  \"joules_per_total_token\": 6.666667\n}"
	refused = "{\n  \"hw\": \"h200\",\n  \"tp\": 8,\n  \"power_metric_schema_version\": 2,\n  \"power_valid\": 0\n}"
)

func both() agg.Files {
	return agg.Files{Aggregate: "agg_R.json", Validation: "power_validation_R.json", Sources: sources()}
}

func TestWrite(t *testing.T) {
	simulated := measured()
	simulated.Reasons = []window.Reason{window.SimulatedPower}
	stampless := measured()
	stampless.Reasons = agg.InlineBenchmark([]byte(`{` + counts + `}`)).RequireWindow().Reasons
	for name, test := range map[string]struct {
		result window.Result
		want   string
		valid  bool
	}{
		"valid":                                {measured(), patched, true},
		"gap":                                  {invalid(), refused, false},
		"simulated":                            {simulated, refused, false},
		"no stamps where they are required":    {stampless, refused, false},
		"no output tokens, and so no energy/x": {window.Result{Reasons: []window.Reason{window.InvalidOutputTokenCount}}, refused, false},
	} {
		dir, root := results(t, map[string]string{"agg_R.json": aggregate})
		got, err := agg.Write(root, test.result, both())
		if want := (window.Aggregate{Path: "agg_R.json", Status: agg.StatusPatched, Outcome: "ok"}); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
		if text := holds(t, dir, "agg_R.json"); text != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, text, test.want)
		}
		validation, _ := validated(t, test.result, sources())
		if text := holds(t, dir, "power_validation_R.json"); text != string(validation) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, text, validation)
		}
		if got := files(t, dir); !slices.Equal(got, []string{"agg_R.json", "power_validation_R.json"}) {
			t.Errorf("%s: the folder holds %v", name, got)
		}
	}
}

// A second Write touches nothing; one with another result replaces both files.
func TestWriteAgain(t *testing.T) {
	dir, root := results(t, map[string]string{"agg_R.json": aggregate})
	look := func() map[string]fs.FileInfo {
		infos := map[string]fs.FileInfo{}
		for _, name := range files(t, dir) {
			info, err := os.Stat(filepath.Join(dir, name))
			must(t, err)
			infos[name] = info
		}
		return infos
	}
	write := func(r window.Result) {
		if got, err := agg.Write(root, r, both()); got.Status != agg.StatusPatched || err != nil {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	write(measured())
	old := time.Unix(1e9, 0)
	for name := range look() {
		must(t, os.Chtimes(filepath.Join(dir, name), old, old))
	}
	before := look()
	write(measured())
	for name, info := range look() {
		if !os.SameFile(info, before[name]) || !info.ModTime().Equal(old) {
			t.Errorf("%s was written again", name)
		}
	}
	write(invalid())
	if got := holds(t, dir, "agg_R.json"); got != refused {
		t.Errorf("got\n%s\nwant\n%s", got, refused)
	}
}

func TestWriteWithoutAnAggregate(t *testing.T) {
	dir, root := results(t, nil)
	got, err := agg.Write(root, measured(), agg.Files{})
	if got != (window.Aggregate{Status: agg.StatusNone}) || err != nil || len(files(t, dir)) > 0 {
		t.Errorf("nothing named: %v, %v, %v", got, err, files(t, dir))
	}

	got, err = agg.Write(root, measured(), both())
	if got.Status != agg.StatusPending || got.Outcome != "missing" || got.Path != "agg_R.json" || got.Detail == "" || err != nil {
		t.Errorf("not there yet: %v, %v", got, err)
	}
	if text := holds(t, dir, "power_validation_R.json"); !strings.Contains(text, `"power_valid": true`) {
		t.Errorf("not there yet, and so invalid:\n%s", text)
	}

	f := both()
	f.MustExist = true
	got, err = agg.Write(root, measured(), f)
	if got.Status != agg.StatusFailed || !strings.Contains(got.Detail, "no such file") || err != nil {
		t.Errorf("not there at all: %v, %v", got, err)
	}
	text := holds(t, dir, "power_validation_R.json")
	if !strings.Contains(text, `"power_valid": false`) || !strings.Contains(text, "\"reasons\": [\n    \"aggregate_result_missing\"\n  ]") {
		t.Errorf("not there at all:\n%s", text)
	}
	if slices.Contains(files(t, dir), "agg_R.json") {
		t.Error("the aggregate was created")
	}
}

func TestWriteLeavesABadAggregateAlone(t *testing.T) {
	for name, text := range map[string]string{
		"truncated":     aggregate[:20],
		"empty":         "",
		"list":          "[" + aggregate + "]",
		"garbage":       aggregate + "x",
		"verdict twice": `{"power_valid":1,"power_valid":1}`,
		"large":         aggregate + strings.Repeat(" ", agg.MaxAggregate),
	} {
		dir, root := results(t, map[string]string{"agg_R.json": text})
		r := invalid()
		got, err := agg.Write(root, r, both())
		if got.Status != agg.StatusFailed || got.Outcome != map[bool]string{true: "unsafe", false: "io"}[name == "large"] || !strings.Contains(got.Detail, "agg_R.json") || err != nil {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
		if holds(t, dir, "agg_R.json") != text {
			t.Errorf("%s: the file changed", name)
		}
		validation := holds(t, dir, "power_validation_R.json")
		if !strings.Contains(validation, "\"sampling_gap_exceeded\",\n    \"aggregate_result_unwritable\"\n") {
			t.Errorf("%s: %s", name, validation)
		}
		if len(r.Reasons) > 0 {
			t.Errorf("%s: the caller's result changed: %v", name, r.Reasons)
		}
	}
}

func TestWriteRefusesWhatIsNotAPlainFile(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside.json")
	must(t, os.WriteFile(outside, []byte(aggregate), 0o644))
	dir, root := results(t, map[string]string{"real.json": aggregate, "power_window_r1.json": aggregate})
	must(t,
		os.Mkdir(filepath.Join(dir, "folder"), 0o755),
		os.Symlink(filepath.Dir(outside), filepath.Join(dir, "way-out")),
		os.Symlink("real.json", filepath.Join(dir, "link.json")),
		os.Symlink(outside, filepath.Join(dir, "out.json")),
		os.Link(outside, filepath.Join(dir, "hard.json")),
		syscall.Mkfifo(filepath.Join(dir, "fifo.json"), 0o644),
	)
	for _, name := range []string{
		"folder", "link.json", "out.json", "hard.json", "fifo.json", "way-out/outside.json", "../x.json", "/etc/passwd",
		"power_window_r1.json", strings.Repeat("x", 256),
	} {
		f := agg.Files{Aggregate: name}
		if got, err := agg.Write(root, measured(), f); got.Status != agg.StatusFailed || got.Detail == "" || err != nil {
			t.Errorf("%.20s: got %v, %v, want it refused", name, got, err)
		}
	}
	for _, file := range []string{outside, filepath.Join(dir, "real.json"), filepath.Join(dir, "power_window_r1.json")} {
		if text, err := os.ReadFile(file); err != nil || string(text) != aggregate {
			t.Errorf("%s holds %q, %v", file, text, err)
		}
	}
}

func TestWriteNeedsBenchmarkData(t *testing.T) {
	dir, root := results(t, map[string]string{"agg_R.json": aggregate})
	r := measured()
	r.Work = nil
	got, err := agg.Write(root, r, both())
	if got.Status != agg.StatusFailed || !strings.Contains(got.Detail, "benchmark data") || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if text := holds(t, dir, "agg_R.json"); text != aggregate {
		t.Errorf("the file changed:\n%s", text)
	}
}

func TestValidationReplacesOnlyItsLike(t *testing.T) {
	window, err := window.Result{}.MarshalJSON()
	must(t, err)
	for name, old := range map[string]string{
		"result": result, "aggregate": patched, "text": "hello", "nothing": "", "list": "[]", "window file": string(window),
		"two": `{"schema_version":1,"power_valid":true}{}`,
	} {
		dir, root := results(t, map[string]string{"agg_R.json": aggregate, "power_validation_R.json": old})
		got, err := agg.Write(root, measured(), both())
		if got.Status != agg.StatusPatched || !errors.Is(err, agg.ErrNotValidation) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, agg.ErrNotValidation)
		}
		if holds(t, dir, "power_validation_R.json") != old {
			t.Errorf("%s was replaced", name)
		}
		if err := agg.CheckValidation(root, "power_validation_R.json"); !errors.Is(err, agg.ErrNotValidation) {
			t.Errorf("CheckValidation, %s: %v", name, err)
		}
	}
	dir, root := results(t, map[string]string{"v.json": `{"schema_version": 1, "power_valid": false, "reasons": [NaN]}`})
	must(t, agg.CheckValidation(root, "v.json"), agg.CheckValidation(root, "new.json"))
	_, err = agg.Write(root, measured(), agg.Files{Validation: "v.json"})
	must(t, err)
	if text := holds(t, dir, "v.json"); !strings.Contains(text, `"run": "r1"`) {
		t.Errorf("an old validation file was not replaced:\n%s", text)
	}
	if _, err := agg.Write(root, measured(), agg.Files{Validation: "agg_R.json"}); !errors.Is(err, agg.ErrValidationName) {
		t.Errorf("got %v, want %v", err, agg.ErrValidationName)
	}
}

// The file of a fleet has megabytes: it is replaced as one of eight GPUs is.
func TestValidationOfAFleetIsWrittenAgain(t *testing.T) {
	dir, root := results(t, map[string]string{"agg_R.json": aggregate})
	r := measured()
	for i := range 8000 {
		gpu := r.GPUs[0]
		gpu.UUID, gpu.Host = fmt.Sprintf("GPU-%036d", i), fmt.Sprintf("node%04d", i/8)
		r.GPUs = append(r.GPUs, gpu)
	}
	for range 2 {
		_, err := agg.Write(root, r, both())
		must(t, err)
		r.GPUs = r.GPUs[:len(r.GPUs)-1] // half a node is gone, and what was written is the larger one
	}
	if text := holds(t, dir, "power_validation_R.json"); len(text) < 2<<20 || !strings.Contains(text, fmt.Sprintf(`/GPU-%036d"`, 7998)) || strings.Contains(text, fmt.Sprintf(`/GPU-%036d"`, 7999)) {
		t.Errorf("%d bytes, not those of the second time", len(text))
	}
}

func TestWritePaths(t *testing.T) {
	dir, _ := results(t, map[string]string{"agg_R.json": aggregate})
	t.Chdir(dir)
	f := agg.Files{Aggregate: "agg_R.json", Validation: filepath.Join(dir, "new", "folder", "v.json")}
	if got, err := agg.WritePaths(measured(), f); got != (window.Aggregate{Path: "agg_R.json", Status: agg.StatusPatched, Outcome: "ok"}) || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if got := holds(t, dir, "agg_R.json"); got != patched {
		t.Errorf("got\n%s\nwant\n%s", got, patched)
	}
	holds(t, dir, "new/folder/v.json")

	must(t, os.Symlink("agg_R.json", "link.json"))
	if got, _ := agg.WritePaths(measured(), agg.Files{Aggregate: "link.json"}); got.Status != agg.StatusFailed || got.Outcome != "unsafe" {
		t.Errorf("a link: %v", got)
	}
	if got, _ := agg.WritePaths(measured(), agg.Files{Aggregate: "none/agg.json"}); got.Status != agg.StatusPending {
		t.Errorf("no folder yet: %v", got)
	}
	if _, err := agg.WritePaths(measured(), agg.Files{Validation: "agg_R.json/v.json"}); err == nil {
		t.Error("a validation file below a file")
	}
}

// Roles' keys and those of a newer schema.
func TestWriteOverAnotherPatch(t *testing.T) {
	r := measured()
	r.GPUs[0].Role, r.GPUs[1].Role = "prefill", "decode"
	dir, root := results(t, map[string]string{"agg_R.json": aggregate})
	_, err := agg.Write(root, r, both())
	must(t, err)
	if text := holds(t, dir, "agg_R.json"); !strings.HasSuffix(text, ",\n  \"decode_joules_per_output_token\": 10.0\n}") {
		t.Errorf("got\n%s", text)
	}
	_, err = agg.Write(root, measured(), both())
	must(t, err)
	if text := holds(t, dir, "agg_R.json"); text != patched {
		t.Errorf("got\n%s\nwant\n%s", text, patched)
	}
	_, v := validated(t, r, sources())
	if got := v["per_gpu_role"].(map[string]any); !maps.Equal(got, map[string]any{"0": "prefill", "1": "decode"}) {
		t.Errorf("roles %v", got)
	}
	r.GPUs[0].Energy = sampler.Value{}
	if got, _ := agg.Write(root, r, both()); got.Status != agg.StatusFailed {
		t.Errorf("valid without an energy: %v", got)
	}
}
