//go:build linux

// Soak runs the built daemon at 100 Hz under marks and scrapes, on the scripted driver, and looks for what grows: memory,
// descriptors, threads, files. At the end it adds up what was counted. A second at 100 Hz has the readings of 100 seconds at
// 1 Hz: 15 minutes are a day. The day of simulated time is a test beside it.
//
//	go run ./bench/soak -duration 4m
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"wattmark/bench/daemon"
	"wattmark/internal/nvmldouble"
	"wattmark/internal/procstatus"
)

func main() {
	o := options{growth: 1.5}
	flag.DurationVar(&o.duration, "duration", 4*time.Minute, "how long it runs once it has settled")
	flag.DurationVar(&o.settle, "settle", 70*time.Second, "how long it runs before: until the rings are full")
	flag.IntVar(&o.warm, "warm", 4500, "how many windows end before: until the list of them is full")
	flag.DurationVar(&o.window, "window", 100*time.Millisecond, "time from one window's end to the next one's")
	flag.Parse()
	if err := run(o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

type options struct {
	duration, settle, window time.Duration
	warm                     int
	growth                   float64 // MB that memory may grow by from one half to the other
}

const (
	gpus     = 8
	interval = 10 * time.Millisecond
	watts    = 500.0
)

// look is what the kernel says of the daemon, and the disk of its folder.
type look struct {
	rss, heap             float64 // MB; heap: of it not files
	descriptors, threads  int
	temporary, stateBytes int64 // half-written files; bytes of the state
}

func lookAt(d *daemon.Daemon) (look, error) {
	status, err := procstatus.Of(d.PID)
	if err != nil {
		return look{}, err
	}
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.PID))
	if err != nil {
		return look{}, err
	}
	l := look{
		rss: status.MB("VmRSS"), heap: status.MB("RssAnon"), descriptors: len(descriptors), threads: int(status.Number("Threads")),
	}
	entries, err := os.ReadDir(d.Results)
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".tmp") && strings.HasPrefix(entry.Name(), ".wattmark-") {
			l.temporary++
		}
		if info, err := entry.Info(); err == nil && strings.HasPrefix(entry.Name(), "wattmark_") {
			l.stateBytes += info.Size()
		}
	}
	return l, err
}

func (l look) String() string {
	return fmt.Sprintf("%5.1f MB (%4.1f not files), %d descriptors, %d threads, %d half files, %.1f MB of state",
		l.rss, l.heap, l.descriptors, l.threads, l.temporary, float64(l.stateBytes)/1e6)
}

