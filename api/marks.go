package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// ahead is how far in the future a mark may lie: clocks of client and daemon differ a little.
const ahead = time.Second

// started is the answer to mark-start.
type started struct {
	ID        string   `json:"id"`
	Run       string   `json:"run"`
	StartUnix float64  `json:"start_unix"`
	GPUs      []gpuRef `json:"gpus"`
	Warnings  []string `json:"warnings"` // GPUs that could not be read now, or are not there; that a restart would lose the window
}

// gpuRef names a GPU in every way that callers do.
type gpuRef struct {
	Host  string `json:"host"`
	UUID  string `json:"uuid"`
	BusID string `json:"bus_id"`
	Index int    `json:"index"`
	Model string `json:"model"`
}

func refs(infos []sampler.Info) []gpuRef {
	out := make([]gpuRef, len(infos))
	for i, info := range infos {
		out[i] = gpuRef{Host: info.Host, UUID: info.UUID, BusID: info.BusID, Index: info.Index, Model: info.Model}
	}
	return out
}

// newWindow reads what a request says about a window that is not there yet: its fields, with a run's name, its id and GPUs.
func (s *Server) newWindow(r *http.Request, allowed []string) (f fields, id string, gpus []sampler.Info, err error) {
	if f, err = readFields(r, allowed); err != nil {
		return f, "", nil, err
	}
	if gpus, err = s.choose(f.GPUs); err != nil {
		return f, "", nil, err
	}
	if backend := s.config.Backend(); len(f.GPUs) == 0 && backend.Waking {
		return f, "", nil, fmt.Errorf("%w: %s", errWaking, strings.Join(backend.Missing, "; "))
	}
	f.expectAll(gpus, s.config.Backend())
	id = newID()
	if f.Run == "" {
		f.Run = "run-" + id
	}
	if _, err := s.marks.Find(f.Run); err == nil {
		return f, "", nil, fmt.Errorf("run %q: %w", f.Run, window.ErrOpen)
	}
	return f, id, gpus, nil
}

// expectAll has the fields expect all GPUs where they neither name any nor say how many: whoever means all means those
// that have not answered since the daemon began, too.
func (f *fields) expectAll(gpus []sampler.Info, backend Backend) {
	if len(f.GPUs) == 0 && backend.Absent > 0 && f.ExpectedNumGPUs == nil {
		f.ExpectedNumGPUs = new(len(gpus) + backend.Absent)
	}
}

// markStart opens a window. It reads the GPUs first and stamps then, so that the window begins on a reading.
func (s *Server) markStart(w http.ResponseWriter, r *http.Request) error {
	f, id, infos, err := s.newWindow(r, startFields())
	if err != nil {
		return err
	}
	ids, skew := idsOf(infos), f.skew()
	if f.AtUnix != nil {
		if err := s.await(r.Context(), skew.Here(f.AtUnix.Moment)); err != nil {
			return err
		}
	}
	tokensRead := s.readTokens()
	warnings := s.poll(ids)
	tokensRead()
	if len(f.GPUs) == 0 {
		warnings = append(warnings, s.config.Backend().Missing...)
	}
	mark := window.Mark{
		ID: id, Run: f.Run, Start: s.config.Sampler.Now(), GPUs: ids, Expected: f.ExpectedNumGPUs, Role: f.Role, Skew: skew,
	}
	if f.AtUnix != nil {
		mark.Start = skew.Here(f.AtUnix.Moment)
		if err := s.inMemory(mark.Start, ids); err != nil {
			return err
		}
	}
	if err := r.Context().Err(); err != nil { // a window that nobody knows of would stay open
		return err
	}
	s.begun.put(mark.ID, s.usage(ids)) // before anyone can end the window
	if err := s.marks.Open(mark); err != nil {
		s.begun.drop(mark.ID)
		return err
	}
	s.config.Sampler.Opened(ids...)
	warnings = append(warnings, s.saveMarks()...)
	if s.justNow(mark.Start) {
		go s.follow(ids) // the answer does not wait for it
	}
	s.config.Logger.Info("window opened", "window", mark.Run, "gpus", len(ids))
	w.Header().Set("Location", "/v1/windows/"+mark.Run)
	answer(w, http.StatusCreated, started{ID: id, Run: mark.Run, StartUnix: mark.StartUnix(), GPUs: refs(infos), Warnings: warnings})
	return nil
}

