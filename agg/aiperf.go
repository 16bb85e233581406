package agg

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"wattmark/window"
)

// The reasons of InferenceX's AgentX, where what AIPerf left does not say what was measured.
const (
	ProfileArtifactsMissing   window.Reason = "profile_artifacts_missing"
	ProfileArtifactsInvalid   window.Reason = "profile_artifacts_invalid"
	ProfileWindowMissing      window.Reason = "profile_window_missing"
	ProfileWindowInvalid      window.Reason = "profile_window_invalid"
	TimezoneOffsetMissing     window.Reason = "profile_timezone_offset_missing"
	TimezoneOffsetInvalid     window.Reason = "profile_timezone_offset_invalid"
	SuccessfulCountInvalid    window.Reason = "successful_request_count_invalid"
	IncompleteTokenAccounting window.Reason = "incomplete_token_accounting"
	PowerWindowUnwritable     window.Reason = "power_window_unwritable"
)

const (
	aiperfProfile = "profile_export_aiperf.json"
	aiperfRecords = "profile_export.jsonl"
	aiperfOffset  = "agentic_power_timezone_offset.txt"
	maxProfile    = 64 << 20 // bytes
	maxRecord     = 64 << 20

	naiveTime = "2006-01-02T15:04:05.999999999"
	// From these on a number is no longer one of seconds.
	epochMilliseconds, epochNanoseconds = 1e11, 1e17
)

// AIPerfError is what is wrong with what AIPerf left.
type AIPerfError struct {
	Reason window.Reason
	Err    error
}

func (e *AIPerfError) Error() string { return fmt.Sprintf("%s: %v", e.Reason, e.Err) }

func (e *AIPerfError) Unwrap() error { return e.Err }

func wrong(reason window.Reason, format string, args ...any) error {
	return &AIPerfError{reason, fmt.Errorf(format, args...)}
}

// AIPerfWindow is the benchmark's result that AIPerf does not write itself: the profiling phase, and what its successful
// requests were.
type AIPerfWindow struct {
	Start        float64 `json:"benchmark_start_time_unix"`
	End          float64 `json:"benchmark_end_time_unix"`
	Duration     float64 `json:"duration"`
	Completed    int64   `json:"completed"`
	InputTokens  int64   `json:"total_input_tokens"`
	OutputTokens int64   `json:"total_output_tokens"`
}

// ReadAIPerf reads profile_export_aiperf.json and profile_export.jsonl in a folder. Times without a zone are in that of
// agentic_power_timezone_offset.txt, which has what `date +%z` prints. Requests count that belong to the profiling phase
// and ended without an error; each has to say how many tokens went in and came out. Errors are AIPerfErrors.
func ReadAIPerf(folder string) (AIPerfWindow, error) {
	var w AIPerfWindow
	profile, err := readLimited(filepath.Join(folder, aiperfProfile))
	if err != nil {
		return w, err
	}
	var times struct {
		Start json.RawMessage `json:"start_time"`
		End   json.RawMessage `json:"end_time"`
	}
	if err := json.Unmarshal(profile, &times); err != nil {
		return w, wrong(ProfileArtifactsInvalid, "%s: %w", aiperfProfile, err)
	}
	if w.Start, err = aiperfTime(times.Start, folder, "start_time"); err != nil {
		return w, err
	}
	if w.End, err = aiperfTime(times.End, folder, "end_time"); err != nil {
		return w, err
	}
	if w.Duration = w.End - w.Start; w.Duration <= 0 {
		return w, wrong(ProfileWindowInvalid, "end_time is not after start_time")
	}
	return w, w.count(filepath.Join(folder, aiperfRecords))
}

func readLimited(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, wrong(ProfileArtifactsMissing, "%w", err)
	} else if err != nil {
		return nil, wrong(ProfileArtifactsInvalid, "%w", err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxProfile+1))
	if err == nil && len(text) > maxProfile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxProfile)
	}
	if err != nil {
		return nil, wrong(ProfileArtifactsInvalid, "%w", err)
	}
	return text, nil
}

