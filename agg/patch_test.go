package agg_test

import (
	"slices"
	"strings"
	"testing"

	"wattmark/agg"
)

// few keys keep the cases readable; Patch takes any.
func few() []agg.Key {
	return []agg.Key{{"power_metric_schema_version", "2"}, {"power_valid", "1"}, {"avg_power_w", "500.0"}}
}

func TestPatch(t *testing.T) {
	const compact = `"power_metric_schema_version":2,"power_valid":1,"avg_power_w":500.0`
	const spaced = `"power_metric_schema_version": 2, "power_valid": 1, "avg_power_w": 500.0`
	const lines = "\"power_metric_schema_version\": 2,\n  \"power_valid\": 1,\n  \"avg_power_w\": 500.0"
	for _, test := range []struct{ name, in, want string }{
		{"indent 2", "{\n  \"hw\": \"h200\",\n  \"tp\": 8\n}", "{\n  \"hw\": \"h200\",\n  \"tp\": 8,\n  " + lines + "\n}"},
		{"with a last line end", "{\n  \"hw\": \"h200\"\n}\n", "{\n  \"hw\": \"h200\",\n  " + lines + "\n}\n"},
		{"one line", `{"hw": "h200", "tp": 8}`, `{"hw": "h200", "tp": 8, ` + spaced + `}`},
		{"compact", `{"hw":"h200","tp":8}`, `{"hw":"h200","tp":8,` + compact + `}`},
		{"compact, one member", `{"hw":"h200"}`, `{"hw":"h200",` + compact + `}`},
		{"one line, one member", `{"hw": "h200"}`, `{"hw": "h200", ` + spaced + `}`},
		{"tabs", "{\n\t\"hw\": 1\n}", "{\n\t\"hw\": 1,\n\t" + strings.ReplaceAll(lines, "  ", "\t") + "\n}"},
		{"indent 0", "{\n\"hw\": 1\n}", "{\n\"hw\": 1,\n" + strings.ReplaceAll(lines, "  ", "") + "\n}"},
		{
			"CRLF", "{\r\n  \"hw\": 1,\r\n  \"tp\": 8\r\n}\r\n",
			"{\r\n  \"hw\": 1,\r\n  \"tp\": 8,\r\n  " + strings.ReplaceAll(lines, "\n", "\r\n") + "\r\n}\r\n",
		},
		{"padded", " { \"hw\" : 1 , \"tp\" : 8 } \n", " { \"hw\" : 1 , \"tp\" : 8, " + strings.ReplaceAll(spaced, ":", " :") + " } \n"},
		{"byte order mark", "\xEF\xBB\xBF{\"hw\":1}", "\xEF\xBB\xBF{\"hw\":1," + compact + "}"},
		{"empty", `{}`, `{` + spaced + `}`},
		{"empty, padded", `{ }`, `{ ` + spaced + ` }`},
		{"empty, lines", "{\n}\n", "{\n  " + lines + "\n}\n"},
		{"empty, CRLF", "{\r\n}", "{\r\n  " + strings.ReplaceAll(lines, "\n", "\r\n") + "\r\n}"},

		{"spelling of numbers", `{"a":1.0,"b":12345678901234567890,"c":1E5}`, `{"a":1.0,"b":12345678901234567890,"c":1E5,` + compact + `}`},
		{"Python's words", `{"a":NaN,"b":[Infinity,-Infinity]}`, `{"a":NaN,"b":[Infinity,-Infinity],` + compact + `}`},
		{"a duplicate of no concern", `{"a":1,"a":2}`, `{"a":1,"a":2,` + compact + `}`},
		{"our keys deeper down", `{"a":{"power_valid":0,"avg_power_w":1}}`, `{"a":{"power_valid":0,"avg_power_w":1},` + compact + `}`},
		{"other bytes in texts", "{\"a\":\"\xff\xfe\",\"\xff\":1}", "{\"a\":\"\xff\xfe\",\"\xff\":1," + compact + "}"},
		{"later schema", `{"p75_power_w":3}`, `{"p75_power_w":3,` + compact + `}`},

		{"verdict in place", `{"power_valid":0,"a":1}`, `{"power_valid":1,"a":1,"power_metric_schema_version":2,"avg_power_w":500.0}`},
		{"stale at the end", `{"a":1,"power_valid":0,"joules_per_total_token":7}`, `{"a":1,"power_valid":1,"power_metric_schema_version":2,"avg_power_w":500.0}`},
		{"stale first", `{"avg_power_w":[{}],"a":1}`, `{"a":1,` + compact + `}`},
		{"stale in the middle", `{"a": 1, "total_gpu_energy_j": 3, "b": 2}`, `{"a": 1, "b": 2, ` + spaced + `}`},
		{"stale only", "{\n  \"avg_power_w\": 1\n}", "{\n  " + lines + "\n}"},
		{"stale roles and reasons", `{"prefill_gpu_energy_j":1,"a":1,"decode_avg_power_w":2,"power_invalid_reasons":["x"]}`, `{"a":1,` + compact + `}`},
		{"an escaped key", `{"power\u005fvalid":0,"a":1}`, `{"power\u005fvalid":1,"a":1,"power_metric_schema_version":2,"avg_power_w":500.0}`},
		{"a value of another kind", `{"a":1,"power_valid":{"x":[1]}}`, `{"a":1,"power_valid":1,"power_metric_schema_version":2,"avg_power_w":500.0}`},
		{"done before", `{"avg_power_w":500.0,"power_valid":1,"a":1,"power_metric_schema_version":2}`, `{"avg_power_w":500.0,"power_valid":1,"a":1,"power_metric_schema_version":2}`},
	} {
		got, err := agg.Patch([]byte(test.in), few())
		if err != nil || string(got) != test.want {
			t.Errorf("%s: Patch(%q) =\n%q, %v, want\n%q", test.name, test.in, got, err, test.want)
			continue
		}
		if again, err := agg.Patch(got, few()); err != nil || string(again) != test.want {
			t.Errorf("%s, patched again: %q, %v, want\n%q", test.name, again, err, test.want)
		}
	}
}

