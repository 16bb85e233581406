package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// host is a daemon that says it is on a host of this name, with two simulated GPUs.
func host(t *testing.T, name string) *served {
	t.Helper()
	return serve(t, nil, "--backend", "sim", "--sim", "2xH200,load=constant,watts=500,host="+name, "--allow-simulated", "--node", name).ready()
}

func addr(d *served) string { return strings.TrimPrefix(d.base, "http://") }

func (a answerJSON) nodes(t *testing.T) []answerJSON {
	t.Helper()
	list, ok := a["nodes"].([]any)
	if !ok {
		t.Fatalf("nodes = %v, want a list", a["nodes"])
	}
	out := make([]answerJSON, len(list))
	for i, n := range list {
		out[i] = n.(map[string]any)
	}
	return out
}

func (a answerJSON) reasons() []string {
	var all []string
	list, _ := a["reasons"].([]any)
	for _, word := range list {
		all = append(all, fmt.Sprint(word))
	}
	return all
}

// Three nodes with roles: one command each, one result, the same span on each, the aggregate patched here; and from the
// nodes' own files the same numbers.
func TestSeveralNodes(t *testing.T) {
	t.Parallel()
	a, b, c := host(t, "n1"), host(t, "n2"), host(t, "n3")
	dir := t.TempDir()
	write(t, dir, "r1.json", `{"completed": 64, "total_input_tokens": 65536, "total_output_tokens": 16384}`)
	write(t, dir, "agg_r1.json", `{"hw": "h200"}`)
	nodes := []string{"--addr", "prefill=" + addr(a), "--addr", "decode=" + b.base, "--addr", "decode=" + addr(c)}
	out, errs, code := wattmark(t, dir, nil, append([]string{"mark-start", "--run", "r1"}, nodes...)...)
	if code != 0 {
		t.Fatalf("mark-start: %d %s", code, errs)
	}
	began := decode(t, []byte(out))
	if len(began["gpus"].([]any)) != 6 || len(began.nodes(t)) != 3 || began.nodes(t)[0]["role"] != "prefill" {
		t.Errorf("mark-start: %s", out)
	}
	time.Sleep(1500 * time.Millisecond)
	before := time.Now()
	out, errs, code = wattmark(t, dir, nil, append([]string{
		"mark-end", "--run", "r1", "--benchmark-result", "r1.json", "--agg-result", "agg_r1.json", "--prefill-gpus", "2", "--decode-gpus", "4",
	}, nodes...)...)
	if code != 0 || !strings.Contains(errs, "run r1: valid") {
		t.Fatalf("mark-end: %d %s", code, errs)
	}
	r := decode(t, []byte(out))
	if r["power_valid"] != true || r["expected_gpu_count"] != 6.0 || r["observed_gpu_count"] != 6.0 {
		t.Errorf("result: %s", out)
	}
	seconds := r.number(t, "duration_s")
	if joules := r.number(t, "total_gpu_energy_j"); math.Abs(joules-3000*seconds) > r.number(t, "energy_bound_j")+0.001*joules {
		t.Errorf("%v J ± %v, want 6 GPUs at 500 W for %v s", joules, r["energy_bound_j"], seconds)
	}
	for _, n := range r.nodes(t) {
		bound, offset := n.number(t, "clock_offset_bound_s"), n.number(t, "clock_offset_s")
		if n["start_unix"] != r["start_unix"] || n["start_unix"] != began["start_unix"] || n["end_unix"] != r["end_unix"] {
			t.Errorf("node %v: edges %v to %v, want %v to %v on each", n["node"], n["start_unix"], n["end_unix"], r["start_unix"], r["end_unix"])
		}
		if math.Abs(offset) > bound || bound > 0.1 {
			t.Errorf("node %v: its clock, which is ours, is ahead by %v ± %v s", n["node"], offset, bound)
		}
	}
	if late := r.number(t, "end_unix") - float64(before.UnixNano())/1e9; late < 0 || late > 3 {
		t.Errorf("the window ends %v s after mark-end was called", late)
	}
	patched := decode(t, []byte(read(t, dir, "agg_r1.json")))
	prefill, decodes := patched.number(t, "prefill_gpu_energy_j"), patched.number(t, "decode_gpu_energy_j")
	if patched["power_valid"] != 1.0 || patched["hw"] != "h200" || math.Abs(prefill+decodes-patched.number(t, "total_gpu_energy_j")) > 0.0021 ||
		math.Abs(decodes-2*prefill) > 0.05*decodes || math.Abs(patched.number(t, "prefill_joules_per_input_token")-prefill/65536) > 1e-6 {
		t.Errorf("aggregate: %v", patched)
	}
	if v := decode(t, []byte(read(t, dir, "power_validation_r1.json"))); len(v.nodes(t)) != 3 || len(v["per_gpu_role"].(map[string]any)) != 6 {
		t.Errorf("validation: %v", v)
	}
	// Asked again, the same; an aggregate that is not there yet stays so.
	out, errs, code = wattmark(t, dir, nil, append([]string{
		"mark-end", "--json", "--run", "r1", "--benchmark-result", "r1.json", "--agg-result", "agg_not_yet.json",
	}, nodes...)...)
	again := decode(t, []byte(out))
	if state := again["agg_result"].(map[string]any); code != 0 || errs != "" || state["status"] != "pending" ||
		again["total_gpu_energy_j"] != r["total_gpu_energy_j"] || again["end_unix"] != r["end_unix"] {
		t.Errorf("again: %d %s %v; %v J to %v, was %v J to %v", code, errs, state, again["total_gpu_energy_j"], again["end_unix"], r["total_gpu_energy_j"], r["end_unix"])
	}
	// Elsewhere, from the files that the nodes left.
	write(t, dir, "agg_later.json", `{"hw": "h200"}`)
	files := []string{
		"prefill=" + filepath.Join(a.results, "power_window_r1_n1.json"), filepath.Join(b.results, "power_window_r1_*.json"),
		filepath.Join(c.results, "power_window_r1_n3.json"),
	}
	args := []string{"aggregate", "--bench-result", "r1.json", "--agg-result", "agg_later.json", "--prefill-gpus", "2", "--decode-gpus", "4", "--expected-nodes", "3"}
	for _, file := range files {
		args = append(args, "--window", file)
	}
	if _, errs, code := wattmark(t, dir, nil, append(args, "--require-power")...); code != 0 {
		t.Fatalf("aggregate: %d %s", code, errs)
	}
	if later := read(t, dir, "agg_later.json"); later != read(t, dir, "agg_r1.json") {
		t.Errorf("from the files:\n%s\nwant\n%s", later, read(t, dir, "agg_r1.json"))
	}
}

