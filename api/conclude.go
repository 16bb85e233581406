package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"wattmark/agg"
	"wattmark/sampler"
	"wattmark/window"
)

// benchmark reads what the request says about the benchmark. An unreadable file is a reason, not an error.
func (s *Server) benchmark(f fields) agg.Benchmark {
	switch {
	case f.BenchmarkResult != "":
		name, err := s.confine(f.BenchmarkResult)
		if err != nil {
			return agg.Benchmark{Reasons: []window.Reason{window.InvalidBenchmarkResult}, Err: err}
		}
		return agg.ReadBenchmarkFile(s.results(), name)
	case len(f.Benchmark) > 0:
		return agg.InlineBenchmark(f.Benchmark)
	default:
		return agg.CountedBenchmark(digits(f.Completed), digits(f.TotalInputTokens), digits(f.TotalOutputTokens))
	}
}

func digits(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// conclude measures a window, writes its files and keeps its answer.
func (s *Server) conclude(e *ended) error {
	var benchmark *agg.Benchmark
	if e.asked.hasWork() {
		b := s.benchmark(e.asked)
		benchmark = &b
		e.unread = b.Err != nil
	}
	release, err := s.holdFor(context.Background(), e.span, markPatience) // the client may be gone: it is measured all the same
	if err != nil {
		return err
	}
	defer release()
	var src window.Source
	var result window.Result
	e.failed = nil
	err = s.inTurns(func(t *turn) {
		e.turn = t
		src = yielding{s.source(e, benchmark)}
		result = agg.Conclude(src, e.span, s.config.Limits, benchmark)
	})
	e.turn = nil
	if err := cmp.Or(err, e.failed); err != nil {
		return err
	}
	result.Cost.CPUSeconds, result.Cost.RSSBytes, result.Cost.MissedTicks = e.cost.CPUSeconds, e.cost.RSSBytes, e.cost.MissedTicks
	s.attribute(&result, e, benchmark)
	result = s.served(s.aboveIdle(result, e.asked.IdleRun))

	sources := agg.Sources{Telemetry: s.windowFile(e.mark.Run), Benchmark: e.asked.BenchmarkResult}
	if benchmark != nil {
		sources.ReportedDuration = benchmark.Duration
	}
	result.Aggregate = s.writeBenchmarkFiles(e.asked, &result, sources)
	e.waiting = result.Aggregate.Status == agg.StatusPending || result.Aggregate.Status == agg.StatusFailed
	text, err := json.Marshal(result)
	if err == nil {
		err = s.writeWindowFile(text, e, agg.Kept(src, s.kept(e, result)))
	}
	if e.filed = err == nil; !e.filed {
		if !errors.Is(err, errNoResults) { // which was said at the start
			s.config.Logger.Warn("window file not written", "window", e.mark.Run, "err", err)
		}
		result.Notes = append(result.Notes, window.FileUnwritable)
		if text, err = json.Marshal(result); err != nil {
			return fmt.Errorf("encode the result of %s: %w", e.mark.Run, err)
		}
	}
	e.answer, e.valid = append(text, '\n'), result.Valid()
	s.ended.put(e)
	s.tell(e.mark.ID, result, e.again)
	s.config.Flush()
	s.config.Logger.Info("window ended", "window", e.mark.Run, "power_valid", e.valid, "reasons", result.AllReasons(),
		"joules", result.Energy().Or(0), "aggregate", result.Aggregate.Status)
	return nil
}

func (s *Server) tell(id string, r window.Result, again bool) {
	if s.config.Ended != nil {
		s.config.Ended(id, r, again)
	}
}

// source returns the readings of the window's GPUs: from memory, up to the moment at which the window was first measured,
// so that a repeated mark-end measures the same readings; from the window's own file where memory has moved on.
// The benchmark's own window may lie outside the marks and need others.
func (s *Server) source(e *ended, benchmark *agg.Benchmark) window.Source {
	start, last := e.span.Start, e.seen
	if benchmark != nil && benchmark.HasWindow {
		from, to := benchmark.Window()
		from, to = e.span.Skew.Here(from), e.span.Skew.Here(to)
		if from.Sub(e.span.Start) < 0 || to.Sub(e.span.End) > 0 {
			start, last = from, s.config.Sampler.Now()
		}
	}
	if e.elsewhere != nil || e.again && s.results() != nil && s.inMemory(start, e.mark.GPUs) != nil {
		err := s.checkWindow(e)
		if err == nil || e.elsewhere != nil { // memory has nothing of another boot: it fails, and the file stays
			return whole{fromFile{s, e}, e.mark.GPUs}
		}
		s.config.Logger.Warn("window file not read", "window", e.mark.Run, "err", err)
	}
	return until{whole{window.Only(s.config.Sampler, e.mark.GPUs...), e.mark.GPUs}, last}
}

// until is the part of a source that was read up to a moment.
type until struct {
	src  window.Source
	last sampler.Moment
}

func (u until) Series(from, to sampler.Moment) iter.Seq[sampler.Series] {
	return func(yield func(sampler.Series) bool) {
		for series := range u.src.Series(from, to) {
			n := len(series.Readings)
			for n > 0 && series.Readings[n-1].At.Sub(u.last) > 0 {
				n--
			}
			series.Readings = series.Readings[:n]
			if !yield(series) {
				return
			}
		}
	}
}

// kept is the span of which the window's file keeps the readings: the marks, and the benchmark's own window.
func (s *Server) kept(e *ended, result window.Result) window.Window {
	kept := e.span
	if result.Start.Sub(kept.Start) < 0 && s.inMemory(result.Start, e.mark.GPUs) == nil {
		kept.Start = result.Start
	}
	if result.End.Sub(kept.End) > 0 {
		kept.End = result.End
	}
	return kept
}

func (s *Server) versions() window.Versions {
	v := window.Versions{Wattmark: s.config.Version}
	for _, info := range s.config.Sampler.Infos() {
		v.Driver, v.Library = info.Driver, info.Library
	}
	return v
}
