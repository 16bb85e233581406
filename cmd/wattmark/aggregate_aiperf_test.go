package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// aiperfRun is what AIPerf and the monitor left of a run from 1000 to 1003 s: two requests of 300 input tokens and 150
// output tokens together, one that failed, one of the warm-up.
type aiperfRun struct {
	profile, records, offset, csv string // "": as it should be; "-": there is none
}

const aiperfRecords = `{"metadata": {"benchmark_phase": "warmup"}, "metrics": {"input_sequence_length": {"value": 7, "unit": "tokens"}, "output_sequence_length": {"value": 7}}}
{"metadata": {"benchmark_phase": "profiling"}, "metrics": {"input_sequence_length": {"value": 100, "unit": "tokens"}, "output_sequence_length": {"value": 90}}, "error": null}

{"metadata": {"benchmark_phase": "profiling"}, "metrics": {"input_sequence_length": {"value": 5}}, "error": {"code": 500, "message": "no"}}
{"metadata": {"benchmark_phase": "profiling"}, "metrics": {"input_sequence_length": 200, "output_sequence_length": 60}}
`

// aggregate runs the command and returns what it left, and the window file as text.
func (a aiperfRun) aggregate(t *testing.T, env []string, args ...string) (got outcome, window string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string][2]string{
		"profile_export_aiperf.json":        {a.profile, `{"start_time": 1000.0, "end_time": 1003.0, "total_isl": {"avg": 7}}`},
		"profile_export.jsonl":              {a.records, aiperfRecords},
		"agentic_power_timezone_offset.txt": {a.offset, "-"},
		"gpu_metrics.csv":                   {a.csv, recorded(steady(400, 999, 1004), steady(600, 999, 1004))},
		"exp.json":                          {"", "{\n  \"hw\": \"h200\"\n}"},
	} {
		content := text[0]
		if content == "" {
			content = text[1]
		}
		if content != "-" {
			write(t, dir, name, content)
		}
	}
	_, got.errs, got.code = wattmark(t, dir, env, append([]string{
		"aggregate", "--csv=gpu_metrics.csv", "--aiperf=.", "--agg-result=exp.json", "--expected-num-gpus=2",
	}, args...)...)
	got.aggregate = read(t, dir, "exp.json")
	got.validation = decode(t, []byte(read(t, dir, "power_validation.json")))
	if text, err := os.ReadFile(filepath.Join(dir, "agentic_power_window.json")); err == nil {
		window = string(text)
	}
	return got, window
}

// InferenceX's AgentX: the cases of its adapter's tests (facts/inferencex.md, section 3, test_power_adapter.py).
func TestAggregateAIPerf(t *testing.T) {
	got, text := aiperfRun{}.aggregate(t, nil, "--require-power")
	wantNumbers(t, got.numbers(t), map[string]float64{
		"power_metric_schema_version": 2, "power_valid": 1, "avg_power_w": 500, "avg_total_gpu_power_w": 1000,
		"total_gpu_energy_j": 3000, "joules_per_successful_query": 1500, "joules_per_input_token": 10,
		"joules_per_output_token": 20, "joules_per_total_token": 6.666667,
	})
	if got.code != 0 || got.validation["power_valid"] != true || got.validation["window_source"] != nil {
		t.Errorf("exit %d, validation %v\n%s", got.code, got.validation, got.errs)
	}
	window := decode(t, []byte(text))
	if want := (answerJSON{
		"benchmark_start_time_unix": 1000.0, "benchmark_end_time_unix": 1003.0, "duration": 3.0,
		"completed": 2.0, "total_input_tokens": 300.0, "total_output_tokens": 150.0,
	}); !reflect.DeepEqual(window, want) {
		t.Errorf("agentic_power_window.json = %v, want %v", window, want)
	}
}

