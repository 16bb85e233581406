//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"wattmark/bench/daemon"
	"wattmark/internal/nvmldouble"
	"wattmark/internal/procstatus"
	"wattmark/sampler"
)

// open is how many windows are open at once: the most that there may be, less those that come and go.
const (
	open  = 256
	churn = 100
)

// result is what was found.
type result struct {
	options
	took      time.Duration
	marked    tally // starts and ends
	scraped   tally
	healthy   tally         // /healthz, once in 100 ms
	excess    *statuses     // what bad clients were told
	late      float64       // s, bound of the bucket with the 99th percentile
	bare      float64       // s, the 99th percentile of a thread of the daemon's priority that only sleeps
	reads     float64       // of the schedule meanwhile
	missed    float64       // ticks
	rss       float64       // MB, highest
	threads   int           // highest
	files     [2]int        // descriptors before and after
	cpu       float64       // percent of a core
	wrong     float64       // windows, open all the time, that ended with another energy than the true one
	truth     held          // of those that came and went
	recovered time.Duration // until the daemon answers in 100 ms once the load is over
}

// scripted are eight GPUs at work: idle for a quarter of the time, then a peak and a plateau.
func scripted(origin time.Time) nvmldouble.Script {
	script := nvmldouble.Script{Origin: origin}
	for i := range 8 {
		gpu := nvmldouble.H200(nvmldouble.Trace{Decode: nvmldouble.Decode{
			Idle: 100, Prefill: 670, Plateau: 500 + 10*float64(i), PrefillTime: 300 * time.Millisecond,
			BusyTime: 3 * time.Second, Period: 4 * time.Second, Start: time.Duration(i) * 300 * time.Millisecond,
		}})
		gpu.CounterPhase = time.Duration(i) * 12 * time.Millisecond
		gpu.Latency, gpu.LatencyBusy = 20*time.Microsecond, true
		script.GPUs = append(script.GPUs, gpu)
	}
	return script
}

func (o options) measure(program daemon.Program, dir string, log io.Writer) (r *result, err error) {
	r = &result{options: o, excess: &statuses{seen: map[string]int{}}}
	origin := sampler.NewClock().Now() // the wall clock may be slewed meanwhile: only the monotonic one counts
	script := scripted(origin.Wall())
	r.truth.truth = func(gpu int, start, end sampler.Moment) float64 {
		return script.TrueJoules(gpu, script.Origin.Add(start.Sub(origin)), script.Origin.Add(end.Sub(origin)))
	}
	d, err := program.Start(filepath.Join(dir, "run"), script, log, "--log-level", "error")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, d.Stop()) }()
	time.Sleep(3 * time.Second) // calibrated
	for i := range open - churn {
		if err := d.MarkStart(fmt.Sprintf("held-%d", i)); err != nil {
			return r, err
		}
	}
	r.files[0] = descriptors(d.PID)
	before, err := metricsOf(d)
	if err != nil {
		return r, err
	}
	cpu, begin := cpuSeconds(d.PID), time.Now()

	ctx, cancel := context.WithTimeout(context.Background(), o.duration)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { r.watch(ctx, d.PID) })
	all.Go(func() { r.bare = bare(ctx) })
	all.Go(func() {
		pace(ctx, o.marks/2, churn, &r.marked, func(i int) error { return r.mark(d, fmt.Sprintf("churn-%d", i)) })
	})
	all.Go(func() {
		pace(ctx, o.scrapes, 8, &r.scraped, func(int) error { _, err := d.Get("/metrics"); return err })
	})
	all.Go(func() { pace(ctx, 10, 4, &r.healthy, func(int) error { _, err := d.Get("/healthz"); return err }) })
	all.Go(func() { misbehave(ctx, d.Address(), o.hostile, r.excess) })
	all.Wait()

	r.took = time.Since(begin)
	r.cpu = 100 * (cpuSeconds(d.PID) - cpu) / r.took.Seconds()
	for over := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		asked := time.Now()
		if _, err := d.Get("/healthz"); err == nil && time.Since(asked) < 100*time.Millisecond {
			r.recovered = time.Since(over)
			break
		}
		if time.Since(over) > 30*time.Second {
			return r, errors.New("the daemon does not recover")
		}
	}
	after, err := metricsOf(d)
	if err != nil {
		return r, err
	}
	const late = "wattmark_sample_lateness_seconds"
	r.late, r.reads = after.quantile(before, late, 0.99)
	r.missed = after["wattmark_missed_ticks_total"] - before["wattmark_missed_ticks_total"]
	for range churn + 5 { // more windows than there may be
		status := "201"
		if err := d.MarkStart(""); err != nil {
			_, status, _ = strings.Cut(err.Error(), ": ")
		}
		r.excess.add("windows above 256", status[:3])
	}
	time.Sleep(12 * time.Second) // slow clients are cut off after 10 s
	r.files[1] = descriptors(d.PID)
	for i := range 20 { // the windows that were open all the time are right
		answer, err := d.MarkEnd(fmt.Sprintf("held-%d", i))
		if err != nil {
			return r, err
		}
		truth := 0.0
		for gpu := range script.GPUs {
			truth += r.truth.truth(gpu, answer.Start, answer.End)
		}
		if !answer.Valid || answer.Energy == nil || *answer.Energy < 0.995*truth || *answer.Energy > 1.005*truth {
			r.wrong++
		}
	}
	return r, nil
}

// bare is how late, at the 99th percentile, a thread of the daemon's priority wakes up that only sleeps: what this machine
// does to a schedule meanwhile.
func bare(ctx context.Context) float64 {
	runtime.LockOSThread() // the thread ends with the goroutine, and its priority with it
	const lower = 5
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), lower) // else it is only less of a comparison
	var late []float64
	for next := time.Now(); ctx.Err() == nil; {
		next = next.Add(50 * time.Millisecond)
		time.Sleep(time.Until(next))
		late = append(late, time.Since(next).Seconds())
	}
	slices.Sort(late)
	return late[len(late)*99/100]
}

// mark opens a window and ends it.
func (r *result) mark(d *daemon.Daemon, run string) error {
	if err := d.MarkStart(run); err != nil {
		return err
	}
	answer, err := d.MarkEnd(run)
	if err == nil {
		r.truth.add(answer)
	}
	return err
}

// watch notes the daemon's highest memory and number of threads.
func (r *result) watch(ctx context.Context, pid int) {
	for ctx.Err() == nil {
		if status, err := procstatus.Of(pid); err == nil {
			r.rss = max(r.rss, status.MB("VmRSS"))
			r.threads = max(r.threads, int(status.Number("Threads")))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func descriptors(pid int) int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return -1
	}
	return len(entries)
}

func cpuSeconds(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}
