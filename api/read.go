package api

import (
	_ "embed"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"wattmark/agg"
	"wattmark/sampler"
	"wattmark/window"
)

// energy measures any span that is still in memory.
func (s *Server) energy(w http.ResponseWriter, r *http.Request) error {
	f, err := readFields(r, energyFields())
	if err != nil {
		return err
	}
	gpus, err := s.choose(f.GPUs)
	if err != nil {
		return err
	}
	f.expectAll(gpus, s.config.Backend())
	ids := idsOf(gpus)
	span, err := s.span(r.Context(), f, ids)
	if err != nil {
		return err
	}
	span.Expected = f.ExpectedNumGPUs
	release, err := s.holdFor(r.Context(), span, readPatience)
	if err != nil {
		return err
	}
	defer release()
	var result window.Result
	if err := s.inTurn(func() {
		result = window.Measure(window.Only(s.config.Sampler, ids...), span, s.config.Limits)
	}); err != nil {
		return err
	}
	s.here().sign(&result)
	result.Cost.RSSBytes = residentBytes()
	result.Aggregate.Status = agg.StatusNone
	answer(w, http.StatusOK, result)
	return nil
}

// listed is one window in the list.
type listed struct {
	ID         string  `json:"id"`
	Run        string  `json:"run"`
	State      string  `json:"state"` // "open", "ended"
	StartUnix  float64 `json:"start_unix"`
	EndUnix    any     `json:"end_unix"`    // null while open
	PowerValid any     `json:"power_valid"` // null while open
	GPUs       int     `json:"gpus"`
}

func openWindow(mark window.Mark) listed {
	return listed{ID: mark.ID, Run: mark.Run, State: "open", StartUnix: mark.StartUnix(), GPUs: len(mark.GPUs)}
}

// windows lists the open and the ended windows, oldest first.
func (s *Server) windows(w http.ResponseWriter, _ *http.Request) error {
	list := []listed{}
	for _, e := range s.ended.all() {
		list = append(list, listed{
			ID: e.mark.ID, Run: e.mark.Run, State: "ended", StartUnix: e.span.Skew.There(e.span.Start).Unix(),
			EndUnix:    e.span.Skew.There(e.span.End).Unix(),
			PowerValid: e.valid, GPUs: len(e.mark.GPUs),
		})
	}
	for _, mark := range s.marks.All() {
		list = append(list, openWindow(mark))
	}
	answer(w, http.StatusOK, map[string]any{"windows": list})
	return nil
}

// window answers with an ended window's result, as mark-end gave it, or with the state of an open one.
func (s *Server) window(w http.ResponseWriter, r *http.Request) error {
	run := r.PathValue("run")
	if mark, err := s.marks.Find(run); err == nil {
		answer(w, http.StatusOK, openWindow(mark))
		return nil
	}
	if e, ok := s.findEnded(run); ok {
		send(w, e.answer)
		return nil
	}
	return fmt.Errorf("%w %.100q", window.ErrUnknownRun, run)
}

// gpuState is a GPU with its last reading and the health of its feed.
type gpuState struct {
	sampler.Info
	Latest      *reading `json:"latest"`
	Error       *string  `json:"error"`
	Reads       uint64   `json:"reads"`
	FailedReads uint64   `json:"failed_reads"`
	MissedTicks uint64   `json:"missed_ticks"`
	MaxCallS    float64  `json:"driver_call_s_max"`
}

func (s *Server) gpus(w http.ResponseWriter, _ *http.Request) error {
	states := []gpuState{}
	for _, status := range s.config.Sampler.Latest() {
		state := gpuState{
			Info: status.Info, Reads: status.Reads, FailedReads: status.Failed, MissedTicks: status.Missed,
			MaxCallS: status.MaxCall.Seconds(),
		}
		if status.Latest.At != (sampler.Moment{}) {
			latest := readingOf(status.Latest)
			state.Latest = &latest
		}
		if status.Err != nil {
			text := status.Err.Error()
			state.Error = &text
		}
		states = append(states, state)
	}
	backend := s.config.Backend()
	backend.Problems = append([]string{}, backend.Problems...)
	answer(w, http.StatusOK, map[string]any{
		"backend": backend, "gpus": states, "retention_s": s.config.Sampler.Retention().Seconds(),
	})
	return nil
}

// reading is a sampler.Reading as JSON and CSV write it.
type reading struct {
	Unix         float64       `json:"unix"`
	MonotonicNS  int64         `json:"monotonic_ns"`
	CallS        float64       `json:"call_s"`
	Power        sampler.Value `json:"power_w"`
	Instant      sampler.Value `json:"instant_power_w"`
	Energy       sampler.Value `json:"energy_counter_j"`
	Temperature  sampler.Value `json:"temperature_c"`
	ClockMHz     sampler.Value `json:"clock_mhz"`
	MemClockMHz  sampler.Value `json:"memory_clock_mhz"`
	Utilization  sampler.Value `json:"utilization_ratio"`
	MemUtil      sampler.Value `json:"memory_utilization_ratio"`
	ThrottleBits *uint32       `json:"throttle_bits"` // sampler.Throttle
}

func readingOf(r sampler.Reading) reading {
	out := reading{
		Unix: r.At.Unix(), MonotonicNS: r.At.MonoNano, CallS: r.Call.Seconds(),
		Power: r.PowerWatts, Instant: r.InstantWatts, Energy: r.EnergyJoules,
		Temperature: r.TemperatureC.Value(), ClockMHz: r.ClockMHz.Value(), MemClockMHz: r.MemoryClockMHz.Value(),
		Utilization: r.Utilization.Value(), MemUtil: r.MemoryUtilization.Value(),
	}
	if r.ThrottleKnown {
		bits := uint32(r.Throttle)
		out.ThrottleBits = &bits
	}
	return out
}

// readings streams what is in memory, as JSON or CSV. The end defaults to now, the start to a minute before the end.
func (s *Server) readings(w http.ResponseWriter, r *http.Request) error {
	f, err := readFields(r, readingsFields())
	if err != nil {
		return err
	}
	if err := f.formatted("json", "csv"); err != nil {
		return err
	}
	gpus, err := s.choose(f.GPUs)
	if err != nil {
		return err
	}
	to := s.config.Sampler.Now()
	if f.EndUnix != nil {
		to = f.EndUnix.Moment
	}
	from := to.Add(-time.Minute)
	if f.StartUnix != nil {
		from = f.StartUnix.Moment
	}
	if to.Sub(from) <= 0 {
		return fmt.Errorf("%w: the end is not after the start", errSpan)
	}
	if f.Format == "csv" {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		s.writeReadingsCSV(r.Context(), w, gpus, from, to)
		return nil
	}
	w.Header().Set("Content-Type", "application/json")
	s.writeReadingsJSON(r.Context(), w, gpus, from, to)
	return nil
}

// cell is a value in CSV; empty if it is missing.
func cell(v sampler.Value) string {
	x, ok := v.Known()
	if !ok {
		return ""
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}

// time answers with this host's clocks, for a client that wants to know the offset to its own.
func (s *Server) time(w http.ResponseWriter, _ *http.Request) error {
	now := s.config.Sampler.Now()
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	answer(w, http.StatusOK, map[string]any{
		"unix_ns": now.UnixNano, "boot_id": strings.TrimSpace(string(boot)), "monotonic_ns": now.MonoNano,
	})
	return nil
}

//go:embed openapi.json
var openapiDocument []byte

func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) error {
	send(w, slices.Clone(openapiDocument))
	return nil
}