// aiperfTime returns the Unix time in seconds of a field: a number, or ISO 8601 with a zone or without.
func aiperfTime(raw json.RawMessage, folder, name string) (float64, error) {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return 0, wrong(ProfileWindowMissing, "there is no %s", name)
	}
	var number float64
	if json.Unmarshal(raw, &number) == nil {
		if number <= 0 || number >= epochNanoseconds*100 {
			return 0, wrong(ProfileWindowInvalid, "%s %v is no time", name, number)
		}
		switch {
		case number >= epochNanoseconds:
			number /= 1e9
		case number >= epochMilliseconds:
			number /= 1e3
		}
		return number, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return 0, wrong(ProfileWindowInvalid, "%s: %w", name, err)
	}
	text = strings.Replace(strings.TrimSpace(text), " ", "T", 1)
	if at, err := time.Parse(naiveTime+"Z07:00", text); err == nil {
		return float64(at.UnixNano()) / 1e9, nil
	}
	at, err := time.Parse(naiveTime, text)
	if err != nil {
		return 0, wrong(ProfileWindowInvalid, "%s: %w", name, err)
	}
	offset, err := aiperfOffsetOf(folder)
	if err != nil {
		return 0, err
	}
	return float64(at.Add(-offset).UnixNano()) / 1e9, nil
}

// aiperfOffsetOf returns how far AIPerf's clock is ahead of UTC.
func aiperfOffsetOf(folder string) (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(folder, aiperfOffset))
	if err != nil {
		return 0, wrong(TimezoneOffsetMissing, "times have no zone: %w", err)
	}
	parts := regexp.MustCompile(`^([+-])([0-9]{2}):?([0-9]{2})$`).FindStringSubmatch(strings.TrimSpace(string(text)))
	if parts == nil {
		return 0, wrong(TimezoneOffsetInvalid, "%s: %.40q is not as +0200", aiperfOffset, text)
	}
	hours, _ := strconv.Atoi(parts[2]) // two digits each
	minutes, _ := strconv.Atoi(parts[3])
	if hours > 23 || minutes > 59 {
		return 0, wrong(TimezoneOffsetInvalid, "%s: %s is no offset", aiperfOffset, parts[0])
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if parts[1] == "-" {
		return -offset, nil
	}
	return offset, nil
}

// aiperfRecord is one request.
type aiperfRecord struct {
	Metadata struct {
		Phase string `json:"benchmark_phase"`
	} `json:"metadata"`
	Metrics map[string]json.RawMessage `json:"metrics"`
	Error   json.RawMessage            `json:"error"`
}

// count adds up the successful requests of the profiling phase.
func (w *AIPerfWindow) count(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return wrong(ProfileArtifactsMissing, "%w", err)
	} else if err != nil {
		return wrong(ProfileArtifactsInvalid, "%w", err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxRecord)
	incomplete := error(nil)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var record aiperfRecord
		if err := json.Unmarshal(line, &record); err != nil {
			return wrong(ProfileArtifactsInvalid, "%s, line %d: %w", aiperfRecords, n, err)
		}
		if record.Metadata.Phase != "profiling" || len(record.Error) > 0 && !bytes.Equal(record.Error, []byte("null")) {
			continue
		}
		w.Completed++
		for name, sum := range map[string]*int64{"input_sequence_length": &w.InputTokens, "output_sequence_length": &w.OutputTokens} {
			tokens, ok := record.tokens(name)
			if !ok && incomplete == nil {
				incomplete = wrong(IncompleteTokenAccounting, "%s, line %d: no %s", aiperfRecords, n, name)
			}
			*sum += tokens
		}
	}
	switch err := lines.Err(); {
	case err != nil:
		return wrong(ProfileArtifactsInvalid, "%s: %w", aiperfRecords, err)
	case w.Completed == 0:
		return wrong(SuccessfulCountInvalid, "%s has no successful request of the profiling phase", aiperfRecords)
	case incomplete == nil && (w.InputTokens == 0 || w.OutputTokens == 0):
		incomplete = wrong(IncompleteTokenAccounting, "%d input tokens, %d output tokens", w.InputTokens, w.OutputTokens)
	}
	return incomplete
}

// tokens returns a count of a request: a number, or an object with a value.
func (r aiperfRecord) tokens(name string) (int64, bool) {
	raw := r.Metrics[name]
	var object struct {
		Value *float64 `json:"value"`
	}
	var number float64
	switch {
	case json.Unmarshal(raw, &object) == nil && object.Value != nil:
		number = *object.Value
	case len(raw) == 0 || bytes.Equal(raw, []byte("null")) || json.Unmarshal(raw, &number) != nil:
		return 0, false
	}
	if number < 0 || number != math.Trunc(number) || number > 1e15 {
		return 0, false
	}
	return int64(number), true
}
