package sampler

import "time"

// Readings between those of the schedule, for a while: to see the energy counter step after a mark, to follow power
// on a GPU that has no counter, and to find out what the counter is like.
const (
	stepEvery = 10 * time.Millisecond
	stepReads = 12          // at most: 120 ms
	stepRest  = time.Second // between the beginnings of two such bursts: the counter is not for fast polling
	stepMost  = 2           // as long as so many bursts is one that further marks prolong
	openEvery = 100 * time.Millisecond
)

// quick is why a feed reads fast, and how far it has come. The feed's mutex guards it.
type quick struct {
	calibrating *calibrator
	open        int       // windows that are open on this GPU
	opened      time.Time // when the newest of them was
	burst       *burst
	lastBurst   time.Time
}

// burst reads until the counter has stepped and, where there is instantaneous power, that was refreshed on what came
// after the request alone.
type burst struct {
	from, last       Reading   // when it was last asked for, and the newest
	began            time.Time // when it was last asked for
	first            time.Time // when it first was
	stepped, renewed bool
	done             chan struct{}
}

// wait returns when the next reading is due: every stepEvery from the beginning on, however long the readings take and
// however often they are asked for.
func (b *burst) wait() time.Duration { return stepEvery - time.Since(b.first)%stepEvery }

// over reports that the next reading would come too late: a mark-end waits for it.
func (b *burst) over() bool {
	const long = stepReads * stepEvery
	next := b.wait()
	return time.Since(b.began)+next > long || time.Since(b.first)+next > stepMost*long
}

// instantWindow is how far back the drivers' instantaneous power looks.
const instantWindow = 25 * time.Millisecond

// add takes the next reading and reports that nothing more is wanted.
func (b *burst) add(r Reading) bool {
	b.stepped = b.stepped || r.EnergyJoules != b.last.EnergyJoules
	b.renewed = b.renewed || !r.InstantWatts.OK() ||
		r.InstantWatts != b.last.InstantWatts && b.last.At.Sub(b.from.At) >= instantWindow
	b.last = r
	return b.stepped && b.renewed
}

// wait returns how long until the next fast reading; 0: none is wanted.
func (f *feed) quickWait() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.quick.burst != nil:
		return f.quick.burst.wait()
	case f.quick.calibrating != nil:
		return max(f.quick.calibrating.wait(), time.Microsecond)
	case f.quick.open > 0 && !f.info.HasCounter:
		// In step with the mark: power that is averaged over a second is then read whole seconds after it.
		return openEvery - time.Since(f.quick.opened)%openEvery
	default:
		return 0
	}
}

// readQuick makes one fast reading and moves on what it was for. Those of a calibration are not kept.
func (f *feed) readQuick() {
	f.mu.Lock()
	calibrating := f.quick.calibrating
	step := f.quick.burst != nil
	keep := step || calibrating == nil
	f.mu.Unlock()
	into := &f.extra
	if !keep {
		into = nil
	}
	reading, err := f.read(into, step)

	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.quick.burst; b != nil {
		if err == nil && b.add(reading) || b.over() {
			close(b.done)
			f.quick.burst = nil
		}
	}
	if calibrating != nil {
		calibrating.reads++
		if err == nil {
			calibrating.add(reading)
		}
		if calibrating.over() {
			f.calibrated(calibrating.result())
		}
	}
}

// calibrated takes over what was found. The caller holds the mutex.
func (f *feed) calibrated(found Calibration) {
	f.quick.calibrating = nil
	f.status.Calibration = found
	if found.Period > 0 && f.info.CounterPeriod > 0 {
		f.info.CounterPeriod = found.Period
		f.status.Info = f.info
	}
	f.log.Debug("energy counter calibrated", "period", found.Period, "jitter", found.Jitter, "steady", found.Steady)
}

// follow asks for the readings of a burst; the channel closes when they are there. It is closed already where there is
// nothing to follow.
func (f *feed) follow() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	latest := f.status.Latest
	running := f.quick.burst != nil
	rested := time.Since(f.quick.lastBurst) >= stepRest
	if !f.status.Calibration.Steady || !latest.EnergyJoules.OK() || !running && !rested {
		done := make(chan struct{})
		close(done)
		return done
	}
	now := time.Now()
	if !running {
		f.quick.burst = &burst{first: now, done: make(chan struct{})}
		f.quick.lastBurst = now
	}
	*f.quick.burst = burst{from: latest, last: latest, began: now, first: f.quick.burst.first, done: f.quick.burst.done}
	f.hurry()
	return f.quick.burst.done
}

// setOpen says how many windows are open on this GPU.
func (f *feed) setOpen(windows int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if windows > f.quick.open {
		f.quick.opened = time.Now()
	}
	f.quick.open = windows
	if !f.info.HasCounter {
		f.hurry()
	}
}

// hurry wakes the feed's goroutine, for quickWait has changed.
func (f *feed) hurry() {
	select {
	case f.quicken <- struct{}{}:
	default:
	}
}
