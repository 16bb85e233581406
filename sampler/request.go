package sampler

import "context"

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

func (f *feed) isAsked() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked != nil
}
