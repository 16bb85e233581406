package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"wattmark/agg"
	"wattmark/internal/atomicfile"
	"wattmark/sampler"
	"wattmark/window"
)

// checkFiles refuses what cannot be carried out, before anything is written.
func (s *Server) checkFiles(f fields) error {
	if f.AggResult != "" && !f.hasWork() {
		return fmt.Errorf("%w: name benchmark_result, or give benchmark or the counts", errNoWork)
	}
	if err := s.checkIdle(f.IdleRun); err != nil {
		return err
	}
	for _, file := range []struct{ field, path string }{
		{"benchmark_result", f.BenchmarkResult}, {"agg_result", f.AggResult}, {"validation_result", f.ValidationResult},
	} {
		if file.path == "" {
			continue
		}
		if _, err := s.confine(file.path); err != nil {
			return fmt.Errorf("%w: %s: %w", errPath, file.field, err)
		}
	}
	if f.AggResult != "" {
		if err := agg.CheckAggregateName(f.AggResult); err != nil {
			return fmt.Errorf("%w: agg_result: %w", errPath, err)
		}
	}
	if f.ValidationResult != "" {
		if s.inside(f.ValidationResult) == s.inside(f.AggResult) {
			return fmt.Errorf("%w: agg_result and validation_result are the same file", errPath)
		}
		err := agg.CheckValidation(s.results(), s.inside(f.ValidationResult))
		if err != nil && (errors.Is(err, agg.ErrNotValidation) || errors.Is(err, agg.ErrValidationName) || s.folderError() == nil) {
			return fmt.Errorf("%w: validation_result: %w", errPath, err)
		}
	}
	return nil
}

