package probe

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"wattmark/sampler"
)

// Shortest and Default are how long a probe takes at least, and by default.
const (
	Shortest = 8 * time.Second
	Default  = 60 * time.Second
)

// patience is how long a driver call may take before the probe goes on without it.
const patience = 10 * time.Second

// phase is a part of the probe in which reads keep one pace.
type phase struct {
	every, from, to time.Duration // from, to: since the beginning
	// dither spreads the reads over a part of the pace, lest they march in step with the sensor.
	dither float64
}

// The phases in the order of time: 1 Hz, 200 Hz, 20 Hz. The fast one follows the slow one after a second, as in the
// calibration of the daemon.
const (
	slow = iota
	fast
	medium
	phases
)

// plan fits the phases into a duration: the fast one is short, for counters are not made for it.
func plan(duration time.Duration) [phases]phase {
	duration = max(duration, Shortest)
	slowly := min(max(duration/3, 3*time.Second), 20*time.Second).Truncate(time.Second)
	quickly := min(max(duration/10, 1600*time.Millisecond), 3*time.Second)
	return [phases]phase{
		slow:   {every: time.Second, to: slowly},
		fast:   {every: 5 * time.Millisecond, from: slowly, to: slowly + quickly, dither: 0.2},
		medium: {every: 50 * time.Millisecond, from: slowly + quickly, to: duration, dither: 0.2},
	}
}

// Run reads a GPU for so long, at least Shortest, and reports on its sensors. It changes no setting. Nobody else may
// read the device meanwhile. When ctx ends, or the driver stops answering, it reports on what it has.
func Run(ctx context.Context, device sampler.Device, duration time.Duration) Report {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &recorder{answered: time.Now()}
	done := make(chan struct{})
	go func() { // a driver call cannot be cancelled: one that hangs keeps this goroutine, and nothing else
		defer close(done)
		r.take(ctx, device, plan(duration))
	}()
	watch := time.NewTicker(time.Second)
	defer watch.Stop()
	for waiting := true; waiting; {
		select {
		case <-done:
			waiting = false
		case <-ctx.Done():
			waiting = false
		case <-watch.C:
			waiting = r.answering()
		}
	}
	return analyse(device.Info(), r.record())
}

// record is what was read.
type record struct {
	readings [phases][]sampler.Reading
	failed   int
	err      error // of the last read that failed
	drains   []drain
	complete bool
}

// drain is what the driver's sample buffer gave at one time.
type drain struct {
	at      sampler.Moment // of the reading before it
	samples sampler.PowerSamples
	err     error
}

// recorder is a record in the making.
type recorder struct {
	mu       sync.Mutex
	answered time.Time // when the driver did, last
	rec      record
}

func (r *recorder) answering() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.answered) <= patience {
		return true
	}
	r.rec.err = fmt.Errorf("no answer for %v", patience)
	return false
}

// record returns what was read so far; the recorder may go on.
func (r *recorder) record() record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rec
}

// take reads the device phase by phase. Reads that are late are left out, not made up for.
func (r *recorder) take(ctx context.Context, device sampler.Device, plan [phases]phase) {
	buffered, _ := device.(Sampled)
	begin := time.Now()
	drained := begin.Add(-time.Hour)
	for p, phase := range plan {
		for k := 0; ; {
			at := begin.Add(phase.from + time.Duration(k)*phase.every + phase.shift(k))
			if !at.Before(begin.Add(phase.to)) {
				break
			}
			if !sleep(ctx, time.Until(at)) {
				return
			}
			r.read(device, p)
			if buffered != nil && time.Since(drained) >= drainEvery {
				drained = time.Now()
				r.drain(buffered, p)
			}
			k = max(k+1, int(math.Ceil(float64(time.Since(begin)-phase.from)/float64(phase.every))))
		}
	}
	r.mu.Lock()
	r.rec.complete = true
	r.mu.Unlock()
}

// shift is by how much read k is later than its time.
func (p phase) shift(k int) time.Duration {
	_, part := math.Modf(float64(k) * math.Phi) // evenly spread, for any number of reads
	return time.Duration(p.dither * part * float64(p.every))
}

func (r *recorder) read(device sampler.Device, p int) {
	reading, err := device.Read()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered = time.Now()
	if err != nil {
		r.rec.failed++
		r.rec.err = err
		return
	}
	r.rec.readings[p] = append(r.rec.readings[p], reading)
}

// drainEvery is how often the driver's sample buffer is read: it is known to hold about two seconds.
const drainEvery = 900 * time.Millisecond

func (r *recorder) drain(device Sampled, p int) {
	samples, err := device.PowerSamples()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered = time.Now()
	d := drain{samples: samples, err: err}
	if n := len(r.rec.readings[p]); n > 0 {
		d.at = r.rec.readings[p][n-1].At
	}
	r.rec.drains = append(r.rec.drains, d)
}

// sleep waits, and reports whether ctx still runs.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