// AIPerf writes the times of its host's zone without naming it; the shell that started it leaves the offset.
func TestAggregateAIPerfTimes(t *testing.T) {
	naive := func(at int64, zone string) string {
		offset, err := time.Parse("-0700", zone)
		if err != nil {
			t.Fatal(err)
		}
		return time.Unix(at, 0).In(offset.Location()).Format("2006-01-02T15:04:05.000000")
	}
	for _, tt := range []struct{ name, start, end, offset, want string }{
		{"naive, west", naive(1000, "-0700"), naive(1003, "-0700"), "-0700\n", ""},
		{"naive, east, with a colon", naive(1000, "+0530"), naive(1003, "+0530"), "+05:30", ""},
		{"aware", "1970-01-01T00:16:40+00:00", "1970-01-01T01:16:43+01:00", "-", ""},
		{"aware, UTC, with a space", "1970-01-01 00:16:40Z", "1970-01-01 00:16:43Z", "-", ""},
		{"no offset", naive(1000, "-0700"), naive(1003, "-0700"), "-", "profile_timezone_offset_missing"},
		{"empty offset", naive(1000, "-0700"), naive(1003, "-0700"), "\n", "profile_timezone_offset_invalid"},
		{"name of a zone", naive(1000, "-0700"), naive(1003, "-0700"), "PDT", "profile_timezone_offset_invalid"},
		{"no such offset", naive(1000, "-0700"), naive(1003, "-0700"), "+2460", "profile_timezone_offset_invalid"},
		{"no time", "yesterday", "today", "+0000", "profile_window_invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := aiperfRun{profile: fmt.Sprintf(`{"start_time": %q, "end_time": %q}`, tt.start, tt.end), offset: tt.offset}
			got, _ := a.aggregate(t, []string{"TZ=Asia/Tokyo"}) // the host that aggregates is elsewhere
			if got.reasons() != tt.want || (tt.want == "") != strings.Contains(got.aggregate, `"total_gpu_energy_j": 3000.0`) {
				t.Errorf("reasons %s, want %s; %s", got.reasons(), tt.want, got.aggregate)
			}
		})
	}
}

func TestAggregateAIPerfReasons(t *testing.T) {
	record := func(metrics string) string {
		return `{"metadata": {"benchmark_phase": "profiling"}, "metrics": {` + metrics + "}}\n"
	}
	const complete = `"input_sequence_length": {"value": 5}, "output_sequence_length": {"value": 5}`
	for _, tt := range []struct {
		name string
		run  aiperfRun
		want string
	}{
		{"no profile", aiperfRun{profile: "-"}, "profile_artifacts_missing"},
		{"no records", aiperfRun{records: "-"}, "profile_artifacts_missing"},
		{"profile torn", aiperfRun{profile: `{"start_time": 1000.0, "end`}, "profile_artifacts_invalid"},
		{"profile a list", aiperfRun{profile: `[1]`}, "profile_artifacts_invalid"},
		{"records torn", aiperfRun{records: aiperfRecords + `{"metadata": {"bench`}, "profile_artifacts_invalid"},
		{"no start", aiperfRun{profile: `{"end_time": 1003.0}`}, "profile_window_missing"},
		{"no end", aiperfRun{profile: `{"start_time": 1000.0, "end_time": null}`}, "profile_window_missing"},
		{"backwards", aiperfRun{profile: `{"start_time": 1003.0, "end_time": 1000.0}`}, "profile_window_invalid"},
		{"no time at all", aiperfRun{profile: `{"start_time": 1000.0, "end_time": 1000.0}`}, "profile_window_invalid"},
		{"a truth", aiperfRun{profile: `{"start_time": true, "end_time": 1003.0}`}, "profile_window_invalid"},
		{"warm-up only", aiperfRun{records: strings.SplitAfter(aiperfRecords, "\n")[0]}, "successful_request_count_invalid"},
		{"nothing", aiperfRun{records: "\n"}, "successful_request_count_invalid"},
		{"no output tokens", aiperfRun{records: record(complete) + record(`"input_sequence_length": {"value": 5}`)}, "incomplete_token_accounting"},
		{"a negative count", aiperfRun{records: record(`"input_sequence_length": {"value": -5}, "output_sequence_length": {"value": 5}`)}, "incomplete_token_accounting"},
		{"half a token", aiperfRun{records: record(`"input_sequence_length": {"value": 0.5}, "output_sequence_length": {"value": 5}`)}, "incomplete_token_accounting"},
		{"a text", aiperfRun{records: record(`"input_sequence_length": "5", "output_sequence_length": {"value": 5}`)}, "incomplete_token_accounting"},
		{"no tokens out of any", aiperfRun{records: record(`"input_sequence_length": {"value": 5}, "output_sequence_length": {"value": 0}`)}, "incomplete_token_accounting"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, required := range []string{"0", "1"} {
				got, window := tt.run.aggregate(t, []string{"REQUIRE_POWER=" + required})
				const invalid = "{\n  \"hw\": \"h200\",\n  \"power_metric_schema_version\": 2,\n  \"power_valid\": 0\n}"
				if got.reasons() != tt.want || got.aggregate != invalid || fmt.Sprint(got.code) != required {
					t.Errorf("reasons %s, want %s; exit %d; aggregate %s\n%s", got.reasons(), tt.want, got.code, got.aggregate, got.errs)
				}
				if got.validation["window_source"] != "aiperf_profile_lifecycle" || got.validation["benchmark_window"] != nil || window != "" {
					t.Errorf("validation %v, window %s", got.validation, window)
				}
			}
		})
	}
}

