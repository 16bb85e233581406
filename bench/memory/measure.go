//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"wattmark/bench/daemon"
	"wattmark/internal/memcgroup"
	"wattmark/internal/procstatus"
)

// open is how many windows may be open at once.
const open = 256

// trial is one daemon under its limit.
type trial struct {
	options
	d     *daemon.Daemon
	group *memcgroup.Group // nil: the limit is not enforced
	out   io.Writer

	judged  int      // energies of a GPU in a window
	outside int      // of them outside their bounds
	worst   float64  // error, as a share of the bound
	wrong   []string // what is not right
}

func (o options) measure(program daemon.Program, dir string, out io.Writer) (err error) {
	script, folder := scripted(), filepath.Join(dir, "state")
	if err := recordDay(program, script, dir, folder, o); err != nil {
		return err
	}
	group, err := memcgroup.New(int64(o.limit * 1e6))
	if err == nil {
		defer func() { err = errors.Join(err, group.Close()) }()
		program.Within = group.Command()
	} else {
		fmt.Fprintf(out, "NOT ENFORCED: the daemon is told its limit, and the memory that it used is held to it: %v\n", err)
		o.told = fmt.Sprintf("%.0f", (o.limit-20)*1e6) // 4 MB less than docs/cost.md says: nobody makes the kernel drop pages of files
	}
	for _, file := range []string{program.Wattmark, program.Library} {
		if err := memcgroup.Forget(file); err != nil {
			return err
		}
	}
	if o.told != "" {
		program.Env = []string{"GOMEMLIMIT=" + o.told}
	}
	d, err := program.Start(filepath.Join(dir, "run"), script, o.log, "--interval", interval.String(), "--retention", day.String(),
		"--state-dir", folder, "--log-level", "warn")
	if err != nil {
		return errors.Join(err, killed(group))
	}
	t := &trial{options: o, d: d, group: group, out: out}
	err = errors.Join(t.run(), t.verdict())
	return errors.Join(err, d.Stop())
}

// killed says that the kernel killed a process of the group for memory.
func killed(group *memcgroup.Group) error {
	if group == nil {
		return nil
	}
	n, err := group.Killed()
	if n > 0 {
		err = errors.New("the kernel killed it for memory")
	}
	return err
}

// verdict says what was wrong.
func (t *trial) verdict() error {
	highest := math.NaN() // it was killed
	if status, err := procstatus.Of(t.d.PID); err == nil {
		highest = status.MB("VmHWM")
	}
	fmt.Fprintf(t.out, "of %d energies %d outside their bounds, the worst off by %.2f of it; %.1f MB resident at most\n",
		t.judged, t.outside, t.worst, highest)
	err := killed(t.group)
	if t.group == nil && !(highest <= t.limit) {
		err = fmt.Errorf("%.1f MB resident at most, want %.0f", highest, t.limit)
	}
	if float64(t.outside) > outside*float64(t.judged) {
		err = errors.Join(err, fmt.Errorf("%d of %d energies are outside their bounds", t.outside, t.judged))
	}
	if len(t.wrong) > 0 {
		err = errors.Join(err, fmt.Errorf("%d energies are wrong: %s", len(t.wrong), t.wrong[0]))
	}
	return err
}

func (t *trial) run() error {
	used, size, err := t.rings()
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "limit %.0f MB; %.0f readings in memory of %.0f that fit: at 1 Hz %.1f h\n", t.limit, used, size, used/gpus/3600)
	t.say("a day read back")
	for i := range open - 1 {
		if err := t.d.MarkStart(fmt.Sprintf("held-%d", i)); err != nil {
			return err
		}
	}
	t.say("256 windows open")
	if err := t.load(); err != nil {
		return err
	}
	t.say("marks and scrapes")
	for _, demand := range demands() {
		if err := demand.ask(t); err != nil {
			return fmt.Errorf("%s: %w", demand.name, err)
		}
		t.say(demand.name)
	}
	for i := range 10 {
		if err := t.end(fmt.Sprintf("held-%d", i)); err != nil {
			return err
		}
	}
	t.say("windows held all the time end")
	return nil
}

// load ends windows that last for seconds, with their files, and scrapes.
func (t *trial) load() error {
	for i, until := 0, time.Now().Add(t.duration); time.Now().Before(until); i++ {
		run := fmt.Sprintf("short-%d", i)
		if err := t.d.MarkStart(run); err != nil {
			return err
		}
		time.Sleep(500 * time.Millisecond)
		if _, err := t.d.Get("/metrics"); err != nil {
			return err
		}
		if err := t.end(run); err != nil {
			return err
		}
		if i%10 == 0 {
			if _, err := t.d.Get("/v1/windows/" + run + "/report"); err != nil {
				return err
			}
		}
	}
	return nil
}

// end ends a window and compares its energy with the true one.
func (t *trial) end(run string) error {
	a, err := t.d.MarkEnd(run)
	if err != nil {
		return err
	}
	t.judge(run, a)
	return nil
}

// What is wrong: an energy further off than four bounds, of 2 standard deviations each, or more than so many of them further
// off than one.
const (
	farOff  = 4
	outside = 0.05
)

// judge compares each GPU's energy with the true one. The sum over the GPUs is not judged by its own bound: all are read at
// the same hundredths of a second, so their errors are not independent here.
func (t *trial) judge(what string, a daemon.Answer) {
	truth := watts * a.End.Sub(a.Start).Seconds()
	if !a.Valid || len(a.GPUs) != gpus {
		t.wrong = append(t.wrong, fmt.Sprintf("%s: valid %v, %v, %d GPUs", what, a.Valid, a.Reasons, len(a.GPUs)))
	}
	for _, gpu := range a.GPUs {
		t.judged++
		if gpu.Energy == nil || gpu.Bound == nil {
			t.wrong = append(t.wrong, fmt.Sprintf("%s: no energy of GPU %d", what, gpu.Index))
			continue
		}
		ratio := math.Abs(*gpu.Energy-truth) / *gpu.Bound
		if t.worst = max(t.worst, ratio); ratio > 1 {
			t.outside++
		}
		if ratio > farOff {
			t.wrong = append(t.wrong, fmt.Sprintf("%s: GPU %d %.2f ± %.2f J, true %.2f J", what, gpu.Index, *gpu.Energy, *gpu.Bound, truth))
		}
	}
}

// rings says how many readings are in memory, and how many fit.
func (t *trial) rings() (used, size float64, err error) {
	text, err := t.d.Get("/metrics")
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "wattmark_ring_used_samples":
			used, _ = strconv.ParseFloat(value, 64)
		case "wattmark_ring_size_samples":
			size, _ = strconv.ParseFloat(value, 64)
		}
	}
	return used, size, err
}

// say prints what is used: the peak since the last time, and of what is used now what cannot be dropped.
func (t *trial) say(when string) {
	if status, err := procstatus.Of(t.d.PID); err == nil {
		fmt.Fprintf(t.out, "%-40s resident %5.1f MB, of it not files %5.1f", when, status.MB("VmRSS"), status.MB("RssAnon"))
	}
	if t.group != nil {
		peak, _ := t.group.Peak()
		_ = t.group.Reset()
		fmt.Fprintf(t.out, "; group at most %5.1f, page cache included", float64(peak)/1e6)
	}
	fmt.Fprintln(t.out)
}
