package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"

	"wattmark/agg"
	"wattmark/internal/atomicfile"
	"wattmark/sampler"
	"wattmark/window"
)

var errNoResults = errors.New("the daemon has no results folder")

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

// writeWindowFile keeps a result (JSON) with what it was made of.
func (s *Server) writeWindowFile(result []byte, e *ended, series iter.Seq[sampler.Series]) error {
	if s.results() == nil {
		return errNoResults
	}
	boot := s.config.Boot
	if e.elsewhere != nil {
		boot = e.elsewhere.boot
	}
	mark, err := e.toFile(boot)
	if err != nil {
		return err
	}
	return atomicfile.Stream(s.results(), s.windowFile(e.mark.Run), func(w io.Writer) error {
		var failed error
		err := s.inTurns(func(t *turn) {
			e.turn = t
			failed = agg.EncodeWindow(toDisk{w, t}, result, s.config.Limits, mark, series)
		})
		e.turn = nil
		if err := cmp.Or(err, failed, e.failed); err != nil { // the old file is the better one
			return err
		}
		_, err = w.Write([]byte("\n"))
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
	release, err := acquire(ctx, s.load.files, s.filesAtOnce())
	if err != nil {
		result.Notes = append(result.Notes, window.ValidationUnwritable)
		return window.Aggregate{Path: f.AggResult, Status: agg.StatusFailed, Detail: err.Error()}
	}
	defer release()
	files := agg.Files{Validation: f.ValidationResult, Sources: sources, Extra: s.config.AggExtra, MaxBytes: s.config.MaxAggregate}
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

// filesAtOnce is what one request counts for of those that patch files: where memory is short, all.
func (s *Server) filesAtOnce() int64 {
	if 0 < s.config.MaxAggregate && s.config.MaxAggregate < agg.MaxAggregate {
		return inFiles
	}
	return 1
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
