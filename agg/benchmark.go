package agg

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"

	"wattmark/internal/atomicfile"
	"wattmark/sampler"
	"wattmark/window"
)

// MaxBenchmark is the largest result of a benchmark that is read: 1 GB. It is streamed, never held.
const MaxBenchmark = 1 << 30

// Benchmark is what a benchmark's result says of its measurement.
type Benchmark struct {
	Start, End sampler.Value // Unix seconds
	Duration   sampler.Value // seconds, on the client's monotonic clock
	HasWindow  bool          // Start, End and Duration are there and make sense: Start and End set the window
	Work       window.Work
	Reasons    []window.Reason // in the benchmark's order
	Err        error           // why the result could not be read, for people; goes with InvalidBenchmarkResult
}

// ReadBenchmark reads a benchmark's result: one JSON object in any layout, or JSON lines of which the last counts.
// Only six fields are looked at; memory stays small whatever the rest holds.
//
// A result with neither stamp (vLLM's and SGLang's own clients write none) has no window, which is no reason; see
// RequireWindow.
func ReadBenchmark(r io.Reader) Benchmark { return readBenchmark(r, MaxBenchmark) }

func readBenchmark(r io.Reader, limit int64) Benchmark {
	limited := &io.LimitedReader{R: r, N: limit + 1}
	f, err := readFields(stream(limited))
	if limited.N <= 0 {
		err = fmt.Errorf("%w: more than %d bytes", atomicfile.ErrTooLarge, limit)
	}
	if err != nil {
		return unreadable(err)
	}
	return f.benchmark()
}

// ReadBenchmarkFile is ReadBenchmark for a file inside root. Links are refused.
func ReadBenchmarkFile(root *os.Root, name string) Benchmark {
	file, _, err := atomicfile.Open(root, name)
	if err != nil {
		return unreadable(err)
	}
	defer func() { _ = file.Close() }()
	return ReadBenchmark(file)
}

// InlineBenchmark is ReadBenchmark for a result at hand.
func InlineBenchmark(object []byte) Benchmark { return ReadBenchmark(bytes.NewReader(object)) }

// CountedBenchmark is a benchmark of which only the counts are known, each as the text of a number; "" is unknown.
func CountedBenchmark(completed, inputTokens, outputTokens string) Benchmark {
	cell := func(text string) cell { return cell{present: text != "", number: text} }
	return fields{"completed": cell(completed), "total_input_tokens": cell(inputTokens), "total_output_tokens": cell(outputTokens)}.benchmark()
}

// RequireWindow adds the reason for a missing window. InferenceX takes a window from the result only.
func (b Benchmark) RequireWindow() Benchmark {
	if !b.HasWindow && !slices.Contains(b.Reasons, window.InvalidBenchmarkResult) && !slices.Contains(b.Reasons, window.InvalidBenchmarkWindow) {
		b.Reasons = slices.Concat([]window.Reason{window.InvalidBenchmarkWindow}, b.Reasons)
	}
	return b
}

func unreadable(err error) Benchmark {
	return Benchmark{Reasons: []window.Reason{window.InvalidBenchmarkResult}, Err: err}
}

// cell is a field of a result: a number's text, or "" for anything else. A null is not present.
type cell struct {
	present bool
	number  string
}

type fields map[string]cell

// readFields reads JSON objects up to the end of the input and returns what it looks for in the last.
func readFields(s *scanner) (fields, error) {
	s.bom()
	var last fields
	for {
		s.newline = false
		s.space()
		if s.pos == len(s.buf) && (s.failed == nil || errors.Is(s.failed, io.EOF)) {
			break
		}
		if last != nil && !s.newline {
			return nil, s.unexpected("the text's end")
		}
		last = fields{}
		err := s.object(func(key string, _ int64) error { return last.read(s, key) })
		if err != nil {
			return nil, err
		}
	}
	if last == nil {
		return nil, s.unexpected("an object")
	}
	return last, nil
}

// read reads the value of key. Of equal keys the last counts, as in Python.
func (f fields) read(s *scanner, key string) error {
	switch key {
	case "benchmark_start_time_unix", "benchmark_end_time_unix", "duration",
		"completed", "total_input_tokens", "total_output_tokens":
	default:
		return s.skip()
	}
	c := s.space()
	if numeric(c) {
		s.mark = s.pos
	}
	if err := s.skip(); err != nil {
		return err
	}
	f[key] = cell{present: c != 'n', number: string(s.marked())}
	return nil
}

// benchmark checks the fields, in InferenceX's order.
func (f fields) benchmark() Benchmark {
	var b Benchmark
	b.Duration = f["duration"].seconds()
	start, end := f["benchmark_start_time_unix"], f["benchmark_end_time_unix"]
	if start.present || end.present {
		b.Start, b.End = start.stamp(), end.stamp()
		from, fromOK := b.Start.Known()
		to, toOK := b.End.Known()
		length, lengthOK := b.Duration.Known()
		b.HasWindow = fromOK && toOK && lengthOK && to > from
		switch {
		case !b.HasWindow:
			b.Reasons = append(b.Reasons, window.InvalidBenchmarkWindow)
		case math.Abs(length-(to-from)) > max(0.5, 0.01*(to-from)):
			b.Reasons = append(b.Reasons, window.DurationMismatch)
		}
	}
	for _, count := range []struct {
		field  string
		to     **int64
		reason window.Reason
	}{
		{"completed", &b.Work.Completed, window.InvalidQueryCount},
		{"total_input_tokens", &b.Work.InputTokens, window.InvalidInputTokenCount},
		{"total_output_tokens", &b.Work.OutputTokens, window.InvalidOutputTokenCount},
	} {
		n, err := strconv.ParseInt(f[count.field].number, 10, 64)
		if err != nil || n <= 0 {
			b.Reasons = append(b.Reasons, count.reason)
			continue
		}
		*count.to = &n
	}
	return b
}

// seconds returns a positive length of time.
func (c cell) seconds() sampler.Value {
	if x, ok := c.finite().Known(); ok && x > 0 {
		return sampler.Some(x)
	}
	return sampler.Value{}
}

// stamp returns a Unix time that a clock can show: within 285 years of 1970. One in milliseconds is none.
func (c cell) stamp() sampler.Value {
	if x, ok := c.finite().Known(); ok && math.Abs(x) < 9e9 {
		return sampler.Some(x)
	}
	return sampler.Value{}
}

func (c cell) finite() sampler.Value {
	x, err := strconv.ParseFloat(c.number, 64)
	if err != nil { // too large is an error as well
		return sampler.Value{}
	}
	return sampler.Some(x)
}
