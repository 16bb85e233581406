//go:build linux

package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"wattmark/bench/daemon"
)

// steady is what the daemon costs at work: 1 Hz, one window open.
type steady struct {
	call              time.Duration
	startCPU          time.Duration // until calibrated
	startTook         time.Duration
	quiet, watched    process // at the end of the stretch without scrapes, and of that with one a second
	quietPercent      float64 // of a core
	watchedPercent    float64
	wakeups           float64 // per second, without scrapes
	begin             process // when the stretches began
	callsPerTick      float64 // and GPU
	functions         []string
	ringMB            float64 // what the rings grew by meanwhile
	scrapes           []time.Duration
	late, lateWatched lateness
	bare              lateness // of a thread that does nothing else, meanwhile
	answer            daemon.Answer
}

// settled is when start-up is over: two ticks, the calibration's second and a half, and the burst of mark-start.
const settled = 5 * time.Second

// measureSteady runs the daemon for twice the duration: without scrapes, then with one a second.
func (o options) measureSteady(p daemon.Program, call time.Duration) (s steady, err error) {
	dir, err := o.folder("steady")
	if err != nil {
		return s, err
	}
	script := scripted(o.gpus, call, callsFile(dir))
	began := time.Now()
	d, err := p.Start(dir, script, o.log)
	if err != nil {
		return s, err
	}
	defer func() { _ = d.Stop() }()
	s.call = call
	if err := d.MarkStart("cost"); err != nil {
		return s, err
	}
	time.Sleep(settled)
	calls, err := countCalls(d, script)
	if err != nil {
		return s, err
	}
	before, err := scrape(d)
	if err != nil {
		return s, err
	}
	time.Sleep(time.Second)

	if s.begin, err = look(d.PID); err != nil {
		return s, err
	}
	s.startCPU, s.startTook = s.begin.cpu, s.begin.at.Sub(began)
	from, bare := time.Now(), bareTimer(time.Second)
	time.Sleep(cmp.Or(o.quiet, o.duration))
	if s.quiet, err = look(d.PID); err != nil {
		return s, err
	}
	s.quietPercent = percent(s.begin, s.quiet)
	s.wakeups = float64(s.quiet.switches-s.begin.switches) / s.quiet.at.Sub(s.begin.at).Seconds()
	middle := time.Now()

	for tick := time.Now(); time.Since(middle) < o.duration; {
		tick = tick.Add(time.Second)
		time.Sleep(time.Until(tick))
		asked := time.Now()
		if _, err := d.Scrape(); err != nil {
			return s, err
		}
		s.scrapes = append(s.scrapes, time.Since(asked))
	}
	if s.watched, err = look(d.PID); err != nil {
		return s, err
	}
	s.watchedPercent, s.bare = percent(s.quiet, s.watched), bare()
	to := time.Now()
	slices.Sort(s.scrapes)
	end, err := countCalls(d, script)
	if err != nil {
		return s, err
	}
	after, err := scrape(d)
	if err != nil {
		return s, err
	}
	ticks := after.sum("wattmark_samples_total") - before.sum("wattmark_samples_total")
	s.ringMB = (after["wattmark_ring_used_samples"] - before["wattmark_ring_used_samples"]) * readingBytes / (1 << 20)
	s.callsPerTick = float64(end.Total("")-calls.Total("")) / ticks
	for name := range end.Function {
		if n := end.Total(name) - calls.Total(name); float64(n) > ticks/2 {
			s.functions = append(s.functions, fmt.Sprintf("%s ×%.0f", name, float64(n)/ticks))
		}
	}
	slices.Sort(s.functions)
	if s.late, err = measureLateness(d, time.Second, from, middle); err != nil {
		return s, err
	}
	if s.lateWatched, err = measureLateness(d, time.Second, middle, to); err != nil {
		return s, err
	}
	s.late.missed = after.sum("wattmark_missed_ticks_total") - before.sum("wattmark_missed_ticks_total")
	s.late.bucket = after.quantileBucket(before, "wattmark_sample_lateness_seconds", 0.99)
	s.answer, err = d.MarkEnd("cost")
	return s, err
}

// readingBytes is the size of a reading in memory.
const readingBytes = 72
