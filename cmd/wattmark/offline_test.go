package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// offline is one folder with a measurement: the files, and the arguments of aggregate --csv.
type offline struct {
	csv       string // "": there is none
	benchmark map[string]any
	raw       string // the benchmark's result as text, instead
	aggregate string // "": {"hw": "h200"}
	expected  string // "": 2
	files     map[string]string
	args      []string
}

// outcome is what aggregate --csv left.
type outcome struct {
	code       int
	aggregate  string
	validation map[string]any
	errs       string
	files      []string
}

// metered is a benchmark from 1000 to 1004 s: 10 queries, 100 input tokens and 50 output tokens.
func metered(changes map[string]any) map[string]any {
	b := map[string]any{
		"benchmark_start_time_unix": 1000.0, "benchmark_end_time_unix": 1004.0, "duration": 4.0,
		"completed": 10, "total_input_tokens": 100, "total_output_tokens": 50,
	}
	for key, value := range changes {
		if b[key] = value; value == nil {
			delete(b, key)
		}
	}
	return b
}

// measure runs the command in a new folder.
func (o offline) measure(t *testing.T) outcome {
	t.Helper()
	dir := t.TempDir()
	text := o.raw
	if text == "" {
		data, err := json.Marshal(o.benchmark)
		if err != nil {
			t.Fatal(err)
		}
		text = string(data)
	}
	if o.aggregate == "" {
		o.aggregate = "{\n  \"hw\": \"h200\"\n}"
	}
	if o.expected == "" {
		o.expected = "2"
	}
	write(t, dir, "r.json", text)
	if o.aggregate != "-" {
		write(t, dir, "agg_r.json", o.aggregate)
	}
	if o.csv != "" {
		write(t, dir, "gpu_metrics.csv", o.csv)
	}
	for name, content := range o.files {
		write(t, dir, name, content)
	}
	t.Chdir(dir)
	args := append([]string{
		"aggregate", "--csv", "gpu_metrics.csv", "--bench-result", "r.json", "--agg-result", "agg_r.json",
		"--expected-num-gpus", o.expected,
	}, o.args...)
	var out, errs bytes.Buffer
	got := outcome{code: run(t.Context(), args, &out, &errs), errs: errs.String()}
	if data, err := os.ReadFile("agg_r.json"); err == nil {
		got.aggregate = string(data)
	}
	if data, err := os.ReadFile("power_validation_r.json"); err == nil {
		if err := json.Unmarshal(data, &got.validation); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		got.files = append(got.files, entry.Name())
	}
	return got
}

// reasons returns those of the validation file.
func (o outcome) reasons() string {
	var all []string
	list, _ := o.validation["reasons"].([]any)
	for _, reason := range list {
		all = append(all, fmt.Sprint(reason))
	}
	return strings.Join(all, " ")
}

// numbers returns those of the aggregate, hw left out.
func (o outcome) numbers(t *testing.T) map[string]float64 {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(o.aggregate), &all); err != nil {
		t.Fatalf("aggregate %q: %v", o.aggregate, err)
	}
	found := map[string]float64{}
	for key, value := range all {
		if x, ok := value.(float64); ok {
			found[key] = x
		}
	}
	return found
}

func wantNumbers(t *testing.T, got, want map[string]float64) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if x, ok := got[key]; !ok || x != want[key] {
			t.Errorf("%s = %v, want %v", key, x, want[key])
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// recorded is the CSV of GPUs whose power goes through these points, {seconds, watts}.
func recorded(gpus ...[][2]float64) string {
	var b strings.Builder
	b.WriteString("timestamp, index, power.draw [W]\n")
	for id, points := range gpus {
		for _, p := range points {
			fmt.Fprintf(&b, "%v, %d, %v W\n", p[0], id, p[1])
		}
	}
	return b.String()
}

// steady is a GPU that draws the same from one time to another, read once a second.
func steady(watts float64, from, to int) [][2]float64 {
	var points [][2]float64
	for at := from; at <= to; at++ {
		points = append(points, [2]float64{float64(at), watts})
	}
	return points
}

// must returns what cannot fail.
func must(text []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return text
}

func jsonOf(v any) ([]byte, error) { return json.Marshal(v) }
