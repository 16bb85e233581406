package api

import (
	"slices"
	"strings"
	"time"

	"wattmark/agg"
	"wattmark/sampler"
	"wattmark/state"
	"wattmark/window"
)

// shutdownTime is for how long a daemon may read on after it has written its open windows as interrupted.
const shutdownTime = 3 * time.Second

// origin is who measured, and when no daemon ran: this boot's daemons, or those of a boot that is over.
type origin struct {
	boot          string
	backend       string
	versions      window.Versions
	restarts      []state.Restart
	interruptions []window.Interruption // where they are known instead of restarts
}

func (s *Server) here() origin {
	here := origin{boot: s.config.Boot, backend: s.config.Backend().Name, versions: s.versions()}
	if s.config.State != nil {
		here.restarts = s.config.State.Restarts()
	}
	return here
}

// attribute adds to a result who measured it and, where no daemon saw its end, that.
func (s *Server) attribute(r *window.Result, e *ended, benchmark *agg.Benchmark) {
	by := s.here()
	if e.elsewhere != nil {
		by = *e.elsewhere
	}
	by.sign(r)
	whole := benchmark != nil && benchmark.HasWindow && r.Start.Sub(e.span.Start) >= 0 && r.End.Sub(e.span.End) <= 0
	if e.interrupted && !whole { // the benchmark's own window may have ended before
		r.Reasons = append(r.Reasons, window.Interrupted)
	}
}

func (by origin) sign(r *window.Result) {
	r.Backend, r.Versions = by.backend, by.versions
	for _, restart := range by.restarts {
		if restart.To.Sub(r.Start) <= 0 || r.End.Sub(restart.From) <= 0 {
			continue
		}
		r.Interruptions = append(r.Interruptions, window.Interruption{
			StartUnix: r.Skew.There(restart.From).Unix(), EndUnix: r.Skew.There(restart.To).Unix(),
			GapS: restart.To.Sub(restart.From).Seconds(),
		})
	}
	r.Interruptions = append(r.Interruptions, by.interruptions...)
	if len(r.Interruptions) > 0 {
		r.Notes = append(r.Notes, window.DaemonRestarted)
	}
}

// there is who measured what was left, as far as the recording says: the GPUs here may be others by now, of another
// driver, or not have woken up yet.
func (s *Server) there(left state.Left) origin {
	there := s.here()
	there.boot, there.restarts = s.config.State.BootOfMarks(), left.Restarts
	for _, series := range left.Series {
		info := series.Info
		there.versions.Driver, there.versions.Library = info.Driver, info.Library
		switch {
		case info.Simulated:
			there.backend = "sim"
		case !strings.HasPrefix(there.backend, info.Vendor): // amd-sysfs is amd's, too
			there.backend = info.Vendor
		}
	}
	return there
}

// endOfOtherBoot writes what the recording holds of the windows whose boot is over. It reads that once for all of them. It
// reports that none is left: 256 long ones take half a minute, for which a daemon that is to stop has no time.
func (s *Server) endOfOtherBoot(open []window.Mark) (all bool) {
	var began []sampler.Moment
	var gpus []string
	for _, mark := range open {
		began = append(began, mark.Start)
		gpus = append(gpus, mark.GPUs...)
	}
	slices.Sort(gpus)
	gpus = slices.Compact(gpus)
	left := s.config.State.OfOther(began, gpus, int(s.config.Sampler.RoomFor(len(gpus))))
	there := s.there(left)
	for i, mark := range open {
		if s.leaving.Load() {
			s.config.Logger.Warn("no time to write all windows of another boot; the state has them", "left", len(open)-i)
			return false
		}
		s.endThere(mark, left.Series, there)
	}
	return true
}

// endThere writes a window of another boot as interrupted, unless its daemon came to do so.
func (s *Server) endThere(mark window.Mark, left []sampler.Series, there origin) {
	log := s.config.Logger.With("window", mark.Run)
	last, some := s.lastOf(mark, left)
	if e, ok := s.onDisk(mark.Run); ok && e.mark.ID == mark.ID && (!some || last.Sub(e.span.End) <= shutdownTime) {
		log.Warn("window of another boot or host: ended as interrupted")
		return
	}
	if s.results() == nil {
		log.Warn("window of another boot or host: no folder to write it to")
		return
	}
	if !some { // it has ended all the same, and says so
		log.Warn("window of another boot or host: no readings of it are left")
		last = mark.Start.Add(time.Nanosecond)
	}
	span := window.Window{
		Run: mark.Run, Start: mark.Start, End: last, Expected: mark.Expected, Role: mark.Role, Skew: mark.Skew,
	}
	s.writeInterrupted(whole{window.Only(window.Recorded(left), mark.GPUs...), mark.GPUs}, mark, span, there)
}

// lastOf is when a window's GPUs were last read, and whether that was after it began. GPUs are not read at the same
// nanosecond: it is the last moment up to which all of them were, but for those that had fallen silent long before.
func (s *Server) lastOf(mark window.Mark, left []sampler.Series) (last sampler.Moment, some bool) {
	var ends []sampler.Moment
	for _, series := range left {
		if n := len(series.Readings); n > 0 && slices.Contains(mark.GPUs, series.Info.ID()) {
			if at := series.Readings[n-1].At; at.Sub(mark.Start) > 0 {
				ends = append(ends, at)
			}
		}
	}
	if len(ends) == 0 {
		return last, false
	}
	byTime := func(a, b sampler.Moment) int { return int(a.Sub(b)) }
	latest := slices.MaxFunc(ends, byTime)
	silent := max(s.config.Limits.MaxGap, window.DefaultMaxGap, s.config.Sampler.Interval()+time.Second)
	ends = slices.DeleteFunc(ends, func(at sampler.Moment) bool { return latest.Sub(at) > silent })
	return slices.MinFunc(ends, byTime), true
}
