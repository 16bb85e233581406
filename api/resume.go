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
			s.endOfOtherBoot(mark)
		}
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

// endOfOtherBoot writes what the recording holds of a window whose boot is over, unless its daemon came to do so.
func (s *Server) endOfOtherBoot(mark window.Mark) {
	log := s.config.Logger.With("window", mark.Run)
	if e, ok := s.onDisk(mark.Run); ok && e.mark.ID == mark.ID {
		log.Warn("window of another boot or host: ended as interrupted")
		return
	}
	var series []sampler.Series
	last := mark.Start
	most := int(s.config.Sampler.Measurable()) / 2 // of what readings may take: memory is still empty
	for _, each := range s.config.State.OfOther(mark.Start, most) {
		if n := len(each.Readings); n > 0 && slices.Contains(mark.GPUs, each.Info.ID()) {
			series = append(series, each)
			if at := each.Readings[n-1].At; at.Sub(last) > 0 {
				last = at
			}
		}
	}
	if last == mark.Start || s.results() == nil {
		log.Warn("window of another boot or host: no readings of it are left")
		return
	}
	span := window.Window{
		Run: mark.Run, Start: mark.Start, End: last, Expected: mark.Expected, Role: mark.Role, Skew: mark.Skew,
	}
	s.writeInterrupted(whole{window.Recorded(series), mark.GPUs}, mark, span)
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
	Start    sampler.Moment `json:"start"`
	End      sampler.Moment `json:"end"`
	Seen     sampler.Moment `json:"seen"`
	GPUs     []string       `json:"gpus"`
	Expected *int           `json:"expected_num_gpus"`
	Role     string         `json:"role"`
	Skew     window.Skew    `json:"skew"`
	Asked    fields         `json:"asked"`
}

func (e *ended) toFile() ([]byte, error) {
	asked := e.asked
	asked.AtUnix, asked.StartUnix, asked.EndUnix, asked.GPUs = nil, nil, nil, names{} // the window's own say it
	if len(asked.Benchmark) == 0 {
		asked.Benchmark = json.RawMessage("null")
	}
	return json.Marshal(onFile{
		ID: e.mark.ID, Start: e.span.Start, End: e.span.End, Seen: e.seen, GPUs: e.mark.GPUs, Expected: e.span.Expected,
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
		interrupted: slices.Contains(r.Reasons, window.Interrupted),
	}, true
}

// noteRestarts adds the times inside the result's window in which no daemon ran.
func (s *Server) noteRestarts(r *window.Result) {
	if s.config.State == nil {
		return
	}
	for _, restart := range s.config.State.Restarts() {
		if restart.To.Sub(r.Start) <= 0 || r.End.Sub(restart.From) <= 0 {
			continue
		}
		r.Interruptions = append(r.Interruptions, window.Interruption{
			StartUnix: r.Skew.There(restart.From).Unix(), EndUnix: r.Skew.There(restart.To).Unix(),
			GapS: restart.To.Sub(restart.From).Seconds(),
		})
	}
	if len(r.Interruptions) > 0 {
		r.Notes = append(r.Notes, window.DaemonRestarted)
	}
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
		return sampler.Info{Host: host, BusID: name, Vendor: "amd"}
	}
	return sampler.Info{Host: host, UUID: name}
}
