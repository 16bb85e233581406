package api

import (
	"encoding/json"
	"fmt"

	"wattmark/window"
)

// checkIdle refuses an idle_run that has not ended.
func (s *Server) checkIdle(run string) error {
	if run == "" {
		return nil
	}
	if _, ok := s.findEnded(run); !ok {
		return fmt.Errorf("idle_run: %w %.100q: it must have ended", window.ErrUnknownRun, run)
	}
	return nil
}

// aboveIdle adds the energy above that of the window that was named as idle.
func (s *Server) aboveIdle(result window.Result, run string) window.Result {
	if run == "" {
		return result
	}
	var idle window.Result
	if e, ok := s.findEnded(run); ok && json.Unmarshal(e.answer, &idle) == nil {
		return result.Above(idle)
	}
	return result.Above(window.Result{Run: run})
}
