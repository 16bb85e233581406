package api

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"

	"wattmark/agg"
	"wattmark/internal/atomicfile"
	"wattmark/report"
	"wattmark/sampler"
	"wattmark/window"
)

// windowJSON is the format of a report that is no report: the window's file, from which one can be made elsewhere.
const windowJSON = "json"

// report shows an ended window: as a page, a picture or Markdown, or gives its file.
func (s *Server) report(w http.ResponseWriter, r *http.Request) error {
	f, err := readFields(r, reportFields())
	if err != nil {
		return err
	}
	if err := f.formatted(string(report.HTML), string(report.SVG), string(report.Markdown), windowJSON); err != nil {
		return err
	}
	run := r.PathValue("run")
	if mark, err := s.marks.Find(run); err == nil {
		return fmt.Errorf("run %q: %w: end it first", mark.Run, window.ErrOpen)
	}
	e, ok := s.findEnded(run)
	if !ok {
		return fmt.Errorf("%w %.100q", window.ErrUnknownRun, run)
	}
	if f.Format == windowJSON {
		return s.windowJSON(w, r, e)
	}
	format := report.Format(f.Format)
	if f.Format == "" {
		format = report.HTML
	}
	release, err := s.holdFor(r.Context(), e.span, readPatience)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	var failed error
	err = s.inTurns(func(t *turn) {
		var shown report.Run
		if shown, failed = s.shown(e, t); failed == nil {
			failed = report.Write(&page, format, shown)
		}
	})
	release()
	if err := cmp.Or(err, failed); err != nil {
		return err
	}
	w.Header().Set("Content-Type", format.Type())
	w.Header().Set("Content-Security-Policy", report.Policy+"; sandbox")
	_, _ = page.WriteTo(w)
	return nil
}

// shown is what a report shows of the window: from its file, or from memory where that is not there.
func (s *Server) shown(e *ended, t *turn) (run report.Run, err error) {
	if err := run.Result.UnmarshalJSON(e.answer); err != nil {
		return run, fmt.Errorf("the result of %s: %w", e.mark.Run, err)
	}
	thin, drawn := thinner(run.Result, s.config.Limits)
	var file *os.File
	t.away(func() { file, err = s.openWindow(e) })
	if err == nil {
		defer func() { _ = file.Close() }() // only read from
		whole, err := agg.ReadWindow(fromDisk{file, t}, thin)
		if err == nil {
			run.Result, run.Limits, run.Series = whole.Result, whole.Limits, whole.Series
			run.Limits.MaxGap = max(run.Limits.MaxGap, drawn.MaxGap)
			return run, nil
		}
	}
	run.Limits = drawn
	for series := range s.series(e, run.Result) {
		run.Series = append(run.Series, thin(series))
	}
	return run, nil
}

// series are the readings of an ended window that are in memory.
func (s *Server) series(e *ended, r window.Result) iter.Seq[sampler.Series] {
	return agg.Kept(window.Only(s.config.Sampler, e.mark.GPUs...), window.Window{Start: r.Start, End: r.End})
}

// openWindow opens the window's file, if it is one.
func (s *Server) openWindow(e *ended) (*os.File, error) {
	results := s.results()
	if results == nil {
		return nil, os.ErrNotExist
	}
	if _, err := agg.ReadWindowHead(results, s.windowFile(e.mark.Run)); err != nil {
		return nil, err
	}
	file, _, err := atomicfile.Open(results, s.windowFile(e.mark.Run))
	return file, err
}

// windowJSON gives the window's file, or one made from memory where that is not there, as it is read: a day of eight GPUs
// is 65 MB.
func (s *Server) windowJSON(w http.ResponseWriter, r *http.Request, e *ended) error {
	ctx, cancel := context.WithTimeout(r.Context(), readPatience)
	defer cancel()
	release, err := acquire(ctx, s.load.sending, 1) // not what a mark waits for: a client may not read
	if err != nil {
		return err
	}
	defer release()
	if file, err := s.openWindow(e); err == nil {
		w.Header().Set("Content-Type", "application/json")
		defer func() { _ = file.Close() }() // only read from
		if err := agg.CopyWindow(w, file); err != nil {
			panic(http.ErrAbortHandler) // the client must not take half of it for all
		}
		return nil
	}
	var result window.Result
	if err := result.UnmarshalJSON(e.answer); err != nil {
		return fmt.Errorf("the result of %s: %w", e.mark.Run, err)
	}
	w.Header().Set("Content-Type", "application/json")
	var failed error
	err = s.inTurns(func(t *turn) {
		failed = agg.EncodeWindow(toDisk{w, t}, bytes.TrimSuffix(e.answer, []byte("\n")), s.config.Limits, nil, s.series(e, result))
	})
	if cmp.Or(err, failed) != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, "\n")
	return nil
}