func (s *Server) confine(path string) (string, error) {
	if s.results() == nil {
		return "", fmt.Errorf("%w: the daemon has no results folder", agg.ErrForbidden)
	}
	name, err := agg.Confine(s.config.ResultsDir, path)
	if errors.Is(err, agg.ErrNoFolder) {
		return name, nil // the window is measured all the same, and the answer says what could not be written
	}
	return name, err
}

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
	src := s.source(e, benchmark)
	var result window.Result
	if err := s.inTurn(func() { result = agg.Conclude(src, e.span, s.config.Limits, benchmark) }); err != nil {
		return err
	}
	result.Backend = s.config.Backend().Name
	result.Cost.CPUSeconds, result.Cost.RSSBytes, result.Cost.MissedTicks = e.cost.CPUSeconds, e.cost.RSSBytes, e.cost.MissedTicks
	result.Versions = s.versions()
	s.noteRestarts(&result)
	result = s.served(s.aboveIdle(result, e.asked.IdleRun))

	sources := agg.Sources{Telemetry: s.windowFile(e.mark.Run), Benchmark: e.asked.BenchmarkResult}
	if benchmark != nil {
		sources.ReportedDuration = benchmark.Duration
	}
	result.Aggregate = s.writeBenchmarkFiles(e.asked, &result, sources)
	e.waiting = result.Aggregate.Status == agg.StatusPending || result.Aggregate.Status == agg.StatusFailed
	if s.results() == nil {
		result.Notes = append(result.Notes, window.FileUnwritable)
	} else {
		if err := s.writeWindowFile(result, e, agg.Kept(src, s.kept(e, result))); err != nil {
			s.config.Logger.Warn("window file not written", "window", e.mark.Run, "err", err)
			result.Notes = append(result.Notes, window.FileUnwritable)
		}
	}
	text, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encode the result of %s: %w", e.mark.Run, err)
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
	if e.again && s.results() != nil && s.inMemory(start, e.mark.GPUs) != nil {
		var file agg.WindowFile
		text, _, err := atomicfile.Read(s.results(), s.windowFile(e.mark.Run), agg.MaxWindowFile)
		if err == nil {
			err = file.UnmarshalJSON(text)
		}
		if err == nil {
			return whole{window.Recorded(file.Series), e.mark.GPUs}
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

func (s *Server) writeWindowFile(result window.Result, e *ended, series iter.Seq[sampler.Series]) error {
	mark, err := e.toFile()
	if err != nil {
		return err
	}
	return atomicfile.Stream(s.results(), s.windowFile(e.mark.Run), func(w io.Writer) error {
		if err := agg.EncodeWindow(w, result, s.config.Limits, mark, series); err != nil {
			return err
		}
		_, err := w.Write([]byte("\n"))
		return err
	})
}

// writeBenchmarkFiles patches the aggregate and writes the validation file, where the request names the benchmark's
// files. What went wrong is in the answer, and the window file can finish the job.
func (s *Server) writeBenchmarkFiles(f fields, result *window.Result, sources agg.Sources) window.Aggregate {
	if f.AggResult == "" && f.ValidationResult == "" && f.BenchmarkResult == "" {
		return window.Aggregate{Status: agg.StatusNone}
	}
	ctx, cancel := context.WithTimeout(context.Background(), markPatience)
	defer cancel()
	release, err := acquire(ctx, s.load.files, 1)
	if err != nil {
		result.Notes = append(result.Notes, window.ValidationUnwritable)
		return window.Aggregate{Path: f.AggResult, Status: agg.StatusFailed, Detail: err.Error()}
	}
	defer release()
	files := agg.Files{Validation: f.ValidationResult, Sources: sources, Extra: s.config.AggExtra}
	if files.Validation == "" {
		files.Validation = agg.ValidationName(f.BenchmarkResult, result.Run, s.config.Node)
	}
	files.Aggregate, files.Validation = s.inside(f.AggResult), s.inside(files.Validation)
	if folder := filepath.Dir(files.Validation); folder != "." {
		// As the benchmark's own script does. If this fails, so does writing there, and that says why.
		_ = s.results().MkdirAll(folder, 0o755)
	}
	aggregate, err := agg.Write(s.results(), *result, files)
	aggregate.Path = f.AggResult
	if gone := s.folderError(); gone != nil && aggregate.Status == agg.StatusPending {
		aggregate.Status, aggregate.Detail = agg.StatusFailed, gone.Error()
	}
	if err != nil {
		s.config.Logger.Warn("validation file not written", "window", result.Run, "err", err)
		aggregate.Detail = strings.TrimPrefix(aggregate.Detail+"; validation file: "+err.Error(), "; ")
		result.Notes = append(result.Notes, window.ValidationUnwritable)
	}
	return aggregate
}

// inside is a path as the results folder's root takes it; checkFiles has refused those that leave it.
func (s *Server) inside(path string) string {
	if path == "" {
		return ""
	}
	name, err := s.confine(path)
	if err != nil {
		return path // it has become a link meanwhile: writing refuses it and says so
	}
	return name
}

func (s *Server) versions() window.Versions {
	v := window.Versions{Wattmark: s.config.Version}
	for _, info := range s.config.Sampler.Infos() {
		v.Driver, v.Library = info.Driver, info.Library
	}
	return v
}

// with returns the fields of both requests, and whether the new one brings something that the old one lacked.
func (f fields) with(more fields) (merged fields, news bool) {
	merged = f
	if more.hasWork() && !sameWork(f, more) {
		merged.BenchmarkResult, merged.Benchmark = more.BenchmarkResult, more.Benchmark
		merged.Completed, merged.TotalInputTokens = more.Completed, more.TotalInputTokens
		merged.TotalOutputTokens = more.TotalOutputTokens
		news = true
	}
	for _, path := range []struct{ old, add *string }{
		{&merged.AggResult, &more.AggResult},
		{&merged.ValidationResult, &more.ValidationResult},
		{&merged.IdleRun, &more.IdleRun},
	} {
		if *path.add != "" && *path.add != *path.old {
			*path.old, news = *path.add, true
		}
	}
	if more.ExpectedNumGPUs != nil && !reflect.DeepEqual(more.ExpectedNumGPUs, f.ExpectedNumGPUs) {
		merged.ExpectedNumGPUs, news = more.ExpectedNumGPUs, true
	}
	return merged, news
}

func sameWork(a, b fields) bool {
	return a.BenchmarkResult == b.BenchmarkResult && string(a.Benchmark) == string(b.Benchmark) &&
		reflect.DeepEqual(a.Completed, b.Completed) &&
		reflect.DeepEqual(a.TotalInputTokens, b.TotalInputTokens) &&
		reflect.DeepEqual(a.TotalOutputTokens, b.TotalOutputTokens)
}

// Interrupt ends the event streams, reads the GPUs once more and writes each open window up to now as interrupted. The windows
// stay open.
func (s *Server) Interrupt() {
	defer s.config.Flush()
	s.viewers.leave()
	open := s.marks.All()
	if len(open) == 0 || s.results() == nil {
		return
	}
	now := s.config.Sampler.Now()
	var late atomic.Bool
	var left atomic.Int64
	left.Store(int64(len(open)))
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.poll(nil)
		slices.SortStableFunc(open, func(a, b window.Mark) int { return cmp.Compare(b.Start.Sub(a.Start), 0) }) // the shortest first
		for _, mark := range open {
			if late.Load() {
				return
			}
			s.interrupt(mark, now)
			left.Add(-1)
		}
	}()
	select {
	case <-written:
	case <-time.After(interruptTime):
		late.Store(true)
		s.config.Logger.Warn("no time to write all open windows as interrupted; the state has them", "left", left.Load())
	}
}

// interruptTime is for how long open windows are written at the end: 256 of a day would be 15 GB. What is being written when
// it is over stays without a name.
const interruptTime = 900 * time.Millisecond

// interrupt writes one window as interrupted, unless a mark-end has been or is at work on it: its file is the better one.
func (s *Server) interrupt(mark window.Mark, now sampler.Moment) {
	unlock, ok := s.ended.tryLock(mark.Run)
	if !ok {
		return
	}
	defer unlock()
	if current, err := s.marks.Find(mark.Run); err != nil || current.ID != mark.ID {
		return
	}
	span := window.Window{
		Run: mark.Run, Start: mark.Start, End: now, Expected: mark.Expected, Role: mark.Role, Skew: mark.Skew,
	}
	s.writeInterrupted(whole{window.Only(s.config.Sampler, mark.GPUs...), mark.GPUs}, mark, span)
}

// writeInterrupted writes a window's file up to where the daemon stopped.
func (s *Server) writeInterrupted(src window.Source, mark window.Mark, span window.Window) {
	result := window.Measure(src, span, s.config.Limits)
	result.Reasons = append(result.Reasons, window.Interrupted)
	result.Backend, result.Versions = s.config.Backend().Name, s.versions()
	result.Aggregate.Status = agg.StatusNone
	s.noteRestarts(&result)
	e := &ended{mark: mark, span: span, seen: span.End}
	if err := s.writeWindowFile(result, e, agg.Kept(src, span)); err != nil {
		s.config.Logger.Warn("window file not written", "window", mark.Run, "err", err)
	}
	s.tell(mark.ID, result, false)
	s.config.Logger.Warn("window interrupted", "window", mark.Run)
}
