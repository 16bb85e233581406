package agg_test

import (
	"strings"
	"testing"
	"testing/iotest"

	"wattmark/agg"
)

// However the reads cut the text, characters of several bytes are whole, and a bad one is found where it is.
func TestUnexpectedBenchmark(t *testing.T) {
	long := strings.Repeat("é", 100_000)
	for _, tt := range []struct {
		name, text string
		want       string // type and message; "": none
	}{
		{"object", `{"model": "` + long + `"}`, ""},
		{"list", ` [1, "` + long + `"] `, "AttributeError 'list' object has no attribute 'get'"},
		{"whole number", "-5", "AttributeError 'int' object has no attribute 'get'"},
		{"number", "5.5", "AttributeError 'float' object has no attribute 'get'"},
		{"NaN", "NaN", "AttributeError 'float' object has no attribute 'get'"},
		{"text", `"x"`, "AttributeError 'str' object has no attribute 'get'"},
		{"word", "true", "AttributeError 'bool' object has no attribute 'get'"},
		{"a list that is torn", "[1, 2", ""},
		{"two values", "1 2", ""},
		{"nothing", "", ""},
		{
			"bad byte", `{"a": "` + long + "\xe9\"}",
			"UnicodeDecodeError 'utf-8' codec can't decode byte 0xe9 in position 200007: invalid or incomplete character",
		},
		{
			"torn character", "[] \xc3",
			"UnicodeDecodeError 'utf-8' codec can't decode byte 0xc3 in position 3: invalid or incomplete character",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if e := agg.UnexpectedBenchmark(iotest.OneByteReader(strings.NewReader(tt.text))); e != nil {
				got = e.Type + " " + e.Message
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
