package agg_test

import (
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"wattmark/agg"
	"wattmark/internal/atomicfile"
	"wattmark/window"
)

const (
	stamps = `"benchmark_start_time_unix":1755000000.25,"benchmark_end_time_unix":1755000010.25,"duration":10.0`
	counts = `"completed":10,"total_input_tokens":100,"total_output_tokens":50`
	result = `{` + stamps + `,` + counts + `}`
)

func TestReadBenchmark(t *testing.T) {
	b := agg.InlineBenchmark([]byte(result))
	if b.Start.Or(0) != 1755000000.25 || b.End.Or(0) != 1755000010.25 || b.Duration.Or(0) != 10 || !b.HasWindow {
		t.Errorf("window = %v", b)
	}
	if *b.Work.Completed != 10 || *b.Work.InputTokens != 100 || *b.Work.OutputTokens != 50 {
		t.Errorf("counts = %d, %d, %d", *b.Work.Completed, *b.Work.InputTokens, *b.Work.OutputTokens)
	}
	if len(b.Reasons) > 0 || b.Err != nil {
		t.Errorf("reasons = %v, %v", b.Reasons, b.Err)
	}
}

func TestBenchmarkReasons(t *testing.T) {
	const unreadable, noWindow, mismatch = window.InvalidBenchmarkResult, window.InvalidBenchmarkWindow, window.DurationMismatch
	const noQueries, noInput, noOutput = window.InvalidQueryCount, window.InvalidInputTokenCount, window.InvalidOutputTokenCount
	start := func(text string) string { return strings.Replace(result, "1755000000.25", text, 1) }
	end := func(text string) string { return strings.Replace(result, "1755000010.25", text, 1) }
	duration := func(text string) string { return strings.Replace(result, `n":10.0`, `n":`+text, 1) }
	completed := func(text string) string { return strings.Replace(result, `d":10,`, `d":`+text+`,`, 1) }
	long := func(duration string) string { // 100 s: 1 % is more than 0.5 s
		return `{"benchmark_start_time_unix":1000,"benchmark_end_time_unix":1100,"duration":` + duration + "," + counts + `}`
	}
	for _, test := range []struct {
		name, text string
		window     bool
		want       []window.Reason
	}{
		{"all is well", result, true, nil},
		{"no counts", `{` + stamps + `}`, true, []window.Reason{noQueries, noInput, noOutput}},
		{"nothing", `{}`, false, []window.Reason{noQueries, noInput, noOutput}},
		{"everything wrong", `{"duration":0,"benchmark_end_time_unix":1,"total_output_tokens":0}`, false, []window.Reason{noWindow, noQueries, noInput, noOutput}},

		{"neither stamp", `{"duration":10.0,` + counts + `}`, false, nil},
		{"stamps are null", `{"benchmark_start_time_unix":null,"benchmark_end_time_unix":null,` + counts + `}`, false, nil},
		{"neither stamp nor duration", `{` + counts + `}`, false, nil},
		{"no start", `{"benchmark_end_time_unix":1755000010.25,"duration":10.0,` + counts + `}`, false, []window.Reason{noWindow}},
		{"no end", `{"benchmark_start_time_unix":1755000000.25,"duration":10.0,` + counts + `}`, false, []window.Reason{noWindow}},
		{"start is null", start("null"), false, []window.Reason{noWindow}},
		{"start is NaN", start("NaN"), false, []window.Reason{noWindow}},
		{"start is a bool", start("true"), false, []window.Reason{noWindow}},
		{"start is a text", start(`"1755000000.25"`), false, []window.Reason{noWindow}},
		{"start is a list", start(`[1755000000.25]`), false, []window.Reason{noWindow}},
		{"start is an object", start(`{"duration":1}`), false, []window.Reason{noWindow}},
		{"end is infinite", end("Infinity"), false, []window.Reason{noWindow}},
		{"end is too large for a float", end("1e999"), false, []window.Reason{noWindow}},
		{"milliseconds", `{"benchmark_start_time_unix":1755000000250,"benchmark_end_time_unix":1755000010250,"duration":10000,` + counts + `}`, false, []window.Reason{noWindow}},
		{"end at the start", end("1755000000.25"), false, []window.Reason{noWindow}},
		{"end before the start", end("1754999999"), false, []window.Reason{noWindow}},
		{"whole seconds", `{"benchmark_start_time_unix":1755000000,"benchmark_end_time_unix":1755000010,"duration":10,` + counts + `}`, true, nil},
		{"no duration", strings.Replace(result, `"duration"`, `"d"`, 1), false, []window.Reason{noWindow}},
		{"duration zero", duration("0"), false, []window.Reason{noWindow}},
		{"duration negative", duration("-10.0"), false, []window.Reason{noWindow}},
		{"duration a bool", duration("true"), false, []window.Reason{noWindow}},

		{"half a second more", duration("10.5"), true, nil},
		{"half a second less", duration("9.5"), true, nil},
		{"over half a second more", duration("10.51"), true, []window.Reason{mismatch}},
		{"over half a second less", duration("9.49"), true, []window.Reason{mismatch}},
		{"1 % of a long one", long("101"), true, nil},
		{"over 1 % of a long one", long("101.001"), true, []window.Reason{mismatch}},
		{"mismatch and no counts", `{` + strings.Replace(stamps, `n":10.0`, `n":20`, 1) + `}`, true, []window.Reason{mismatch, noQueries, noInput, noOutput}},

		{"completed a float", completed("10.0"), true, []window.Reason{noQueries}},
		{"completed with an exponent", completed("1e1"), true, []window.Reason{noQueries}},
		{"completed a bool", completed("true"), true, []window.Reason{noQueries}},
		{"completed a text", completed(`"10"`), true, []window.Reason{noQueries}},
		{"completed null", completed("null"), true, []window.Reason{noQueries}},
		{"completed zero", completed("0"), true, []window.Reason{noQueries}},
		{"completed minus zero", completed("-0"), true, []window.Reason{noQueries}},
		{"completed negative", completed("-1"), true, []window.Reason{noQueries}},
		{"completed as large as can be", completed("9223372036854775807"), true, nil},
		{"completed too large", completed("9223372036854775808"), true, []window.Reason{noQueries}},
		{"completed of many digits", completed(strings.Repeat("9", 100000)), true, []window.Reason{noQueries}},
		{"output tokens zero", strings.Replace(result, `s":50`, `s":0`, 1), true, []window.Reason{noOutput}},
		{"input tokens zero", strings.Replace(result, `s":100`, `s":0`, 1), true, []window.Reason{noInput}},

		{"a key twice, the last good", `{"completed":"x",` + result[1:], true, nil},
		{"a key twice, the last bad", result[:len(result)-1] + `,"completed":null}`, true, []window.Reason{noQueries}},
		{"escaped key", strings.Replace(result, "completed", `c\u006fmpleted`, 1), true, nil},
		{"fields deeper down", `{"a":[{"completed":0}],` + result[1:], true, nil},
		{"a long key", `{"` + strings.Repeat("k", 100000) + `":1,` + result[1:], true, nil},
		{"a long text", `{"generated_texts":["` + strings.Repeat(`\"é`, 100000) + `"],` + result[1:], true, nil},
		{"byte order mark", "\xEF\xBB\xBF" + result, true, nil},
		{"Python's words", `{"a":[NaN,Infinity,-Infinity],` + result[1:], true, nil},
		{"indented", strings.NewReplacer("{", "{\n  ", ",", ",\n  ", ":", " : ", "}", "\n}\n").Replace(result), true, nil},

		{"lines", `{"completed":0}` + "\n" + result, true, nil},
		{"lines, the last without counts", result + "\n{" + stamps + "}\n", true, []window.Reason{noQueries, noInput, noOutput}},
		{"lines, empty ones between", "\n\n" + result + "\r\n\r\n" + result + "\n\n", true, nil},
		{"lines, the last torn", result + "\n" + result[:30], false, []window.Reason{unreadable}},
		{"lines, the last a list", result + "\n[]", false, []window.Reason{unreadable}},
		{"two on one line", result + " " + result, false, []window.Reason{unreadable}},
		{"garbage", result + "\nx", false, []window.Reason{unreadable}},
		{"empty", "", false, []window.Reason{unreadable}},
		{"white space", " \n ", false, []window.Reason{unreadable}},
		{"half a byte order mark", "\xEF\xBB" + result, false, []window.Reason{unreadable}},
		{"only half a byte order mark", "\xEF", false, []window.Reason{unreadable}},
		{"truncated", result[:len(result)-1], false, []window.Reason{unreadable}},
		{"list", "[" + result + "]", false, []window.Reason{unreadable}},
		{"null", "null", false, []window.Reason{unreadable}},
		{"zeros", result + "\x00\x00", false, []window.Reason{unreadable}},
		{"nested too deeply", `{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}", false, []window.Reason{unreadable}},
	} {
		for mode, reader := range map[string]io.Reader{
			"at once": strings.NewReader(test.text), "byte by byte": iotest.OneByteReader(strings.NewReader(test.text)),
		} {
			b := agg.ReadBenchmark(reader)
			if !slices.Equal(b.Reasons, test.want) || b.HasWindow != test.window {
				t.Errorf("%s, %s: got %v, window %v, want %v, %v (%v)", test.name, mode, b.Reasons, b.HasWindow, test.want, test.window, b.Err)
			}
			if wantErr := slices.Contains(test.want, unreadable); (b.Err != nil) != wantErr {
				t.Errorf("%s, %s: error %v", test.name, mode, b.Err)
			}
		}
	}
}

func TestRequireWindow(t *testing.T) {
	for text, want := range map[string][]window.Reason{
		result:             nil,
		`{` + counts + `}`: {window.InvalidBenchmarkWindow},
		`{"completed":1}`:  {window.InvalidBenchmarkWindow, window.InvalidInputTokenCount, window.InvalidOutputTokenCount},
		`[]`:               {window.InvalidBenchmarkResult},
		`{"duration":true,` + `"benchmark_start_time_unix":1,` + counts + `}`: {window.InvalidBenchmarkWindow},
	} {
		if got := agg.InlineBenchmark([]byte(text)).RequireWindow().Reasons; !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

func TestCountedBenchmark(t *testing.T) {
	b := agg.CountedBenchmark("10", "100", "50")
	if len(b.Reasons) > 0 || b.HasWindow || *b.Work.Completed != 10 || *b.Work.InputTokens != 100 || *b.Work.OutputTokens != 50 {
		t.Errorf("got %+v", b)
	}
	b = agg.CountedBenchmark("10.0", "", "0")
	want := []window.Reason{window.InvalidQueryCount, window.InvalidInputTokenCount, window.InvalidOutputTokenCount}
	if !slices.Equal(b.Reasons, want) || b.Work != (window.Work{}) {
		t.Errorf("got %+v, want %v", b, want)
	}
}

func TestReadBenchmarkFile(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "r.json"), []byte(result), 0o644),
		os.Symlink("r.json", filepath.Join(dir, "link.json")),
	); err != nil {
		t.Fatal(err)
	}
	if b := agg.ReadBenchmarkFile(root, "r.json"); len(b.Reasons) > 0 || !b.HasWindow {
		t.Errorf("got %+v", b)
	}
	for name, want := range map[string]error{"link.json": atomicfile.ErrLink, "none.json": os.ErrNotExist} {
		b := agg.ReadBenchmarkFile(root, name)
		if !slices.Equal(b.Reasons, []window.Reason{window.InvalidBenchmarkResult}) || !errors.Is(b.Err, want) {
			t.Errorf("%s: got %v, %v, want %v", name, b.Reasons, b.Err, want)
		}
	}
}

func TestBenchmarkLikePython(t *testing.T) {
	type benchmark struct {
		Text    string
		Reasons []window.Reason
	}
	reference(t, "benchmarks", 5000, func(c benchmark) {
		b := agg.InlineBenchmark([]byte(c.Text))
		if !slices.Equal(b.Reasons, c.Reasons) {
			t.Errorf("%s\ngot %v (%v), want %v", c.Text, b.Reasons, b.Err, c.Reasons)
		}
		if b.HasWindow && !(b.End.Or(math.NaN()) > b.Start.Or(math.NaN())) {
			t.Errorf("%s\nwindow from %v to %v", c.Text, b.Start, b.End)
		}
	})
}
