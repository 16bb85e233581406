package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"wattmark/sampler"
)

// healthz says that the process answers.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) error {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Backend string   `json:"backend"`
	GPUs    int      `json:"gpus"`
	Reasons []string `json:"reasons"` // in words
	// Degraded: not ready, but all that is missing are GPUs whose driver calls hang, and to wait for those may take for
	// ever. The others are read and can be marked.
	Degraded bool `json:"degraded"`
}

// hungTime is how long a driver call must have been running for its GPU to count as one that hangs: with short
// intervals, calls of tens of milliseconds make it late already.
const hungTime = 3 * time.Second

// readyz is 200 when every selected GPU has a reading younger than three intervals.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) error {
	state := s.readiness(s.config.Sampler.Now(), s.config.Backend())
	code := http.StatusOK
	if !state.Ready {
		code = http.StatusServiceUnavailable
	}
	answer(w, code, state)
	return nil
}

// readiness says whether every selected GPU is being read, and if not, why.
func (s *Server) readiness(now sampler.Moment, backend Backend) Readiness {
	state := Readiness{Backend: backend.Name, Reasons: []string{}}
	hung := 0
	for _, status := range s.config.Sampler.Latest() {
		state.GPUs++
		if why := notReady(status, now, 3*s.config.Sampler.Interval()); why != "" {
			state.Reasons = append(state.Reasons, why)
			if !status.Busy.IsZero() && time.Since(status.Busy) > hungTime {
				hung++
			}
		}
	}
	late := len(state.Reasons) - hung
	switch {
	case state.GPUs > 0:
		state.Reasons = append(state.Reasons, backend.Missing...)
	case len(backend.Missing) > 0: // among the problems: some may come
		state.Reasons = append(state.Reasons, backend.Problems...)
	default:
		state.Reasons = append([]string{"there is no GPU to measure"}, backend.Problems...)
	}
	state.Ready = len(state.Reasons) == 0
	state.Degraded = !state.Ready && hung < state.GPUs && late == 0 && !backend.Waking
	return state
}

// notReady says in words why a GPU has no fresh reading; empty if it has one.
func notReady(status sampler.Status, now sampler.Moment, limit time.Duration) string {
	name := fmt.Sprintf("GPU %d (%s)", status.Info.Index, status.Info.ID())
	never := status.Latest.At == (sampler.Moment{})
	age := now.Sub(status.Latest.At)
	switch {
	case !never && age < limit:
		return ""
	case !status.Busy.IsZero() && time.Since(status.Busy) > limit:
		return fmt.Sprintf("%s: a driver call has not returned for %.1f s", name, time.Since(status.Busy).Seconds())
	case status.Err != nil:
		return fmt.Sprintf("%s: %v", name, status.Err)
	case never:
		return name + ": no reading yet"
	default:
		return fmt.Sprintf("%s: the last reading is %.1f s old", name, age.Seconds())
	}
}

// explain says more of the error that a name means no GPU: it may be that of one that has not answered.
func (b Backend) explain(err error) error {
	if !errors.Is(err, sampler.ErrUnknownGPU) || len(b.Missing) == 0 {
		return err
	}
	missing := strings.Join(b.Missing, "; ")
	if b.Waking {
		return fmt.Errorf("%w: %s (%s)", errWaking, missing, err.Error()) // one code
	}
	return fmt.Errorf("%w; %s", err, missing)
}
