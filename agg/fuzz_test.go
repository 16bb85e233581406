package agg_test

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"wattmark/agg"
	"wattmark/window"
)

// FuzzPatch: whatever the file, a patch changes our keys and no other byte, and a second one nothing.
// encoding/json is the judge where there is nothing of Python's.
func FuzzPatch(f *testing.F) {
	for _, seed := range []string{
		aggregate, patched, refused, `{}`, "{\n}", `{"a":1 , "power_valid" : 0 , "b":[{}]}`, `{"avg_power_w":1,"x":{"":null}}`,
		"\xEF\xBB\xBF{\"é\":\"\xff\"}\r\n", `{"power\u005fvalid":NaN,"a":-Infinity}`, `{"power_valid":1,"power_valid":0}`, "{} {}", `[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, r := range []window.Result{measured(), invalid()} {
			keys, err := agg.Keys(r)
			must(t, err)
			checkPatch(t, in, keys)
		}
	})
}

func checkPatch(t *testing.T, in []byte, keys []agg.Key) {
	t.Helper()
	original := bytes.Clone(in)
	out, err := agg.Patch(in, keys)
	if !bytes.Equal(in, original) {
		t.Fatal("the input was written to")
	}
	isOurs := func(m span) bool { return ours(m.name) }
	isObject := json.Valid(in) && bytes.HasPrefix(bytes.TrimLeft(in, " \t\r\n"), []byte("{"))
	if err != nil {
		if isObject && len(in) <= agg.MaxAggregate && !twice(spans(t, in)) {
			t.Fatalf("refused: %v", err)
		}
		return
	}
	again, err := agg.Patch(out, keys)
	if err != nil || !bytes.Equal(again, out) {
		t.Fatalf("patched twice: %q, %v, want %q", again, err, out)
	}
	if !json.Valid(in) {
		if words := bytes.Contains(in, []byte("NaN")) || bytes.Contains(in, []byte("Infinity")) || bytes.HasPrefix(in, []byte("\xEF\xBB\xBF")); !words {
			t.Fatalf("accepted, which encoding/json does not: %q", out)
		}
		return
	}
	before, after := spans(t, in), spans(t, out)
	got := slices.DeleteFunc(slices.Clone(after), func(m span) bool { return !isOurs(m) })
	if len(got) != len(keys) {
		t.Fatalf("keys %v in %q", got, out)
	}
	for _, key := range keys {
		if !slices.ContainsFunc(got, func(m span) bool { return m.name == key.Name && m.value == key.Number }) {
			t.Fatalf("no %v in %q", key, out)
		}
	}
	foreign := func(all []span) []span { return slices.DeleteFunc(slices.Clone(all), isOurs) }
	if !slices.Equal(foreign(before), foreign(after)) {
		t.Fatalf("other members: %v, were %v", foreign(after), foreign(before))
	}
	open, closing := bytes.IndexByte(in, '{')+1, bytes.LastIndexByte(in, '}')
	if !bytes.HasPrefix(out, in[:open]) || !bytes.HasSuffix(out, in[closing:]) {
		t.Fatalf("what is around the object: %q, was %q", out, in)
	}
	if len(before) > 0 && len(foreign(before)) == len(before) { // nothing of ours was there: we only insert
		end := len(bytes.TrimRight(in[:closing], " \t\r\n"))
		if !bytes.HasPrefix(out, in[:end]) || !bytes.HasSuffix(out, in[end:]) {
			t.Fatalf("got %q, which does not only insert into %q", out, in)
		}
	}
}

// span is a member of a JSON object: its name, and key and value as spelled.
type span struct{ name, key, value string }

// spans splits an object by encoding/json.
func spans(t *testing.T, data []byte) []span {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(data))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	var all []span
	for decoder.More() {
		from := decoder.InputOffset()
		key, err := decoder.Token()
		must(t, err)
		to := decoder.InputOffset()
		var value json.RawMessage
		must(t, decoder.Decode(&value))
		all = append(all, span{key.(string), strings.TrimLeft(string(data[from:to]), ", \t\r\n"), string(value)})
	}
	return all
}

func ours(name string) bool {
	return slices.Contains([]string{
		"power_metric_schema_version", "power_valid", "power_invalid_reasons", "avg_power_w", "avg_total_gpu_power_w",
		"total_gpu_energy_j", "joules_per_successful_query", "joules_per_input_token", "joules_per_output_token",
		"joules_per_total_token", "prefill_gpu_energy_j", "decode_gpu_energy_j", "prefill_avg_power_w", "decode_avg_power_w",
		"prefill_joules_per_input_token", "decode_joules_per_output_token",
	}, name)
}

func twice(all []span) bool {
	seen := map[string]bool{}
	for _, m := range all {
		if ours(m.name) && seen[m.name] {
			return true
		}
		seen[m.name] = true
	}
	return false
}

// FuzzBenchmark: whatever the file and however it arrives, the answer is the same and makes sense. Of one object,
// encoding/json finds the same.
func FuzzBenchmark(f *testing.F) {
	for _, seed := range []string{
		result, result + "\n" + result, `{` + counts + `}`, "\xEF\xBB\xBF{}", `{"completed":1e1,"duration":NaN}`, `{"a":[{"b":[-0.5E-7]}]}`,
		`{"benchmark_start_time_unix":1,"benchmark_end_time_unix":2,"duration":1,"x":"\ud83d\u00e9\n"}`, `{"c\u006fmpleted":7}`, "[", "{}{}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		b := agg.InlineBenchmark(in)
		slow := agg.ReadBenchmark(iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(in))))
		bytewise := agg.ReadBenchmark(io.MultiReader(strings.NewReader("\n"), iotest.OneByteReader(bytes.NewReader(in))))
		if !slices.Equal(b.Reasons, slow.Reasons) || b.Start != slow.Start || b.HasWindow != slow.HasWindow {
			t.Fatalf("by halves: %v, at once: %v", slow, b)
		}
		if !bytes.HasPrefix(in, []byte("\xEF")) && !slices.Equal(b.Reasons, bytewise.Reasons) {
			t.Fatalf("after a line end: %v, %v, at once: %v, %v", bytewise.Reasons, bytewise.Err, b.Reasons, b.Err)
		}
		if b.HasWindow && b.Start.Or(0) >= b.End.Or(0) {
			t.Fatalf("window from %v to %v", b.Start, b.End)
		}
		for reason, count := range map[window.Reason]*int64{
			window.InvalidQueryCount: b.Work.Completed, window.InvalidInputTokenCount: b.Work.InputTokens,
			window.InvalidOutputTokenCount: b.Work.OutputTokens,
		} {
			refused := slices.Contains(b.Reasons, reason) || slices.Contains(b.Reasons, window.InvalidBenchmarkResult)
			if refused == (count != nil) || count != nil && *count <= 0 {
				t.Fatalf("%s: refused %v, count %v", reason, refused, count)
			}
		}
		if !json.Valid(in) || !bytes.HasPrefix(bytes.TrimLeft(in, " \t\r\n"), []byte("{")) {
			return
		}
		if b.Err != nil {
			t.Fatalf("unreadable: %v", b.Err)
		}
		var completed string
		for _, m := range spans(t, in) {
			if m.name == "completed" {
				completed = m.value
			}
		}
		if want := agg.CountedBenchmark(completed, "", "").Work.Completed; (want == nil) != (b.Work.Completed == nil) || want != nil && *want != *b.Work.Completed {
			t.Fatalf("completed = %v, want %v", b.Work.Completed, want)
		}
	})
}