// A node that is not there, at the start or at the end, or of which only the file is: named, and a reason.
func TestNodeMissing(t *testing.T) {
	t.Parallel()
	a, b := host(t, "n1"), host(t, "n2")
	dir := t.TempDir()
	gone := "127.0.0.1:1"
	nodes := func(addrs ...string) (args []string) {
		for _, addr := range addrs {
			args = append(args, "--addr", addr)
		}
		return args
	}
	missing := func(out, name string) answerJSON {
		t.Helper()
		r := decode(t, []byte(out))
		i := slices.IndexFunc(r.nodes(t), func(n answerJSON) bool { return n["node"] == name })
		if i < 0 || r.nodes(t)[i]["error"] == "" || !slices.Equal(r.reasons(), []string{"node_missing"}) || r["power_valid"] != false {
			t.Errorf("reasons %v, nodes %v: want node_missing, and why of %s", r["reasons"], r["nodes"], name)
		}
		return r
	}
	// At the start.
	if out, errs, code := wattmark(t, dir, nil, append([]string{"mark-start", "--run", "r1"}, nodes(addr(a), gone)...)...); code != 1 || !strings.Contains(errs, gone) || len(decode(t, []byte(out)).nodes(t)) != 2 {
		t.Errorf("mark-start: %d %s %s", code, errs, out)
	}
	out, errs, code := wattmark(t, dir, nil, append([]string{"mark-end", "--run", "r1"}, nodes(addr(a), gone)...)...)
	if code != 1 || !strings.Contains(errs, gone) {
		t.Errorf("mark-end: %d %s", code, errs)
	}
	if r := missing(out, gone); r.number(t, "total_gpu_energy_j") <= 0 || len(r.gpus(t)) != 2 {
		t.Errorf("the node that is there was not measured: %s", out)
	}
	// It came up between the two marks: it has no start.
	if _, errs, code := wattmark(t, dir, nil, "mark-start", "--run", "r2", "--addr", addr(a)); code != 0 {
		t.Fatal(errs)
	}
	out, _, code = wattmark(t, dir, nil, append([]string{"mark-end", "--run", "r2", "--best-effort"}, nodes(addr(a), addr(b))...)...)
	if missing(out, addr(b)); code != 0 {
		t.Errorf("best effort: %d", code)
	}
	// At the end, with an aggregate: it must not look valid.
	write(t, dir, "agg_r3.json", `{"hw": "h200", "power_valid": 1, "avg_power_w": 1.0}`)
	if _, errs, code := wattmark(t, dir, nil, append([]string{"mark-start", "--run", "r3"}, nodes(addr(a), addr(b))...)...); code != 0 {
		t.Fatal(errs)
	}
	if _, err := b.stop(); err != nil {
		t.Fatal(err)
	}
	out, _, _ = wattmark(t, dir, nil, append([]string{
		"mark-end", "--run", "r3", "--completed", "1", "--total-input-tokens", "2", "--total-output-tokens", "3", "--agg-result", "agg_r3.json",
	}, nodes(addr(a), addr(b))...)...)
	missing(out, addr(b))
	if got, want := read(t, dir, "agg_r3.json"), `{"hw": "h200", "power_valid": 0, "power_metric_schema_version": 2}`; got != want {
		t.Errorf("aggregate = %s, want %s", got, want)
	}
	// Offline: a file that is missing, one that is broken, and fewer than there should be.
	write(t, dir, "broken.json", `{"schema_version": 1, "run":`)
	write(t, dir, "r3.json", `{"completed": 1, "total_input_tokens": 2, "total_output_tokens": 3}`)
	there := filepath.Join(a.results, "power_window_r3_n1.json")
	for name, args := range map[string][]string{
		"none_*.json": {"--window", there, "--window", "none_*.json"}, "broken.json": {"--window", "broken.json", "--window", there},
		"": {"--window", there, "--expected-nodes", "2"},
	} {
		write(t, dir, "agg_r3.json", `{"hw": "h200"}`)
		out, errs, code := wattmark(t, dir, nil, append([]string{"aggregate", "--json", "--bench-result", "r3.json", "--agg-result", "agg_r3.json"}, args...)...)
		if code != 0 {
			t.Fatalf("%v: %d %s", args, code, errs)
		}
		missing(out, name)
		if got, want := read(t, dir, "agg_r3.json"), `{"hw": "h200", "power_metric_schema_version": 2, "power_valid": 0}`; got != want {
			t.Errorf("%v: aggregate = %s, want %s", args, got, want)
		}
	}
	// Nobody at all: an error, and nothing is written.
	before := read(t, dir, "agg_r3.json")
	out, _, code = wattmark(t, dir, nil, append([]string{"mark-end", "--run", "r3", "--completed", "1", "--agg-result", "agg_r3.json"}, nodes(gone, addr(b))...)...)
	if code != 1 || out != "" || read(t, dir, "agg_r3.json") != before {
		t.Errorf("no node: %d %s", code, out)
	}
}
