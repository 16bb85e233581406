package sampler

import (
	"context"
	"time"
)

// A driver's calls disturb the GPU, so a flood of requests shares readings: a few are made at once, then one each
// askedEvery. Who comes sooner waits for it; a mark that starts a window is set after that, on the reading.
const (
	askedEvery  = 30 * time.Millisecond
	askedAtOnce = 4
)

// request is a read that somebody waits for. All who ask before it begins share it.
type request struct {
	done chan struct{} // closes when the read has ended
	err  error         // its error; set before done closes
	keep bool          // somebody wants the reading kept for windows; the feed's mutex guards it
}

// ask requests a reading that begins after this call, and whether it is to be kept.
func (f *feed) ask(keep bool) *request {
	f.mu.Lock()
	if f.asked == nil {
		f.asked = &request{done: make(chan struct{})}
	}
	asked := f.asked
	asked.keep = asked.keep || keep
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // a wake-up is pending already
	}
	return asked
}

// wait returns when the read has ended, or with the error of ctx where that ends first.
func (r *request) wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	select { // another GPU may have used up the time: this one's reading is there all the same
	case <-r.done:
		return r.err
	default:
		return ctx.Err()
	}
}

// book counts a reading that is to be made now because somebody waits for it, or returns how long that must wait. Nobody
// waits: asked is false.
func (f *feed) book() (wait time.Duration, asked bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked == nil {
		return 0, false
	}
	now := time.Now()
	if wait := f.booked.Add(-(askedAtOnce - 1) * askedEvery).Sub(now); wait > 0 {
		return wait, true
	}
	if f.booked.Before(now) {
		f.booked = now
	}
	f.booked = f.booked.Add(askedEvery)
	return 0, true
}
