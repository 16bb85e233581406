package api

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	"wattmark/agg"
	"wattmark/sampler"
	"wattmark/window"
)

// Interrupt ends the event streams, reads the GPUs once more and writes each open window up to now as interrupted. The windows
// stay open.
func (s *Server) Interrupt() {
	defer s.config.Flush()
	s.leaving.Store(true)
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
	s.writeInterrupted(whole{window.Only(s.config.Sampler, mark.GPUs...), mark.GPUs}, mark, span, s.here())
}

// writeInterrupted writes a window's file up to where the daemon that measured it stopped.
func (s *Server) writeInterrupted(src window.Source, mark window.Mark, span window.Window, by origin) {
	result := window.Measure(src, span, s.config.Limits)
	result.Reasons = append(result.Reasons, window.Interrupted)
	by.sign(&result)
	result.Aggregate.Status = agg.StatusNone
	e := &ended{mark: mark, span: span, seen: span.End, elsewhere: &by}
	text, err := json.Marshal(result)
	if err == nil {
		err = s.writeWindowFile(text, e, agg.Kept(src, span))
	}
	if err != nil {
		s.config.Logger.Warn("window file not written", "window", mark.Run, "err", err)
	}
	s.tell(mark.ID, result, false)
	s.config.Logger.Warn("window interrupted", "window", mark.Run)
}
