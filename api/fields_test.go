package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Times as callers write them.
func TestInstant(t *testing.T) {
	for text, want := range map[string]string{
		"1785585600":                     "2026-08-01T12:00:00Z",
		"1785585600.25":                  "2026-08-01T12:00:00.25Z",
		`"1785585600.25"`:                "2026-08-01T12:00:00.25Z",
		"1.7855856e9":                    "2026-08-01T12:00:00Z",
		`"2026-08-01T12:00:00Z"`:         "2026-08-01T12:00:00Z",
		`"2026-08-01T14:00:00.25+02:00"`: "2026-08-01T12:00:00.25Z",
		"9e9":                            "2255-03-14T16:00:00Z",
		"0":                              "", "-1": "", "9.1e9": "", "253402300799": "", "1e300": "", "1e400": "", "true": "", "[]": "", "{}": "",
		`""`: "", `"NaN"`: "", `"inf"`: "", `"now"`: "", `"2026-08-01"`: "", `"2026-08-01T12:00:00"`: "", `"9999-01-01T00:00:00Z"`: "", `"0001-01-01T00:00:00Z"`: "",
	} {
		var got instant
		err := got.UnmarshalJSON([]byte(text))
		if (err == nil) != (want != "") {
			t.Errorf("%s: error %v, want %q", text, err, want)
		} else if err == nil && got.Wall().UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%s: got %s, want %s", text, got.Wall().UTC().Format(time.RFC3339Nano), want)
		}
	}
}

// Whatever comes in, readFields does not panic, its errors are the caller's, and what it accepts is fit for use.
func FuzzFields(f *testing.F) {
	for _, seed := range [][3]string{
		{"", "application/json", `{"run":"r","at_unix":1785585600.5,"gpus":[0,"1"],"expected_num_gpus":8,"role":"decode"}`},
		{"", "application/json", `{"benchmark":{"completed":1},"completed":-1,"agg_result":"a","gpus":"0,1"}`},
		{"run=r&gpus=0&gpus=1,2", "", ""},
		{"at_unix=2026-08-01T12:00:00Z", "application/x-www-form-urlencoded", "run=r&completed=5&benchmark=%7B%7D"},
		{"run=r", "text/plain", `{"id":null,"gpus":null}`},
		{"", "multipart/form-data", "--x"},
		{"a=1;b=2", "", "{"},
		{"", "", "run=%00&run=\xff"},
		{"", "application/json", "{\"run\":\"\\ud800\",\"run\":1e400}"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	allowed := slices.Concat(startFields(), endFields(), measureFields(), readingsFields())
	pattern := regexp.MustCompile(`\A[A-Za-z0-9._-]{1,200}\z`)
	f.Fuzz(func(t *testing.T, query, kind, body string) {
		r := httptest.NewRequest("POST", "/v1/mark-start", strings.NewReader(body))
		r.URL = &url.URL{Path: "/v1/mark-start", RawQuery: query}
		r.Header = http.Header{"Content-Type": {kind}}
		got, err := readFields(r, allowed)
		if err != nil {
			if !errors.Is(err, errSyntax) && !errors.Is(err, errRunName) && !errors.Is(err, errTooLarge) {
				t.Errorf("%v is none of ours", err)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("a text of %d bytes", len(err.Error()))
			}
			return
		}
		for _, name := range []string{got.Run, got.ID} {
			if name != "" && (!pattern.MatchString(name) || strings.Trim(name, ".") == "") {
				t.Errorf("accepted %q", name)
			}
		}
		for _, at := range []*instant{got.AtUnix, got.StartUnix, got.EndUnix} {
			if at != nil && (at.UnixNano < 0 || at.MonoNano != 0) {
				t.Errorf("accepted time %+v", at)
			}
		}
		if slices.Contains(got.GPUs, "") || !slices.Contains([]string{"", "prefill", "decode"}, got.Role) {
			t.Errorf("accepted GPUs %q, role %q", got.GPUs, got.Role)
		}
		if len(got.Benchmark) > 0 && got.Benchmark[0] != '{' {
			t.Errorf("accepted benchmark %s", got.Benchmark)
		}
	})
}

// A run's name that is accepted is one element of a path and nothing else in any file's name that is made of it.
func FuzzRunName(f *testing.F) {
	for _, seed := range []string{"r1", "..", ".", "...", "a/b", `a\b`, "a\x00", "ä", "a b", "-rf", strings.Repeat("x", 200), strings.Repeat("x", 201), "\u2024\u2024", "r\n"} {
		f.Add(seed)
	}
	server := &Server{config: Config{Node: "node"}}
	f.Fuzz(func(t *testing.T, run string) {
		if !validRun(run) {
			return
		}
		name := server.windowFile(run)
		if filepath.Base(name) != name || !filepath.IsLocal(run) || len(name) > 255 || strings.ContainsAny(run, "/\\\x00 \n") || run == "." || run == ".." {
			t.Errorf("accepted %q: file %q", run, name)
		}
	})
}
