package sampler

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// extraCapacity is how many readings made on request are kept per GPU, beside those of the schedule: a flood of marks
// can push out other marks' edges (their windows then interpolate, with a wider bound) but never the schedule.
const extraCapacity = 4096

// feed reads one device. Its goroutine is the only caller of the device.
type feed struct {
	device Device
	log    *slog.Logger
	info   Info
	wake   chan struct{} // capacity 1: somebody waits for a reading

	mu     sync.Mutex
	ticks  ring          // readings of the schedule
	extra  ring          // readings made on request
	asked  chan struct{} // closes when the next read has ended; nil: nobody waits
	status Status
}

// Status is the state of one GPU's feed.
type Status struct {
	Info    Info
	Latest  Reading   // the last good reading; its At is zero if there was none
	Err     error     // why the last read failed; nil if it did not
	Busy    time.Time // when the driver call now running began; zero: none
	Reads   uint64    // good and failed
	Failed  uint64
	Missed  uint64        // ticks of the schedule that passed while a read was still running
	MaxCall time.Duration // longest driver call
	Used    int           // readings in memory
	Size    int           // readings that fit
	// CounterJoules is what the energy counter advanced since the feed began; PowerJoules the integral of
	// PowerWatts. Both only grow: a counter that falls adds nothing. They feed the exported totals; windows are
	// measured from the readings.
	CounterJoules Value
	PowerJoules   Value
}

func newFeed(device Device, config Config) *feed {
	info := device.Info()
	capacity := int(config.Retention/config.Interval) + 1
	return &feed{
		device: device,
		info:   info,
		log:    config.Logger.With("gpu", info.Index, "uuid", info.UUID),
		wake:   make(chan struct{}, 1),
		ticks:  ring{capacity: capacity},
		extra:  ring{capacity: extraCapacity},
		status: Status{Info: info, Size: capacity + extraCapacity},
	}
}

// run reads at start + k·interval, and in between when somebody asks, until ctx ends. The schedule is absolute: a late
// read does not shift the next one, and ticks that passed during a long read are counted, not made up for.
func (f *feed) run(ctx context.Context, start time.Time, interval time.Duration) {
	next := start
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			f.read(&f.ticks)
			next = next.Add(interval)
			if late := time.Since(next); late >= 0 {
				missed := late/interval + 1
				f.miss(uint64(missed))
				next = next.Add(missed * interval)
			}
			timer.Reset(time.Until(next))
		case <-f.wake:
			if f.isAsked() { // not served by a read of the schedule meanwhile
				f.read(&f.extra)
			}
		}
	}
}

// read asks the device once and serves everyone who was waiting before the call began.
func (f *feed) read(into *ring) {
	f.mu.Lock()
	served := f.asked
	f.asked = nil
	f.status.Busy = time.Now()
	f.mu.Unlock()

	reading, err := f.device.Read()

	f.mu.Lock()
	failing := f.status.Err != nil
	f.status.Busy = time.Time{}
	f.status.Reads++
	f.status.Err = err
	if err != nil {
		f.status.Failed++
	} else {
		f.record(into, reading)
	}
	failed := f.status.Failed
	f.mu.Unlock()
	if served != nil {
		close(served)
	}

	switch {
	case err != nil && !failing:
		f.log.Warn("read failing", "err", err)
	case err == nil && failing:
		f.log.Info("read recovered", "failed_reads", failed)
	}
}

// record keeps a good reading. The caller holds the mutex.
func (f *feed) record(into *ring, reading Reading) {
	f.status.MaxCall = max(f.status.MaxCall, reading.Call)
	if last := f.status.Latest; last.At != (Moment{}) {
		f.addTotals(last, reading)
	} else {
		f.startTotals(reading)
	}
	f.status.Latest = reading
	into.push(reading)
}

func (f *feed) startTotals(reading Reading) {
	if reading.EnergyJoules.OK() {
		f.status.CounterJoules = Some(0)
	}
	if reading.Power().OK() {
		f.status.PowerJoules = Some(0)
	}
}

func (f *feed) addTotals(last, reading Reading) {
	if now, ok := reading.EnergyJoules.Known(); ok {
		advanced := 0.0
		if before, ok := last.EnergyJoules.Known(); ok {
			advanced = max(0, now-before)
		}
		f.status.CounterJoules = Some(f.status.CounterJoules.Or(0) + advanced)
	}
	if watts, ok := reading.PowerWatts.Known(); ok {
		joules := watts * reading.At.Sub(last.At).Seconds()
		f.status.PowerJoules = Some(f.status.PowerJoules.Or(0) + max(0, joules))
	}
}

func (f *feed) miss(ticks uint64) {
	f.mu.Lock()
	f.status.Missed += ticks
	f.mu.Unlock()
}

// ask returns a channel that closes when a reading that began after this call is there or has failed.
// All who ask before the next read begins share it.
func (f *feed) ask() <-chan struct{} {
	f.mu.Lock()
	if f.asked == nil {
		f.asked = make(chan struct{})
	}
	done := f.asked
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // a wake-up is pending already
	}
	return done
}

func (f *feed) isAsked() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked != nil
}

func (f *feed) snapshot() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	status := f.status
	status.Used = f.ticks.len() + f.extra.len()
	return status
}

// series returns the readings of both rings, from the last at or before from to the first at or after to.
func (f *feed) series(from, to Moment) Series {
	f.mu.Lock()
	ticks := f.ticks.between(from, to)
	extra := f.extra.between(from, to)
	f.mu.Unlock()
	return Series{Info: f.info, Readings: merge(ticks, extra)}
}

// merge returns the readings of a and b in the order of time.
func merge(a, b []Reading) []Reading {
	if len(b) == 0 {
		return a
	}
	all := append(a, b...)
	slices.SortStableFunc(all, func(x, y Reading) int { return cmp.Compare(x.At.MonoNano, y.At.MonoNano) })
	return all
}

// oldest returns the time of the oldest reading of the schedule.
func (f *feed) oldest() (Moment, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ticks.len() == 0 {
		return Moment{}, false
	}
	return f.ticks.at(0).At, true
}
