package sampler

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// extraCapacity is how many readings made on request are kept per GPU, beside those of the schedule: a flood of marks
// can push out other marks' edges (their windows then interpolate, with a wider bound) but never the schedule.
const extraCapacity = 4096

// openRetention is how long readings at 10 Hz, made while windows are open on a GPU without a counter, are kept.
const openRetention = 2 * time.Hour

// feed reads one device. Its goroutine is the only caller of the device.
type feed struct {
	device  Device
	id      string // Info.ID()
	log     *slog.Logger
	keep    func(Kept)    // nil: nobody records
	wake    chan struct{} // capacity 1: somebody waits for a reading
	quicken chan struct{} // capacity 1: quickWait has changed
	maxGap  time.Duration

	mu        sync.Mutex
	info      Info
	quick     quick
	pace      pace
	ticks     ring      // readings of the schedule
	extra     ring      // readings made on request
	asked     *request  // what the next read will serve; nil: nobody waits
	booked    time.Time // until when readings on request have used up their times
	count     Value     // the last known count of the energy counter
	countedAt Moment    // of count
	status    Status
}

// Status is the state of one GPU's feed.
type Status struct {
	Info    Info
	Latest  Reading   // the last good reading; its At is zero if there was none
	Err     error     // why the last read failed; nil if it did not
	Busy    time.Time // when the driver call now running began; zero: none
	Reads   uint64    // good and failed
	Failed  uint64
	Timeout uint64 // of the failed ones, those that the driver gave up on
	Empty   uint64 // of the good ones, those without power and energy
	Gaps    uint64 // times that two good readings were more than Config.MaxGap apart
	// RejectedPower are values of power that no GPU can have had, RejectedCounts steps of the energy counter likewise.
	RejectedPower, RejectedCounts uint64

	Missed  uint64        // ticks of the schedule that passed while a read was still running
	MaxCall time.Duration // longest driver call
	Stretch int           // the interval is so many times the configured one, for driver calls are slow; 1: it is not
	Calls   Histogram     // of driver calls
	Late    Histogram     // of the schedule's reads: how long after their time they began
	Used    int           // readings in memory
	Size    int           // readings that fit
	// CounterJoules is what the energy counter advanced since the feed began; PowerJoules the integral of
	// PowerWatts. Both only grow: a counter that falls adds nothing. They feed the exported totals; windows are
	// measured from the readings.
	CounterJoules Value
	PowerJoules   Value
	// Throttled is for how long the GPU ran below its clocks, by reason; ThrottleKnown: its driver says so.
	Throttled     [ThrottleReasons]time.Duration
	ThrottleKnown bool

	Calibration Calibration
}

func newFeed(device Device, config Config) *feed { // Config.fit gives it room
	info := device.Info()
	f := &feed{
		device:  device,
		id:      info.ID(),
		info:    info,
		keep:    config.Keep,
		log:     config.Logger.With("gpu", info.Index, "uuid", info.UUID),
		wake:    make(chan struct{}, 1),
		quicken: make(chan struct{}, 1),
		maxGap:  config.MaxGap,
		status:  Status{Info: info, Stretch: 1},
	}
	if config.Calibrate && info.HasCounter && info.CounterPeriod > 0 {
		f.quick.calibrating = &calibrator{}
		f.hurry()
	}
	return f
}

// run reads at start + k·interval, and in between when somebody asks, until ctx ends. The schedule is absolute: a late
// read does not shift the next one, and ticks that passed during a long read are counted, not made up for.
func (f *feed) run(ctx context.Context, start time.Time, interval time.Duration) {
	next := start
	timer, fast, slot := time.NewTimer(time.Until(next)), time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	defer timer.Stop()
	defer fast.Stop()
	defer slot.Stop()
	f.rearm(fast)
	tick := func() {
		late := time.Since(next)
		_, _ = f.read(&f.ticks, false)
		next = f.after(next, late, interval)
		timer.Reset(time.Until(next))
	}
	serve := func() {
		switch wait, asked := f.book(); {
		case !asked: // served by another read meanwhile
		case wait > 0:
			slot.Reset(wait)
		default:
			_, _ = f.read(nil, false)
		}
	}
	for {
		if !time.Now().Before(next) { // the schedule goes first, however many ask
			tick()
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			tick()
		case <-f.wake:
			serve()
		case <-slot.C:
			serve()
		case <-f.quicken:
			f.rearm(fast)
		case <-fast.C:
			f.readQuick()
			f.rearm(fast)
		}
	}
}

