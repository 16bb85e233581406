package api

import (
	"encoding/json"
	"slices"

	"wattmark/sampler"
	"wattmark/window"
)

// WindowsEvent lists the open windows and the newest of the ended ones, newest first.
type WindowsEvent struct {
	Windows []WatchedWindow `json:"windows"`
	More    int             `json:"more"` // further ones that GET /v1/windows lists
}

// WatchedWindow is a window, with the main figures of its result once it has ended.
type WatchedWindow struct {
	ID        string        `json:"id"`
	Run       string        `json:"run"`
	State     string        `json:"state"` // "open", "ended"
	StartUnix float64       `json:"start_unix"`
	EndUnix   *float64      `json:"end_unix"` // null while open, as all below
	DurationS sampler.Value `json:"duration_s"`
	GPUs      int           `json:"gpus"`
	Valid     *bool         `json:"power_valid"`
	Reasons   []Worded      `json:"reasons"`
	Notes     []Worded      `json:"notes"`
	Energy    sampler.Value `json:"total_gpu_energy_j"`
	Bound     sampler.Value `json:"energy_bound_j"`
	Power     sampler.Value `json:"avg_total_gpu_power_w"`

	PerOutputToken      sampler.Value `json:"joules_per_output_token"`
	PerOutputTokenBound sampler.Value `json:"joules_per_output_token_bound"`
	PerTotalToken       sampler.Value `json:"joules_per_total_token"`
}

// shown is how many windows of each state a viewer sees.
const shown = 40

// windowsSeen keeps what was decoded of the results that are still shown.
type windowsSeen struct {
	ended map[*ended]WatchedWindow
}

func (seen *windowsSeen) look(s *Server) WindowsEvent {
	open, all := s.marks.All(), s.ended.all()
	out := WindowsEvent{Windows: []WatchedWindow{}, More: max(0, len(open)-shown) + max(0, len(all)-shown)}
	open, all = open[max(0, len(open)-shown):], all[max(0, len(all)-shown):]
	slices.Reverse(open)
	for _, mark := range open {
		out.Windows = append(out.Windows, WatchedWindow{
			ID: mark.ID, Run: mark.Run, State: "open", StartUnix: mark.Start.Unix(), GPUs: len(mark.GPUs),
			Reasons: []Worded{}, Notes: []Worded{},
		})
	}
	kept := map[*ended]WatchedWindow{}
	for _, e := range slices.Backward(all) {
		w, ok := seen.ended[e]
		if !ok {
			w = watchedWindow(e)
		}
		kept[e] = w
		out.Windows = append(out.Windows, w)
	}
	seen.ended = kept
	return out
}

func watchedWindow(e *ended) WatchedWindow {
	end := e.span.End.Unix()
	w := WatchedWindow{
		ID: e.mark.ID, Run: e.mark.Run, State: "ended", StartUnix: e.span.Start.Unix(), EndUnix: &end, GPUs: len(e.mark.GPUs),
		Valid: &e.valid, Reasons: []Worded{}, Notes: []Worded{},
	}
	var r window.Result
	if json.Unmarshal(e.answer, &r) != nil {
		return w
	}
	end = r.End.Unix()
	w.StartUnix, w.DurationS = r.Start.Unix(), sampler.Some(r.Duration().Seconds())
	for _, reason := range r.AllReasons() {
		w.Reasons = append(w.Reasons, Worded{string(reason), reason.Words()})
	}
	w.Notes = wordedNotes(r.AllNotes())
	w.Energy, w.Bound, w.Power = r.Energy(), r.Bound(), r.TotalPower()
	w.PerOutputToken, w.PerTotalToken = r.PerOutputToken(), r.PerTotalToken()
	w.PerOutputTokenBound = r.BoundOf(w.PerOutputToken)
	return w
}

func wordedNotes(notes []window.Note) []Worded {
	out := []Worded{}
	for _, note := range notes {
		out = append(out, Worded{string(note), note.Words()})
	}
	return out
}
