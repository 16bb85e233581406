//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"

	"wattmark/bench/daemon"
)

// marks are how long the daemon takes to answer marks.
type marks struct {
	open     int // windows
	readings int // of each GPU in a window that is ended
	starts   []time.Duration
	ends     []time.Duration // that make one reading
	stepping []time.Duration // that wait for the counters' steps as well
	cpu      []time.Duration // of the daemon while it ends a window as in ends, the driver's calls included
	startCPU []time.Duration // likewise while it starts one
	scrapes  []time.Duration
	after    process
}

// measureMarks opens windows, and keeps so many open while it starts and ends others of ten seconds.
//
// After a mark the sampler reads fast until the counters have stepped, up to 120 ms, and a mark-end waits for that; but
// not twice within a second. So a mark-end 300 ms after a mark-start makes one reading of each GPU and no more: what it
// takes is the daemon's own work, and some µs of driver calls. A second later another one waits for the steps.
func (o options) measureMarks(p daemon.Program) (m marks, err error) {
	const (
		round  = 1700 * time.Millisecond
		rounds = 200
		ahead  = 6 // windows end so many rounds after they began
	)
	dir, err := o.folder("marks")
	if err != nil {
		return m, err
	}
	d, err := p.Start(dir, scripted(o.gpus, o.calls[0], ""), o.log)
	if err != nil {
		return m, err
	}
	defer func() { _ = d.Stop() }()
	time.Sleep(settled)
	const open = 256
	m.open = open
	for i := range open - 2*ahead - 2 {
		if err := d.MarkStart(fmt.Sprintf("open-%d", i)); err != nil {
			return m, err
		}
	}
	began := time.Now()
	for i := range min(rounds, int(o.duration/round)+ahead) {
		time.Sleep(time.Until(began.Add(time.Duration(i) * round)))
		err := m.watched(d, &m.startCPU, &m.starts, func() error { return d.MarkStart(fmt.Sprintf("window-%d", i)) })
		if err != nil {
			return m, err
		}
		time.Sleep(300 * time.Millisecond)
		if i >= ahead {
			err := m.watched(d, &m.cpu, &m.ends, func() error {
				answer, err := d.MarkEnd(fmt.Sprintf("window-%d", i-ahead))
				if err == nil {
					m.readings = answer.GPUs[0].Samples
				}
				return err
			})
			if err != nil {
				return m, err
			}
		}
		if err := m.timed(&m.scrapes, func() error { _, err := d.Scrape(); return err }); err != nil {
			return m, err
		}
		time.Sleep(time.Second)
		if i >= ahead {
			err := m.timed(&m.stepping, func() error { _, err := d.MarkEnd(fmt.Sprintf("other-%d", i-ahead)); return err })
			if err != nil {
				return m, err
			}
		}
		if err := d.MarkStart(fmt.Sprintf("other-%d", i)); err != nil {
			return m, err
		}
	}
	for _, list := range [][]time.Duration{m.starts, m.ends, m.stepping, m.cpu, m.startCPU, m.scrapes} {
		slices.Sort(list)
	}
	m.after, err = look(d.PID)
	return m, err
}

// watched is timed with the daemon's CPU meanwhile.
func (m *marks) watched(d *daemon.Daemon, cpu, into *[]time.Duration, do func() error) error {
	before, err := look(d.PID)
	if err != nil {
		return err
	}
	if err := m.timed(into, do); err != nil {
		return err
	}
	after, err := look(d.PID)
	*cpu = append(*cpu, after.cpu-before.cpu)
	return err
}

func (m *marks) timed(into *[]time.Duration, do func() error) error {
	began := time.Now()
	err := do()
	*into = append(*into, time.Since(began))
	return err
}