// The window file cannot be written: a folder has its name.
func TestAggregateAIPerfUnwritable(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "profile_export_aiperf.json", `{"start_time": 1000.0, "end_time": 1003.0}`)
	write(t, dir, "profile_export.jsonl", aiperfRecords)
	write(t, dir, "gpu_metrics.csv", recorded(steady(400, 999, 1004)))
	write(t, dir, "exp.json", "{}")
	if err := os.MkdirAll(filepath.Join(dir, "agentic_power_window.json", "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	for required, want := range map[string]int{"no": 0, "yes": 1} {
		_, errs, code := wattmark(t, dir, []string{"REQUIRE_POWER=" + required}, "aggregate", "--csv=gpu_metrics.csv", "--aiperf=.",
			"--agg-result=exp.json", "--expected-num-gpus=1")
		if validation := read(t, dir, "power_validation.json"); code != want || !strings.Contains(validation, "power_window_unwritable") {
			t.Errorf("required %s: exit %d, want %d; %s\n%s", required, code, want, validation, errs)
		}
	}
	for _, args := range [][]string{
		{"--csv=gpu_metrics.csv", "--aiperf=.", "--expected-num-gpus=1"},
		{"--csv=gpu_metrics.csv", "--aiperf=.", "--bench-result=r.json", "--agg-result=exp.json", "--expected-num-gpus=1"},
		{"--backfill=.", "--aiperf=."},
	} {
		if _, errs, code := wattmark(t, dir, nil, append([]string{"aggregate"}, args...)...); code != 2 || !strings.Contains(errs, "--aiperf") {
			t.Errorf("%v: exit %d, %s; want 2", args, code, errs)
		}
	}
}

// The same with a window that a daemon measured: AIPerf's own span is inside the marks.
func TestAggregateAIPerfWindow(t *testing.T) {
	t.Parallel()
	d := serve(t, nil, "--backend", "sim", "--sim", "2xH200", "--allow-simulated").ready()
	d.must("/v1/mark-start", "run", "replay")
	time.Sleep(300 * time.Millisecond)
	start := time.Now()
	time.Sleep(1500 * time.Millisecond)
	end := time.Now()
	time.Sleep(300 * time.Millisecond)
	d.must("/v1/mark-end", "run", "replay")
	write(t, d.results, "profile_export_aiperf.json", fmt.Sprintf(`{"start_time": %q, "end_time": %q}`,
		start.UTC().Format("2006-01-02T15:04:05.000000"), end.UTC().Format("2006-01-02T15:04:05.000000")))
	write(t, d.results, "agentic_power_timezone_offset.txt", "+0000\n")
	write(t, d.results, "profile_export.jsonl", aiperfRecords)
	write(t, d.results, "exp.json", "{}")
	out, errs, code := wattmark(t, d.results, nil, "aggregate", "--window=power_window_replay.json", "--aiperf=.", "--agg-result=exp.json",
		"--expected-num-gpus=2", "--require-power", "--allow-simulated", "--json")
	if code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	r := decode(t, []byte(out))
	if got := r.number(t, "duration_s"); got < 1.49 || got > 1.7 || r.number(t, "joules_per_successful_query") <= 0 {
		t.Errorf("duration %v s, want AIPerf's own 1.5 s; %s", got, read(t, d.results, "exp.json"))
	}
}
