package api

import (
	"math"
	"slices"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// DaemonEvent says who measures what, and how well that goes.
type DaemonEvent struct {
	Version   string       `json:"version"`
	Node      string       `json:"node"`
	Backend   Backend      `json:"backend"`
	IntervalS float64      `json:"interval_s"`
	Ready     bool         `json:"ready"`
	Reasons   []string     `json:"reasons"` // why it is not ready, in words
	GPUs      []WatchedGPU `json:"gpus"`
}

// WatchedGPU is what is known of a GPU and how it is measured.
type WatchedGPU struct {
	sampler.Info
	Method window.Method `json:"method"` // by which its energy is found now
	Notes  []Worded      `json:"notes"`
	Error  *string       `json:"error"` // why the last read failed
}

// Worded is a reason or a note, and what it means.
type Worded struct {
	Code  string `json:"code"`
	Words string `json:"words"`
}

// PowerEvent is what the sensors said since the last one.
type PowerEvent struct {
	Unix  float64       `json:"unix"`  // now
	Fresh bool          `json:"fresh"` // these are all the points there are; else they follow those before
	Total []PowerPoint  `json:"total"` // of all GPUs at one time
	GPUs  []PowerOfGPU  `json:"gpus"`
	Mean  RecentAverage `json:"mean"`
	Live  *Live         `json:"live"` // tokens, where an inference server is read
}

// PowerPoint is [Unix seconds, watts]; watts are null where there are none.
type PowerPoint [2]sampler.Value

// PowerOfGPU is the new readings of one GPU, and its state at the last of them.
type PowerOfGPU struct {
	ID          string        `json:"id"`
	Points      []PowerPoint  `json:"points"`
	Power       sampler.Value `json:"power_w"` // null when the last reading is old
	Temperature sampler.Value `json:"temperature_c"`
	Clock       sampler.Value `json:"clock_mhz"`
	Utilization sampler.Value `json:"utilization_ratio"`
	Throttle    []string      `json:"throttle"` // why it runs below its clocks; null: not known
	AgeS        float64       `json:"age_s"`    // of the last reading
}

// RecentAverage is the average power of the last minute, measured as any window is.
type RecentAverage struct {
	DurationS  float64       `json:"duration_s"`
	TotalPower sampler.Value `json:"avg_total_gpu_power_w"`
	Bound      sampler.Value `json:"bound_w"` // two standard deviations of the random error
}

// recent is how far back RecentAverage looks.
const recent = time.Minute

// watched is what one viewer has been told.
type watched struct {
	server  *Server
	span    time.Duration
	apart   time.Duration             // between two points of a GPU: a screen has so many columns
	last    map[string]sampler.Moment // of each GPU
	total   sampler.Moment
	fresh   bool
	windows windowsSeen
}

func newWatched(s *Server, span time.Duration) *watched {
	return &watched{server: s, span: span, apart: span / 600, last: map[string]sampler.Moment{}, fresh: true}
}

// look returns what there is to say now.
func (v *watched) look() []event {
	now := v.server.config.Sampler.Now()
	measured := v.server.measureRecent(now)
	statuses := v.server.config.Sampler.Latest()
	return []event{
		{name: "daemon", data: v.daemon(statuses, now, measured)},
		{name: "windows", data: v.windows.look(v.server)},
		{name: "power", data: v.power(statuses, now, measured), always: true},
	}
}

// settled is up to when all GPUs that are being read have been: the oldest of their newest readings.
func (s *Server) settled(now sampler.Moment) sampler.Moment {
	end, samples := now, s.config.Sampler
	for _, status := range samples.Latest() {
		if at := status.Latest.At; now.Sub(at) < 3*samples.Interval() && at.Sub(end) < 0 {
			end = at
		}
	}
	return end
}

func (v *watched) daemon(statuses []sampler.Status, now sampler.Moment, measured window.Result) DaemonEvent {
	s := v.server
	backend := s.config.Backend()
	state := s.readiness(now, backend)
	backend.Problems = append([]string{}, backend.Problems...)
	out := DaemonEvent{
		Version: s.config.Version, Node: s.config.Node, Backend: backend, IntervalS: s.config.Sampler.Interval().Seconds(),
		Ready: state.Ready, Reasons: state.Reasons, GPUs: []WatchedGPU{},
	}
	for _, status := range statuses {
		gpu := WatchedGPU{Info: status.Info, Notes: []Worded{}}
		if status.Err != nil {
			text := status.Err.Error()
			gpu.Error = &text
		}
		for _, m := range measured.GPUs {
			if m.ID() == status.Info.ID() {
				gpu.Method = m.Method
				notes := slices.DeleteFunc(slices.Clone(m.Notes), func(n window.Note) bool {
					return n == window.EdgeInterpolated || n == window.Throttled // of this minute's edges; said as it happens
				})
				gpu.Notes = wordedNotes(notes)
			}
		}
		out.GPUs = append(out.GPUs, gpu)
	}
	return out
}

func (v *watched) power(statuses []sampler.Status, now sampler.Moment, measured window.Result) PowerEvent {
	s := v.server
	out := PowerEvent{Unix: now.Unix(), Fresh: v.fresh, Total: []PowerPoint{}, GPUs: []PowerOfGPU{}}
	if power, ok := measured.TotalPower().Known(); ok {
		seconds := measured.Duration().Seconds()
		out.Mean = RecentAverage{DurationS: seconds, TotalPower: sampler.Some(power)}
		if bound, ok := measured.Bound().Known(); ok {
			out.Mean.Bound = sampler.Some(bound / seconds)
		}
	}
	if s.config.Tokens != nil {
		live := s.liveOf(measured)
		out.Live = &live
	}
	from := now.Add(-v.span)
	if !v.fresh { // enough for lines between readings, however far apart
		from = now.Add(-2 * max(window.DefaultMaxGap, s.config.Limits.MaxGap, 3*s.config.Sampler.Interval()))
	}
	v.fresh = false
	all := slices.Collect(s.config.Sampler.Series(from, now))
	for i, series := range all {
		all[i].Readings = thin(series.Readings, v.apart)
		for _, status := range statuses { // of a moment before: GPUs may have come or gone
			if status.Info.ID() == series.Info.ID() {
				out.GPUs = append(out.GPUs, v.powerOf(all[i], status, now))
			}
		}
	}
	settled := s.settled(now)
	for _, p := range window.Total(all, v.apart, s.config.Limits) {
		if p.At.Sub(v.total) > 0 && settled.Sub(p.At) >= 0 {
			out.Total = append(out.Total, point(p.At, p.Watts))
			v.total = p.At
		}
	}
	return out
}

func (v *watched) powerOf(series sampler.Series, status sampler.Status, now sampler.Moment) PowerOfGPU {
	id, limit := status.Info.ID(), 3*v.server.config.Sampler.Interval()
	latest := readingOf(status.Latest)
	out := PowerOfGPU{ID: id, Points: []PowerPoint{}, AgeS: round(now.Sub(status.Latest.At).Seconds(), 10)}
	if status.Latest.At != (sampler.Moment{}) && now.Sub(status.Latest.At) < limit {
		out.Power, out.Temperature, out.Clock = status.Latest.Power(), latest.Temperature, latest.ClockMHz
		out.Utilization = latest.Utilization
		if status.Latest.ThrottleKnown {
			out.Throttle = status.Latest.Throttle.Words()
		}
	}
	for _, r := range series.Readings {
		if r.At.Sub(v.last[id]) > 0 {
			out.Points = append(out.Points, point(r.At, r.Power()))
			v.last[id] = r.At
		}
	}
	return out
}

// thin returns readings that are at least so far apart.
func thin(readings []sampler.Reading, apart time.Duration) []sampler.Reading {
	var kept []sampler.Reading
	for _, r := range readings {
		if n := len(kept); n == 0 || r.At.Sub(kept[n-1].At) >= apart {
			kept = append(kept, r)
		}
	}
	return kept
}

func point(at sampler.Moment, watts sampler.Value) PowerPoint {
	if x, ok := watts.Known(); ok {
		watts = sampler.Some(round(x, 10))
	}
	return PowerPoint{sampler.Some(round(at.Unix(), 1000)), watts}
}

// round keeps a tenth or a thousandth: a screen shows no more, and the stream is shorter.
func round(x, parts float64) float64 { return math.Round(x*parts) / parts }
