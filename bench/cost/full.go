//go:build linux

package main

import (
	"time"

	"wattmark/bench/daemon"
)

// The rings are filled at 100 Hz. A ring holds retention/interval readings: the 86 400 of each GPU that 24 h have at 1 Hz
// are those of 864 s at 100 Hz.
const (
	fastest = 10 * time.Millisecond
	as1h    = 3600 * fastest
	as24h   = 24 * as1h
)

// fast is the daemon at 100 Hz with full rings.
type fast struct {
	retention time.Duration // at 1 Hz
	late      lateness
	bare      lateness
	cpu       float64 // percent of a core
	end       process
	used      float64 // readings in memory
}

// measureFast fills rings of retention, and measures then for a minute.
func (o options) measureFast(p daemon.Program, retention time.Duration) (f fast, err error) {
	dir, err := o.folder("fast")
	if err != nil {
		return f, err
	}
	script := scripted(o.gpus, o.calls[0], "")
	d, err := p.Start(dir, script, o.log, "--interval", fastest.String(), "--retention", retention.String())
	if err != nil {
		return f, err
	}
	defer func() { _ = d.Stop() }()
	f.retention = retention / fastest * time.Second
	time.Sleep(settled)
	before, err := scrape(d)
	for full := float64(o.gpus) * float64(retention/fastest); err == nil && before["wattmark_ring_used_samples"] < full; {
		time.Sleep(time.Second)
		before, err = scrape(d)
	}
	if err != nil {
		return f, err
	}
	time.Sleep(time.Second)
	begin, err := look(d.PID)
	if err != nil {
		return f, err
	}
	from, bare := time.Now(), bareTimer(fastest)
	time.Sleep(min(o.duration, time.Minute, retention-2*time.Second))
	if f.end, err = look(d.PID); err != nil {
		return f, err
	}
	to := time.Now()
	f.cpu, f.bare = percent(begin, f.end), bare()
	after, err := scrape(d)
	if err != nil {
		return f, err
	}
	f.used = after["wattmark_ring_used_samples"]
	if f.late, err = measureLateness(d, fastest, from, to); err != nil {
		return f, err
	}
	f.late.missed = after.sum("wattmark_missed_ticks_total") - before.sum("wattmark_missed_ticks_total")
	f.late.bucket = after.quantileBucket(before, "wattmark_sample_lateness_seconds", 0.99)
	return f, err
}
