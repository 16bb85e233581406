package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"wattmark/sampler"
)

// fields are what callers say, as JSON, form fields or query parameters alike.
type fields struct {
	Run              string   `json:"run"`
	ID               string   `json:"id"`
	AtUnix           *instant `json:"at_unix"`
	StartUnix        *instant `json:"start_unix"`
	EndUnix          *instant `json:"end_unix"`
	ClockOffset      *float64 `json:"clock_offset_s"`
	ClockOffsetBound *float64 `json:"clock_offset_bound_s"`
	GPUs             names    `json:"gpus"`
	ExpectedNumGPUs  *int     `json:"expected_num_gpus"`
	Role             string   `json:"role"`
	BenchmarkResult  string   `json:"benchmark_result"`
	AggResult        string   `json:"agg_result"`
	ValidationResult string   `json:"validation_result"`
	Format           string   `json:"format"`
	SpanS            *int64   `json:"span_s"`
	IdleRun          string   `json:"idle_run"`

	Benchmark         json.RawMessage `json:"benchmark"`
	Completed         *int64          `json:"completed"`
	TotalInputTokens  *int64          `json:"total_input_tokens"`
	TotalOutputTokens *int64          `json:"total_output_tokens"`
}

// The fields that each route takes; another name is a mistake that should not pass in silence.
func startFields() []string {
	return []string{"run", "at_unix", "gpus", "expected_num_gpus", "role", "clock_offset_s", "clock_offset_bound_s"}
}

func endFields() []string {
	return []string{
		"idle_run", "run", "id", "at_unix", "benchmark_result", "benchmark", "completed", "total_input_tokens",
		"total_output_tokens", "agg_result", "validation_result", "expected_num_gpus", "clock_offset_s", "clock_offset_bound_s",
	}
}

func measureFields() []string {
	taken := slices.DeleteFunc(endFields(), func(name string) bool { return name == "id" || name == "at_unix" })
	return append(taken, "start_unix", "end_unix", "gpus", "role")
}

func energyFields() []string { return []string{"start", "end", "gpus"} }

func readingsFields() []string { return append(energyFields(), "format") }

func reportFields() []string { return []string{"format"} }

func eventsFields() []string { return []string{"span_s"} }

// The shapes whose values stand in a form as they do in JSON.
const (
	wholeNumber = "a whole number"
	number      = "a number of seconds"
	object      = "a JSON object"
)

// shape says in words what a field holds.
func shape(name string) string {
	switch name {
	case "at_unix", "start_unix", "end_unix", "start", "end":
		return "Unix seconds or a time of RFC 3339"
	case "gpus":
		return "a list of GPUs or a text with commas"
	case "span_s", "expected_num_gpus", "completed", "total_input_tokens", "total_output_tokens":
		return wholeNumber
	case "clock_offset_s", "clock_offset_bound_s":
		return number
	case "benchmark":
		return object
	default:
		return "a text"
	}
}

// instant is a time as callers write it: Unix seconds or RFC 3339.
type instant struct{ sampler.Moment }

func (i *instant) UnmarshalJSON(text []byte) error {
	if text[0] != '"' {
		return i.parse(string(text))
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	return i.parse(s)
}

func (i *instant) parse(text string) error {
	const end = 9e9 // s: what 64 bits of nanoseconds can count; a time in milliseconds lies far beyond
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		if t.Unix() <= 0 || t.Unix() > end {
			return fmt.Errorf("%s is not a time of this age", text)
		}
		i.Moment = sampler.WallMoment(t)
		return nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds > 0 && seconds <= end) {
		return fmt.Errorf("%.40q is neither Unix seconds nor RFC 3339", text)
	}
	i.Moment = sampler.UnixMoment(seconds)
	return nil
}

// names is a list of GPUs: a JSON list of strings and numbers, one of these, or a string with commas.
type names []string

func (n *names) UnmarshalJSON(text []byte) error {
	list := []json.RawMessage{text}
	if text[0] == '[' {
		if err := json.Unmarshal(text, &list); err != nil {
			return err
		}
	}
	for _, entry := range list {
		var name string
		var index json.Number
		switch {
		case entry[0] == '"' && json.Unmarshal(entry, &name) == nil:
			for one := range strings.SplitSeq(name, ",") {
				if one = strings.TrimSpace(one); one != "" {
					*n = append(*n, one)
				}
			}
		case entry[0] != '"' && entry[0] != 'n' && json.Unmarshal(entry, &index) == nil:
			*n = append(*n, index.String())
		default:
			return errors.New("want " + shape("gpus"))
		}
	}
	return nil
}

// readFields reads the request's fields, from its query and its body.
func readFields(r *http.Request, allowed []string) (fields, error) {
	var f fields
	given, err := readMembers(r)
	if err != nil {
		return f, err
	}
	for _, m := range given {
		if !slices.Contains(allowed, m.name) {
			return f, fmt.Errorf("%w: unknown field %.40q; known are %s", errSyntax, m.name, strings.Join(allowed, ", "))
		}
		if err := f.set(m); err != nil {
			return f, fmt.Errorf("%w: %s: %w", errSyntax, m.name, err)
		}
	}
	return f, f.check()
}

// set sets one field. Null is as good as not given.
func (f *fields) set(m member) error {
	value, err := m.json()
	if err != nil || string(value) == "null" {
		return err
	}
	if m.name == "benchmark" && value[0] != '{' {
		return errors.New("want " + shape(m.name))
	}
	name := m.name
	if name == "start" || name == "end" {
		name += "_unix"
	}
	err = json.Unmarshal(fmt.Appendf(nil, `{%q:%s}`, name, value), f)
	if _, wrong := errors.AsType[*json.UnmarshalTypeError](err); wrong {
		return fmt.Errorf("%.40s is not %s", value, shape(m.name))
	}
	return err
}

func (f *fields) check() error {
	for _, name := range []string{f.Run, f.ID, f.IdleRun} {
		if name != "" && !validRun(name) {
			return fmt.Errorf("%w: 1 to 200 of A-Z a-z 0-9 . _ -, and not only dots", errRunName)
		}
	}
	switch {
	case !slices.Contains([]string{"", "prefill", "decode"}, f.Role):
		return fmt.Errorf("%w: role is prefill or decode", errSyntax)
	}
	return f.checkSkew()
}

// formatted checks that the format is one of these.
func (f *fields) formatted(known ...string) error {
	if f.Format != "" && !slices.Contains(known, f.Format) {
		return fmt.Errorf("%w: format is %s", errSyntax, strings.Join(known, ", "))
	}
	return nil
}

// validRun reports that a run's name can stand in a file name.
func validRun(run string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	return len(run) <= 200 && strings.Trim(run, letters) == "" && strings.Trim(run, ".") != ""
}

// hasWork reports that the request says what the benchmark did.
func (f *fields) hasWork() bool {
	return f.BenchmarkResult != "" || len(f.Benchmark) > 0 ||
		f.Completed != nil || f.TotalInputTokens != nil || f.TotalOutputTokens != nil
}