func (f *feed) rearm(fast *time.Timer) {
	if wait := f.quickWait(); wait > 0 {
		fast.Reset(wait)
	} else {
		fast.Stop()
	}
}

// after returns the time of the tick after the one at tick, which began so late.
func (f *feed) after(tick time.Time, late, interval time.Duration) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Late.add(late)
	f.pace.add(f.status.Latest.Call, interval)
	if times := f.pace.times; times != f.status.Stretch {
		f.log.Warn("interval changed: driver calls are slow, or no longer", "times", times)
		f.status.Stretch = times
	}
	step := interval * time.Duration(f.status.Stretch)
	tick = tick.Add(step)
	if late := time.Since(tick); late >= 0 {
		missed := late/step + 1
		f.status.Missed += uint64(missed)
		tick = tick.Add(missed * step)
	}
	return tick
}

// read asks the device once, keeps the reading in into (in extra if that is nil and somebody who waits wants it kept), and
// serves everyone who was waiting before the call began. step says that the reading is to show the energy counter's step.
func (f *feed) read(into *ring, step bool) (Reading, error) {
	f.mu.Lock()
	served := f.asked
	f.asked = nil
	if served != nil && served.keep && into == nil {
		into = &f.extra
	}
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
		if timeout := interface{ Timeout() bool }(nil); errors.As(err, &timeout) && timeout.Timeout() {
			f.status.Timeout++
		}
	} else {
		reading.Stretched = f.status.Stretch > 1
		reading.Step = step && served == nil
		f.record(into, reading)
	}
	failed := f.status.Failed
	f.mu.Unlock()
	if served != nil {
		served.err = err
		close(served.done)
	}

	switch {
	case err != nil && !failing:
		f.log.Warn("read failing", "err", err)
	case err == nil && failing:
		f.log.Info("read recovered", "failed_reads", failed)
	}
	return reading, err
}

// record keeps a good reading. The caller holds the mutex.
func (f *feed) record(into *ring, reading Reading) {
	f.status.MaxCall = max(f.status.MaxCall, reading.Call)
	f.status.Calls.add(reading.Call)
	if !reading.Power().OK() && !reading.EnergyJoules.OK() {
		f.status.Empty++
	}
	f.addTotals(reading)
	f.addTimes(reading)
	f.status.Latest = reading
	if into != nil {
		into.push(reading)
		if f.keep != nil {
			f.keep(Kept{f.id, into == &f.extra, reading})
		}
	}
}

// addTotals adds what was used since the reading before. The caller holds the mutex.
func (f *feed) addTotals(reading Reading) {
	reading, lies := f.info.Believe(reading)
	f.status.RejectedPower += uint64(lies)
	if count, ok := reading.EnergyJoules.Known(); ok {
		advanced := max(0, count-f.count.Or(count))
		if advanced > 0 && !f.info.believes(advanced, reading.At.Sub(f.countedAt).Seconds()) {
			f.status.RejectedCounts++
			advanced = 0
		}
		f.countedAt = reading.At
		f.status.CounterJoules = Some(f.status.CounterJoules.Or(0) + advanced)
		f.count = reading.EnergyJoules
	}
	if watts, ok := reading.PowerWatts.Known(); ok {
		joules := 0.0
		if last := f.status.Latest.At; last != (Moment{}) {
			joules = max(0, watts*reading.At.Sub(last).Seconds())
		}
		f.status.PowerJoules = Some(f.status.PowerJoules.Or(0) + joules)
	}
}

// addTimes counts a gap since the reading before, or the time since then as throttled. The caller holds the mutex.
func (f *feed) addTimes(reading Reading) {
	f.status.ThrottleKnown = f.status.ThrottleKnown || reading.ThrottleKnown
	last := f.status.Latest.At
	if last == (Moment{}) {
		return
	}
	since := reading.At.Sub(last)
	if since > f.maxGap { // what the GPU did meanwhile is not known
		f.status.Gaps++
		return
	}
	for i := range f.status.Throttled {
		if reading.Throttle&(1<<i) != 0 {
			f.status.Throttled[i] += max(0, since)
		}
	}
}

func (f *feed) snapshot() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	status := f.status
	status.Used = f.ticks.len() + f.extra.len()
	return status
}
