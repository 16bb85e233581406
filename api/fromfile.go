package api

import (
	"iter"
	"os"

	"wattmark/agg"
	"wattmark/sampler"
	"wattmark/window"
)

// fromFile has the readings of a window's file, one GPU's in memory at a time.
type fromFile struct {
	s *Server
	e *ended
}

// checkWindow reads the window's file to its end, so that what is measured from it later is whole.
func (s *Server) checkWindow(e *ended) error {
	return fromFile{s, e}.each(func(sampler.Series) {})
}

func (f fromFile) each(visit func(sampler.Series)) error {
	var file *os.File
	var err error
	f.e.turn.away(func() { file, err = f.s.openWindow(f.e) })
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read from
	_, err = agg.ReadWindow(fromDisk{file, f.e.turn}, func(s sampler.Series) sampler.Series {
		visit(s)
		return sampler.Series{}
	})
	return err
}

// Series yields what the file has of a span.
func (f fromFile) Series(from, to sampler.Moment) iter.Seq[sampler.Series] {
	return func(yield func(sampler.Series) bool) {
		more := true
		err := f.each(func(all sampler.Series) {
			for series := range window.Recorded([]sampler.Series{all}).Series(from, to) {
				more = more && yield(series)
			}
		})
		if err != nil { // it was whole when it was checked
			f.e.failed = err
			f.s.config.Logger.Warn("window file not read", "window", f.e.mark.Run, "err", err)
		}
	}
}
