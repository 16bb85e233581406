package api

import (
	"fmt"
	"net/http"
	"reflect"

	"wattmark/window"
)

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

// endAgain answers a mark-end for a window that has ended.
func (s *Server) endAgain(w http.ResponseWriter, mark window.Mark, f fields) error {
	if err := f.means(mark); err != nil {
		return err
	}
	unlock := s.ended.lock(mark.Run)
	defer unlock()
	e, ok := s.ended.find(mark.ID)
	if !ok {
		return fmt.Errorf("%w %q: it was measured again meanwhile", window.ErrUnknownRun, mark.Run)
	}
	return s.repeat(w, e, f)
}

// repeat answers with the same bytes, unless the caller brings benchmark data or files that were not there before.
func (s *Server) repeat(w http.ResponseWriter, e *ended, f fields) error {
	merged, news := e.asked.with(f)
	if news || e.unsettled(f) {
		if err := s.checkFiles(merged); err != nil {
			return err
		}
		again := &ended{mark: e.mark, span: e.span, asked: merged, seen: e.seen, cost: e.cost, again: true}
		again.interrupted, again.elsewhere = e.interrupted, e.elsewhere
		if merged.ExpectedNumGPUs != nil {
			again.span.Expected = merged.ExpectedNumGPUs
		}
		if err := s.conclude(again); err != nil {
			return err
		}
		e = again
	}
	send(w, e.answer)
	return nil
}
