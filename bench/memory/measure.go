//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"wattmark/bench/daemon"
	"wattmark/internal/memcgroup"
)

// open is how many windows may be open at once.
const open = 256

// trial is one daemon under its limit.
type trial struct {
	options
	d     *daemon.Daemon
	group *memcgroup.Group
	out   io.Writer

	judged int      // energies of a GPU in a window
	worst  float64  // error, as a share of the bound
	wrong  []string // what is not right
}

func (o options) measure(program daemon.Program, dir string, out io.Writer) (err error) {
	group, err := memcgroup.New(int64(o.limit * 1e6))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, group.Close()) }()
	script, folder := scripted(), filepath.Join(dir, "state")
	if err := recordDay(program, script, dir, folder, o); err != nil {
		return err
	}
	for _, file := range []string{program.Wattmark, program.Library} {
		if err := memcgroup.Forget(file); err != nil {
			return err
		}
	}
	program.Within = group.Command()
	if o.told != "" {
		program.Env = []string{"GOMEMLIMIT=" + o.told}
	}
	d, err := program.Start(filepath.Join(dir, "run"), script, o.log, "--interval", interval.String(), "--retention", day.String(),
		"--state-dir", folder, "--log-level", "warn")
	if err != nil {
		killed, _ := group.Killed()
		return fmt.Errorf("%w; killed for memory: %d", err, killed)
	}
	t := &trial{options: o, d: d, group: group, out: out}
	err = t.run()
	killed, killErr := group.Killed()
	fmt.Fprintf(out, "killed for memory: %d; of %d energies %d are wrong, the worst is off by %.2f of its bound\n",
		killed, t.judged, len(t.wrong), t.worst)
	if killed > 0 {
		err = errors.Join(err, errors.New("the kernel killed it for memory"))
	}
	if len(t.wrong) > 0 {
		err = errors.Join(err, fmt.Errorf("%d energies are wrong: %s", len(t.wrong), t.wrong[0]))
	}
	return errors.Join(err, killErr, d.Stop())
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

// beyond is how much of its bound (2 standard deviations) a GPU's energy may be off.
const beyond = 1.5

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
		if t.worst = max(t.worst, ratio); ratio > beyond {
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
	peak, _ := t.group.Peak()
	held, _ := t.group.Anonymous()
	_ = t.group.Reset()
	fmt.Fprintf(t.out, "%-40s resident %5.1f MB, of it not files %5.1f; group: peak %5.1f, now not files %5.1f\n", when,
		status(t.d.PID, "VmRSS"), status(t.d.PID, "RssAnon"), float64(peak)/1e6, float64(held)/1e6)
}

// status is a field of /proc/PID/status in MB.
func status(pid int, field string) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kilobytes, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
			return kilobytes * 1024 / 1e6
		}
	}
	return math.NaN()
}
