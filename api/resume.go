package api

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"time"

	"wattmark/agg"
	"wattmark/sampler"
	"wattmark/state"
	"wattmark/window"
)

// stateWait is how long a mark waits for the state to be written.
const stateWait = 500 * time.Millisecond

// keptEnded is for how many ended windows the state keeps the id; their files have the rest.
const keptEnded = 256

// Resume takes over the windows that an earlier process of this boot left open. Those of another boot, or another host,
// ended with it: what the recording holds of them is written as interrupted. It is called once, before requests are.
func (s *Server) Resume() {
	store := s.config.State
	if store == nil {
		return
	}
	s.before = store.Ended()
	open, same := store.Open()
	var others []window.Mark
	for _, mark := range open {
		switch {
		case s.hasEnded(mark):
			s.before = append(s.before, state.Ended{ID: mark.ID, Run: mark.Run})
		case same:
			if err := s.marks.Open(mark); err != nil {
				s.config.Logger.Warn("window not resumed", "window", mark.Run, "err", err)
				continue
			}
			s.config.Sampler.Opened(mark.GPUs...)
			s.config.Logger.Info("window resumed", "window", mark.Run, "gpus", len(mark.GPUs))
		default:
			s.before = append(s.before, state.Ended{ID: mark.ID, Run: mark.Run})
			others = append(others, mark)
		}
	}
	if len(others) > 0 && !s.endOfOtherBoot(others) {
		return // the marks stay as they are: the next daemon goes on
	}
	for _, warning := range s.saveMarks() {
		s.config.Logger.Warn("state", "problem", warning)
	}
}

// hasEnded reports that the window's file says it has ended: its daemon did not come to note that in the marks.
func (s *Server) hasEnded(mark window.Mark) bool {
	e, ok := s.onDisk(mark.Run)
	return ok && e.mark.ID == mark.ID && !e.interrupted
}

// saveMarks writes the open windows to the state and returns in words what went wrong.
func (s *Server) saveMarks() []string {
	if s.config.State == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stateWait)
	defer cancel()
	if err := s.config.State.Save(ctx, s.stateOfMarks); err != nil {
		return []string{"should the daemon be restarted, this window is lost: " + err.Error()}
	}
	return nil
}

// saveEnd notes in the state that a window has ended. There is no hurry where the window's own file says so: see hasEnded. The
// next run's mark-start, which often follows at once, then need not wait for it.
func (s *Server) saveEnd(e *ended) {
	switch {
	case s.config.State == nil:
	case e.filed:
		s.config.State.SaveSoon(s.stateOfMarks)
	default:
		go s.saveMarks()
	}
}

func (s *Server) stateOfMarks() ([]window.Mark, []state.Ended) {
	list := slices.Clone(s.before)
	for _, e := range s.ended.all() {
		list = append(list, state.Ended{ID: e.mark.ID, Run: e.mark.Run})
	}
	return s.marks.All(), list[max(0, len(list)-keptEnded):]
}

// findEnded returns the ended window of that run or id: from memory, else from its file.
func (s *Server) findEnded(name string) (*ended, bool) {
	if e, ok := s.ended.find(name); ok {
		return e, true
	}
	if e, ok := s.onDisk(name); ok {
		s.ended.put(e)
		return e, true
	}
	for _, old := range slices.Backward(s.before) {
		if old.ID != name {
			continue
		}
		if e, ok := s.onDisk(old.Run); ok && e.mark.ID == name {
			s.ended.put(e)
			return e, true
		}
	}
	return nil, false
}

// onFile is what a window's file keeps for the daemon.
type onFile struct {
	ID       string         `json:"id"`
	Boot     string         `json:"boot_id"` // whose monotonic times these are, and those of the readings
	Start    sampler.Moment `json:"start"`
	End      sampler.Moment `json:"end"`
	Seen     sampler.Moment `json:"seen"`
	GPUs     []string       `json:"gpus"`
	Expected *int           `json:"expected_num_gpus"`
	Role     string         `json:"role"`
	Skew     window.Skew    `json:"skew"`
	Asked    fields         `json:"asked"`
}