// A patch with another result leaves what a patch with that result alone does.
func TestPatchAnew(t *testing.T) {
	invalidKeys := []agg.Key{{"power_metric_schema_version", "2"}, {"power_valid", "0"}}
	for _, in := range []string{`{}`, `{ }`, "{\n}", `{"a":1}`, `{"a": 1}`, "{\n  \"a\": 1\n}", `{ "a":1 , "b":2 }`, "{\"a\":1,\n\"b\":2 }\n"} {
		first, err := agg.Patch([]byte(in), few())
		if err != nil {
			t.Fatal(err)
		}
		got, err := agg.Patch(first, invalidKeys)
		if err != nil {
			t.Fatal(err)
		}
		want, err := agg.Patch([]byte(in), invalidKeys)
		if err != nil || string(got) != string(want) {
			t.Errorf("Patch of %q after another: %q, want %q, %v", in, got, want, err)
		}
	}
}

func TestPatchRefuses(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"nothing", "", "line 1, column 1: the text ends, want an object"},
		{"white space", " \n", "line 2, column 1: the text ends, want an object"},
		{"truncated after the brace", "{", "line 1, column 2: the text ends, want a key"},
		{"truncated in a number", "{\n  \"a\": 1", "line 2, column 9: the text ends, want ',' or '}'"},
		{"truncated in a text", "{\n  \"a\": \"é", "line 2, column 10: the text ends, want a string's end"},
		{"truncated after the comma", `{"a":1,`, "line 1, column 8: the text ends, want a key"},
		{"a comma too many", "{\"a\":1,\n}", "line 2, column 1: got '}', want a key"},
		{"a comma too few", `{"a":1 "b":2}`, "line 1, column 8: got '\"', want ',' or '}'"},
		{"no colon", `{"a" 1}`, "line 1, column 6: got '1', want ':'"},
		{"no value", `{"a":}`, "line 1, column 6: got '}', want a value"},
		{"list", `[{"a":1}]`, "line 1, column 1: got '[', want an object"},
		{"text", `"{}"`, "line 1, column 1: got '\"', want an object"},
		{"null", `null`, "line 1, column 1: got 'n', want an object"},
		{"NaN", `NaN`, "line 1, column 1: got 'N', want an object"},
		{"garbage", "{\"a\":1}\n}", "line 2, column 1: got '}', want the end of the text"},
		{"two objects", "{}\n{}", "line 2, column 1: got '{', want the end of the text"},
		{"zeros after a crash", "{}\x00\x00", "line 1, column 3: got '\\x00', want the end of the text"},
		{"a verdict twice", `{"power_valid":1,"a":1,"power_valid":0}`, `line 1, column 24: the key "power_valid" stands here for the second time`},
		{"a metric twice", `{"avg_power_w":1,"avg\u005fpower_w":0}`, `line 1, column 18: the key "avg_power_w" stands here for the second time`},
		{"wrong brackets", `{"a":[1}}`, "line 1, column 8: got '}', want ',' or ']'"},
		{"other brackets", `{"a":{"b":1]}`, "line 1, column 12: got ']', want ',' or '}'"},
		{"Python's repr", `{'a':1}`, `line 1, column 2: got '\'', want a key`},
		{"None", `{"a":None}`, "line 1, column 7: got 'o', want NaN"},
		{"True", `{"a":True}`, "line 1, column 6: got 'T', want a value"},
		{"a leading zero", `{"a":01}`, "line 1, column 7: got '1', want ',' or '}'"},
		{"no digits", `{"a":-}`, "line 1, column 7: got '}', want a digit"},
		{"no fraction", `{"a":1.}`, "line 1, column 8: got '}', want a digit"},
		{"no exponent", `{"a":1e+}`, "line 1, column 9: got '}', want a digit"},
		{"-NaN", `{"a":-NaN}`, "line 1, column 7: got 'N', want a digit"},
		{"Inf", `{"a":Inf}`, "line 1, column 9: got '}', want Infinity"},
		{"an unknown escape", `{"a":"\x41"}`, "line 1, column 8: got 'x', want an escape"},
		{"a short escape", `{"a":"\u004"}`, "line 1, column 12: got '\"', want a hexadecimal digit"},
		{"a line end in a text", "{\"a\":\"\n\"}", "line 1, column 7: got '\\n', want a string without control characters"},
		{"a comment", "{\"a\":1 // x\n}", "line 1, column 8: got '/', want ',' or '}'"},
		{"too deep", `{"a":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + "}", "line 1, column 10005: nested too deeply"},
		{"too large", `{"a":"` + strings.Repeat("x", agg.MaxAggregate) + `"}`, "too large: 16777224 bytes, at most 16777216"},
	} {
		got, err := agg.Patch([]byte(test.in), few())
		if err == nil || err.Error() != test.want || got != nil {
			t.Errorf("%s: got %.100q, %v, want %s", test.name, got, err, test.want)
		}
	}
	deepest := `{"a":` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + "}"
	if _, err := agg.Patch([]byte(deepest), few()); err != nil {
		t.Errorf("10000 levels: %v", err)
	}
}

// Patch and Python agree to the byte on what Python wrote.
func TestPatchLikePython(t *testing.T) {
	type patch struct {
		Before, After string
		Values        map[string]string
	}
	order, err := agg.Keys(measured())
	if err != nil {
		t.Fatal(err)
	}
	reference(t, "patches", 3000, func(c patch) {
		keys := slices.Clone(order[:2])
		if len(c.Values) == 0 {
			keys[1].Number = "0"
		}
		for _, key := range order[2:] {
			if text, ok := c.Values[key.Name]; ok {
				key.Number = agg.PythonFloat(agg.Round(hexFloat(t, text), agg.Decimals(key.Name)))
				keys = append(keys, key)
			}
		}
		got, err := agg.Patch([]byte(c.Before), keys)
		if err != nil || string(got) != c.After {
			t.Errorf("before\n%s\ngot\n%s, %v\nwant\n%s", c.Before, got, err, c.After)
		}
	})
}

// A file of nothing but members is split in little memory.
func TestPatchOfManyMembers(t *testing.T) {
	in := []byte(`{"avg_power_w":1` + strings.Repeat(`,"":0`, 1<<17) + `}`)
	allocated := testing.AllocsPerRun(1, func() {
		if _, err := agg.Patch(in, few()); err != nil {
			t.Error(err)
		}
	})
	if allocated > 100 {
		t.Errorf("%v allocations, want at most 100", allocated)
	}
}
