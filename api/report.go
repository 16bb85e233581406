package api

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"wattmark/agg"
	"wattmark/internal/atomicfile"
	"wattmark/report"
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
	format := report.Format(f.Format)
	if f.Format == "" {
		format = report.HTML
	}
	file, release, err := s.windowOf(r, run)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	var failed error
	err = s.inTurn(func() {
		if f.Format == windowJSON {
			failed = agg.EncodeWindow(&page, file.Result, file.Limits, nil, slices.Values(file.Series))
			return
		}
		failed = report.Write(&page, format, report.Run{Result: file.Result, Limits: file.Limits, Series: file.Series})
	})
	release()
	if err := cmp.Or(err, failed); err != nil {
		return err
	}
	if f.Format == windowJSON {
		w.Header().Set("Content-Type", "application/json")
	} else {
		w.Header().Set("Content-Type", format.Type())
		w.Header().Set("Content-Security-Policy", report.Policy+"; sandbox")
	}
	_, _ = page.WriteTo(w)
	return nil
}

// windowOf returns the window's file: from disk, or made from memory where it is not there. release gives back what
// bounds the memory that requests use.
func (s *Server) windowOf(r *http.Request, run string) (file agg.WindowFile, release func(), err error) {
	e, ok := s.findEnded(run)
	if !ok {
		return file, nil, fmt.Errorf("%w %.100q", window.ErrUnknownRun, run)
	}
	if release, err = s.holdFor(r.Context(), e.span, readPatience); err != nil {
		return file, nil, err
	}
	if s.config.Results != nil {
		text, _, err := atomicfile.Read(s.config.Results, s.windowFile(e.mark.Run), agg.MaxWindowFile)
		if err == nil && file.UnmarshalJSON(text) == nil {
			return file, release, nil
		}
	}
	if err := file.Result.UnmarshalJSON(e.answer); err != nil {
		release()
		return file, nil, fmt.Errorf("the result of %s: %w", e.mark.Run, err)
	}
	file.Limits = s.config.Limits
	span := window.Window{Start: file.Result.Start, End: file.Result.End}
	file.Series = slices.Collect(agg.Kept(window.Only(s.config.Sampler, e.mark.GPUs...), span))
	return file, release, nil
}