func (e *ended) toFile(boot string) ([]byte, error) {
	asked := e.asked
	asked.AtUnix, asked.StartUnix, asked.EndUnix, asked.GPUs = nil, nil, nil, names{} // the window's own say it
	if len(asked.Benchmark) == 0 {
		asked.Benchmark = json.RawMessage("null")
	}
	return json.Marshal(onFile{
		ID: e.mark.ID, Boot: boot, Start: e.span.Start, End: e.span.End, Seen: e.seen, GPUs: e.mark.GPUs, Expected: e.span.Expected,
		Role: e.span.Role, Skew: e.span.Skew, Asked: asked,
	})
}

// onDisk reads an ended window of that run from its file.
func (s *Server) onDisk(run string) (*ended, bool) {
	if s.results() == nil || !validRun(run) {
		return nil, false
	}
	head, err := agg.ReadWindowHead(s.results(), s.windowFile(run))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.config.Logger.Debug("window file not read", "window", run, "err", err)
		}
		return nil, false
	}
	var kept onFile
	if head.Result.Run != run || head.Mark != nil && json.Unmarshal(head.Mark, &kept) != nil {
		return nil, false
	}
	if string(kept.Asked.Benchmark) == "null" {
		kept.Asked.Benchmark = nil
	}
	r := head.Result
	if head.Mark == nil { // of an older version
		kept.Start, kept.End, kept.Seen, kept.Expected, kept.Skew = r.Start, r.End, r.End, r.Expected, r.Skew
		for _, gpu := range r.GPUs {
			kept.GPUs, kept.Role = append(kept.GPUs, gpu.ID()), gpu.Role
		}
	}
	var elsewhere *origin
	if kept.Boot != "" && kept.Boot != s.config.Boot {
		elsewhere = &origin{boot: kept.Boot, backend: r.Backend, versions: r.Versions, interruptions: r.Interruptions}
	}
	return &ended{
		mark: window.Mark{
			ID: kept.ID, Run: run, Start: kept.Start, GPUs: kept.GPUs, Expected: kept.Expected, Role: kept.Role, Skew: kept.Skew,
		},
		span: window.Window{
			Run: run, Start: kept.Start, End: kept.End, Expected: kept.Expected, Role: kept.Role, Skew: kept.Skew,
		},
		asked: kept.Asked, cost: r.Cost, seen: kept.Seen, valid: r.Valid(), answer: head.Answer,
		unread:      slices.Contains(r.Reasons, window.InvalidBenchmarkResult),
		waiting:     r.Aggregate.Status == agg.StatusPending || r.Aggregate.Status == agg.StatusFailed,
		interrupted: slices.Contains(r.Reasons, window.Interrupted), elsewhere: elsewhere,
	}, true
}

// whole is a source that has each of these GPUs, without readings where src does not know it: a GPU that was lost in a
// restart is a reason, and not left out.
type whole struct {
	src window.Source
	ids []string
}

func (w whole) Series(from, to sampler.Moment) iter.Seq[sampler.Series] {
	return func(yield func(sampler.Series) bool) {
		missing := slices.Clone(w.ids)
		for series := range w.src.Series(from, to) {
			missing = slices.DeleteFunc(missing, func(id string) bool { return id == series.Info.ID() })
			if !yield(series) {
				return
			}
		}
		for _, id := range missing {
			if !yield(sampler.Series{Info: infoOf(id)}) {
				return
			}
		}
	}
}

// infoOf is what the ID of a GPU that is not here says of it.
func infoOf(id string) sampler.Info {
	host, name, _ := strings.Cut(id, "/")
	if sampler.BusID(name) != "" {
		return sampler.Info{Host: host, BusID: name, Vendor: "amd", Scope: sampler.ScopeGPU}
	}
	return sampler.Info{Host: host, UUID: name, Scope: sampler.ScopeGPU}
}