func run(o options, out, log io.Writer) error {
	dir, err := os.MkdirTemp("", "wattmark-soak-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program, err := daemon.Build(dir)
	if err != nil {
		return err
	}
	script := nvmldouble.Script{Origin: time.Now()}
	for i := range gpus {
		gpu := nvmldouble.H200(nvmldouble.Constant(watts))
		gpu.CounterPhase = time.Duration(i) * 12 * time.Millisecond
		script.GPUs = append(script.GPUs, gpu)
	}
	d, err := program.Start(filepath.Join(dir, "run"), script, log, "--interval", interval.String(), "--retention", "1m", "--log-level", "warn")
	if err != nil {
		return err
	}
	s := soak{options: o, daemon: d, out: out, begin: time.Now()}
	err = s.run()
	return errors.Join(err, d.Stop())
}

// soak is one run.
type soak struct {
	options
	daemon   *daemon.Daemon
	out      io.Writer
	begin    time.Time
	windows  int
	spans    int
	requests int     // to mark-start, mark-end and metrics
	joules   float64 // of all windows
	truth    float64
	variance float64 // J²
}

func (s *soak) run() error {
	for time.Since(s.begin) < s.settle || s.spans < s.warm {
		time.Sleep(10 * time.Millisecond)
		if err := s.span(); err != nil {
			return err
		}
	}
	settled := time.Now()
	end, half := settled.Add(s.duration), settled.Add(s.duration/2)
	fmt.Fprintf(s.out, "settled after %.0f s and %d windows\n", settled.Sub(s.begin).Seconds(), s.spans)
	var first, second []look
	report := settled
	for next := settled; time.Now().Before(end); {
		if err := s.work(); err != nil {
			return err
		}
		next = next.Add(s.window)
		time.Sleep(time.Until(next))
		if time.Since(report) < time.Second {
			continue
		}
		report = time.Now()
		l, err := lookAt(s.daemon)
		if err != nil {
			return err
		}
		switch {
		case report.Before(half):
			first = append(first, l)
		default:
			second = append(second, l)
		}
		if int(time.Since(settled).Seconds())%30 == 0 {
			fmt.Fprintf(s.out, "%5.0f s  %v\n", time.Since(s.begin).Seconds(), l)
		}
	}
	before, after := median(first), median(second)
	fmt.Fprintf(s.out, "medians of the first half  %v\nand of the second          %v\n", before, after)
	return errors.Join(grown(before, after, s.growth), s.addUp())
}

// median is that of each number by itself: a garbage collector breathes.
func median(looks []look) look {
	if len(looks) == 0 {
		return look{}
	}
	middle := func(of func(look) float64) float64 {
		all := make([]float64, len(looks))
		for i, l := range looks {
			all[i] = of(l)
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return look{
		middle(func(l look) float64 { return l.rss }), middle(func(l look) float64 { return l.heap }),
		int(middle(func(l look) float64 { return float64(l.descriptors) })), int(middle(func(l look) float64 { return float64(l.threads) })),
		int64(middle(func(l look) float64 { return float64(l.temporary) })), int64(middle(func(l look) float64 { return float64(l.stateBytes) })),
	}
}

// grown says what did, from one half of the run to the other.
func grown(before, after look, growth float64) error {
	var errs []error
	if after.heap > before.heap+growth {
		errs = append(errs, fmt.Errorf("memory that is not files grew from %.1f to %.1f MB", before.heap, after.heap))
	}
	if after.descriptors > before.descriptors+2 || after.threads > before.threads+2 || after.temporary > before.temporary {
		errs = append(errs, fmt.Errorf("grown: %v, before %v", after, before))
	}
	return errors.Join(errs...)
}

// span measures a second that has passed: it ends a window without waiting for one.
func (s *soak) span() error {
	now := float64(time.Now().UnixMicro()) / 1e6
	run := fmt.Sprintf("span-%d", s.spans)
	at := func(unix float64) string { return strconv.FormatFloat(unix, 'f', 6, 64) }
	if time.Since(s.begin) < 2*time.Second {
		return nil
	}
	if _, err := s.daemon.Post("/v1/measure", "run", run, "start_unix", at(now-1.5), "end_unix", at(now-0.5)); err != nil {
		return err
	}
	s.spans++
	return os.Remove(filepath.Join(s.daemon.Results, "power_window_"+run+".json"))
}

// work is a window, a scrape, and the removal of the window's file.
func (s *soak) work() error {
	run := fmt.Sprintf("soak-%d", s.windows)
	if err := s.daemon.MarkStart(run); err != nil {
		return err
	}
	if _, err := s.daemon.Get("/metrics"); err != nil {
		return err
	}
	time.Sleep(s.window / 2)
	answer, err := s.daemon.MarkEnd(run)
	if err != nil {
		return err
	}
	s.windows++
	s.requests += 3
	if answer.Energy == nil || answer.Bound == nil || !answer.Valid {
		return fmt.Errorf("%s: reasons %v", run, answer.Reasons)
	}
	s.joules += *answer.Energy
	s.variance += *answer.Bound * *answer.Bound / 4 // a bound is 2 σ
	s.truth += gpus * watts * answer.End.Sub(answer.Start).Seconds()
	return os.Remove(filepath.Join(s.daemon.Results, "power_window_"+run+".json"))
}

// addUp compares what the daemon has counted with what was done.
func (s *soak) addUp() error {
	text, err := s.daemon.Get("/metrics")
	if err != nil {
		return err
	}
	took := time.Since(s.begin).Seconds()
	sums := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		i := strings.LastIndexByte(strings.TrimSpace(line), ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		x, _ := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64)
		name, labels, _ := strings.Cut(line[:i], "{")
		sums[name] += x
		for label := range strings.SplitSeq(strings.TrimSuffix(labels, "}"), ",") {
			sums[name+" "+label] += x
		}
	}
	ticks := took / interval.Seconds() * gpus
	const pause = 1 // s, that a busy machine may keep the daemon from reading at the end
	var errs []error
	for _, c := range []struct {
		what            string
		got, want, most float64 // and how far off
	}{
		{"energy of all windows, J", s.joules, s.truth, 4 * math.Sqrt(s.variance)},
		{"windows counted", sums["wattmark_windows_total"], float64(s.windows + s.spans), 0},
		{"windows open", sums["wattmark_windows_open"], 0, 0},
		{"requests counted", sums[`wattmark_http_requests_total handler="/v1/mark-start"`] + sums[`wattmark_http_requests_total handler="/v1/mark-end"`], float64(2 * s.windows), 0},
		{"requests that failed", sums[`wattmark_http_requests_total code="500"`] + sums[`wattmark_http_requests_total code="429"`], 0, 0},
		{"reads of the schedule, done and left out", sums["wattmark_sample_lateness_seconds_count"] + sums["wattmark_missed_ticks_total"], ticks, 0.01*ticks + pause/interval.Seconds()*gpus},
		{"reads that failed", sums[`wattmark_samples_total outcome="error"`], 0, 0},
		{"readings rejected", sums["wattmark_rejected_readings_total"], 0, 0},
		{"energy by the counters, J", sums[`wattmark_gpu_energy_joules_total method="counter"`], gpus * watts * took, (0.002*took + pause) * gpus * watts},
	} {
		fmt.Fprintf(s.out, "%-42s %.1f, want %.1f ± %.1f\n", c.what, c.got, c.want, c.most)
		if math.Abs(c.got-c.want) > c.most {
			errs = append(errs, fmt.Errorf("%s: %.1f, want %.1f ± %.1f", c.what, c.got, c.want, c.most))
		}
	}
	return errors.Join(errs...)
}