// markEnd ends a window: stamps, reads the GPUs, measures, writes the files, answers.
func (s *Server) markEnd(w http.ResponseWriter, r *http.Request) error {
	now := s.config.Sampler.Now() // before anything that takes time
	f, err := readFields(r, endFields())
	if err != nil {
		return err
	}
	name := f.Run
	if name == "" {
		name = f.ID
	}
	mark, err := s.marks.Find(name)
	if err != nil {
		if e, ok := s.findEnded(name); ok {
			return s.endAgain(w, e.mark, f)
		}
		return err
	}
	if err := f.means(mark); err != nil {
		return err
	}
	span := window.Window{
		Run: mark.Run, Start: mark.Start, End: now, Expected: mark.Expected, Role: mark.Role, Skew: mark.Skew.Through(f.skew()),
	}
	if f.ExpectedNumGPUs != nil {
		span.Expected = f.ExpectedNumGPUs
	}
	if err := s.checkFiles(f); err != nil {
		return err
	}
	if f.AtUnix != nil {
		if span.End = span.Skew.Here(f.AtUnix.Moment); span.End.Sub(span.Start) <= 0 {
			return fmt.Errorf("%w: at_unix is not after the window's start", errSpan)
		}
		if err := s.await(r.Context(), span.End); err != nil {
			return err
		}
	}
	tokensRead := s.readTokens()
	s.pollSince(mark.GPUs, span.End)
	tokensRead()
	if s.justNow(span.End) {
		s.follow(mark.GPUs)
	}
	seen := s.config.Sampler.Now()

	unlock := s.ended.lock(mark.Run)
	defer unlock()
	if current, err := s.marks.Find(mark.Run); err != nil || current.ID != mark.ID {
		if e, ok := s.ended.find(mark.ID); ok { // another mark-end was faster
			return s.repeat(w, e, f)
		}
		return fmt.Errorf("%w %q: it has just ended", window.ErrUnknownRun, mark.Run)
	}
	e := &ended{mark: mark, span: span, asked: f, seen: seen, cost: s.costSince(mark.ID, mark.GPUs)}
	if err := s.conclude(e); err != nil {
		return err
	}
	s.marks.Close(mark)
	s.begun.drop(mark.ID)
	s.config.Sampler.Ended(mark.GPUs...)
	s.saveEnd(e)
	send(w, e.answer)
	return nil
}

// means checks that run and id, where both are given, name the same window.
func (f *fields) means(mark window.Mark) error {
	if f.Run != "" && f.ID != "" && (f.Run != mark.Run || f.ID != mark.ID) {
		return fmt.Errorf("%w: run %q has another id", window.ErrUnknownRun, f.Run)
	}
	return nil
}

// measure measures a span that nobody marked, with the same files as mark-end.
func (s *Server) measure(w http.ResponseWriter, r *http.Request) error {
	f, id, infos, err := s.newWindow(r, measureFields())
	if err != nil {
		return err
	}
	ids := idsOf(infos)
	if err := s.checkFiles(f); err != nil {
		return err
	}
	span, err := s.span(r.Context(), f, ids)
	if err != nil {
		return err
	}
	span.Run, span.Expected, span.Role = f.Run, f.ExpectedNumGPUs, f.Role
	e := &ended{
		mark: window.Mark{ID: id, Run: f.Run, Start: span.Start, GPUs: ids}, span: span, asked: f, seen: s.config.Sampler.Now(),
	}
	unlock := s.ended.lock(f.Run)
	defer unlock()
	if _, again := s.ended.find(f.Run); again {
		s.saveMarks() // the file that says that window has ended is about to be this one's
	}
	if err := s.conclude(e); err != nil {
		return err
	}
	send(w, e.answer)
	return nil
}

// span returns the span of time that start_unix and end_unix name, in memory and bracketed by readings; without them
// it is the benchmark's own.
func (s *Server) span(ctx context.Context, f fields, ids []string) (window.Window, error) {
	span := window.Window{Skew: f.skew()}
	switch {
	case f.StartUnix != nil && f.EndUnix != nil:
		span.Start, span.End = f.StartUnix.Moment, f.EndUnix.Moment
	case f.StartUnix == nil && f.EndUnix == nil && f.hasWork():
		benchmark := s.benchmark(f)
		if !benchmark.HasWindow {
			return span, fmt.Errorf("%w: start_unix and end_unix are needed where the benchmark's result has no window", errSpan)
		}
		span.Start, span.End = benchmark.Window()
	default:
		return span, fmt.Errorf("%w: both start and end are needed", errSpan)
	}
	span.Start, span.End = span.Skew.Here(span.Start), span.Skew.Here(span.End)
	if span.End.Sub(span.Start) <= 0 {
		return span, fmt.Errorf("%w: the end is not after the start", errSpan)
	}
	if err := s.await(ctx, span.End); err != nil {
		return span, err
	}
	if s.config.Sampler.Now().Sub(span.End) < 2*s.config.Sampler.Interval() {
		s.poll(ids)
	}
	return span, s.inMemory(span.Start, ids)
}

// await waits for a moment that lies a little ahead.
func (s *Server) await(ctx context.Context, m sampler.Moment) error {
	wait := m.Sub(s.config.Sampler.Now())
	if wait <= 0 {
		return nil
	}
	if wait > ahead {
		return fmt.Errorf("%w: it lies %.1f s in the future", errSpan, wait.Seconds())
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// inMemory checks that readings of these GPUs go back to m.
func (s *Server) inMemory(m sampler.Moment, ids []string) error {
	oldest, ok := s.config.Sampler.Oldest(ids...)
	if ok && oldest.Sub(m) > 0 {
		return fmt.Errorf("%w: readings go back to %.3f", errExpired, oldest.Unix())
	}
	return nil
}

func newID() string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand
	return hex.EncodeToString(random[:])
}

func send(w http.ResponseWriter, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}
