package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"wattmark/bench/daemon"
	"wattmark/internal/nvmldouble"
	"wattmark/sampler"
)

const gpus = 8

// plan is which windows to measure.
type plan struct {
	length time.Duration // of the load, and of a window
	rounds int           // windows of each GPU
	call   time.Duration // how long a driver call takes
}

// cycle is from one begin of a GPU's load to the next. It is no multiple of any sensor's period, and the GPU idles for
// longer than the sampler rests between two bursts of fast reads.
func (p plan) cycle() time.Duration {
	return p.length + max(p.length/5, 1500*time.Millisecond) + 13*time.Millisecond
}

// begin is when a GPU's load begins for the nth time, after the script's origin.
func (p plan) begin(gpu, n int) time.Duration {
	const settle = 6 * time.Second // the daemon starts and finds out what the counters are like
	return settle + time.Duration(n)*p.cycle() + time.Duration(gpu)*(p.cycle()/gpus+7*time.Millisecond)
}

func (p plan) script(origin time.Time) nvmldouble.Script {
	script := nvmldouble.Script{Origin: origin}
	for i := range gpus {
		gpu := nvmldouble.H200(nvmldouble.Trace{
			Decode: nvmldouble.Decode{
				Idle: 100, Prefill: 670, Plateau: 500 + 15*float64(i), PrefillTime: p.length / 12, BusyTime: p.length,
				Period: p.cycle(), Start: p.begin(i, 0),
			},
			Sine: nvmldouble.Sine{Amplitude: 20, Period: 730 * time.Millisecond},
		})
		gpu.CounterPeriod = 100*time.Millisecond + time.Duration(i)*250*time.Microsecond // 99.9 to 101.9 ms are on record
		gpu.CounterPhase = time.Duration(i) * 12 * time.Millisecond
		gpu.Latency, gpu.LatencyBusy = p.call, true
		script.GPUs = append(script.GPUs, gpu)
	}
	return script
}

// measured is one window's energy, as wattmark tells it, and as it was.
type measured struct {
	gpu, round           int
	joules, bound, truth float64
	early, late          time.Duration // from the window's start to the load's begin, and from the load's end to its end
	samples              int
	notes                []string // and reasons, and a method that is not the counter
}

func (m measured) String() string {
	return fmt.Sprintf("GPU %d round %2d: %9.2f J ± %6.2f, true %9.2f J, off by %+6.2f J, %+.3f %%; marked %v before and %v after, %d readings %v",
		m.gpu, m.round, m.joules, m.bound, m.truth, m.joules-m.truth, 100*(m.joules-m.truth)/m.truth,
		m.early.Round(10*time.Microsecond), m.late.Round(10*time.Microsecond), m.samples, m.notes)
}

// measure runs the plan.
func measure(program daemon.Program, dir string, p plan) ([]measured, error) {
	clock := sampler.NewClock()
	origin := clock.Now() // the wall clock may be slewed meanwhile: from here on only the monotonic one counts
	script := p.script(origin.Wall())
	d, err := program.Start(dir, script, io.Discard)
	if err != nil {
		return nil, err
	}
	var (
		mu   sync.Mutex
		all  []measured
		errs []error
		each sync.WaitGroup
	)
	for gpu := range gpus {
		each.Go(func() {
			for round := range p.rounds {
				m, err := p.window(d, script, origin, clock, gpu, round)
				mu.Lock()
				all, errs = append(all, m), append(errs, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	each.Wait()
	return all, errors.Join(errors.Join(errs...), d.Stop())
}

// window measures one window: mark-start is answered when the load begins, mark-end is sent when it has ended.
func (p plan) window(d *daemon.Daemon, script nvmldouble.Script, origin sampler.Moment, clock sampler.Clock, gpu, round int) (measured, error) {
	const lead = 15 * time.Millisecond // for mark-start to be answered
	m := measured{gpu: gpu, round: round}
	sleepUntil := func(at time.Duration) { time.Sleep(at - clock.Now().Sub(origin)) }
	run, begin := fmt.Sprintf("gpu%d-%d", gpu, round), p.begin(gpu, round)
	sleepUntil(begin - lead)
	if err := d.MarkStart(run, "gpus", strconv.Itoa(gpu)); err != nil {
		return m, err
	}
	sleepUntil(begin + p.length)
	answer, err := d.MarkEnd(run)
	if err != nil {
		return m, err
	}
	if len(answer.GPUs) != 1 || answer.Energy == nil || answer.Bound == nil {
		return m, fmt.Errorf("%s: no energy: %v", run, answer.Reasons)
	}
	start, end := answer.Start.Sub(origin), answer.End.Sub(origin)
	m.joules, m.bound = *answer.Energy, *answer.Bound
	m.truth = script.TrueJoules(gpu, script.Origin.Add(start), script.Origin.Add(end))
	m.early, m.late, m.samples = begin-start, end-begin-p.length, answer.GPUs[0].Samples
	m.notes = append(answer.Reasons, answer.Notes...)
	if method := answer.GPUs[0].Method; method != "counter" {
		m.notes = append(m.notes, "method "+method)
	}
	return m, nil
}
