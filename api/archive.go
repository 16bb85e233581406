package api

import (
	"slices"
	"sync"

	"wattmark/sampler"
	"wattmark/window"
)

// The ended windows that stay answerable from memory: the newest of them, so many and so many bytes of answers.
const (
	maxEnded   = 4096
	maxAnswers = 8 << 20
)

// ended is a window that was measured, with what a repeated mark-end needs.
type ended struct {
	mark   window.Mark
	span   window.Window
	asked  fields // merged from all mark-ends of this window
	cost   window.Cost
	again  bool           // measured before: the readings are in its file
	seen   sampler.Moment // readings up to then count, also when it is measured again
	valid  bool
	answer []byte // the bytes of the first answer, or of the last that brought something new

	unread  bool // the benchmark's result could not be read
	waiting bool // the aggregate is not patched yet
	filed   bool // its file is there

	interrupted bool    // the file of a window whose daemon stopped
	elsewhere   *origin // of a boot that is over: what is in memory is not of its time; nil: of this one

	turn   *turn // of who is computing it now, from its file
	failed error // why that could not be read
}

// unsettled reports that the request names files again with which something went wrong the last time.
func (e *ended) unsettled(f fields) bool {
	return e.unread && f.hasWork() || e.waiting && f.AggResult != ""
}

// archive keeps the newest ended windows by run. The zero value is empty.
type archive struct {
	mu    sync.Mutex
	byRun map[string]*ended
	order []*ended
	bytes int // of all answers
	locks map[string]*runLock
}

// runLock serialises the mark-ends of one run.
type runLock struct {
	sync.Mutex
	users int
}

// lock holds the run until the returned function is called.
func (a *archive) lock(run string) (unlock func()) {
	l := a.use(run)
	l.Lock()
	return func() {
		l.Unlock()
		a.unuse(run, l)
	}
}

// tryLock is lock, unless a mark-end of the run is at work.
func (a *archive) tryLock(run string) (unlock func(), ok bool) {
	l := a.use(run)
	if !l.TryLock() {
		a.unuse(run, l)
		return nil, false
	}
	return func() {
		l.Unlock()
		a.unuse(run, l)
	}, true
}

func (a *archive) use(run string) *runLock {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.locks == nil {
		a.locks = map[string]*runLock{}
	}
	if a.locks[run] == nil {
		a.locks[run] = &runLock{}
	}
	a.locks[run].users++
	return a.locks[run]
}

func (a *archive) unuse(run string, l *runLock) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(a.locks, run)
	}
}

// find returns the newest ended window of that run or id.
func (a *archive) find(name string) (*ended, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e, ok := a.byRun[name]; ok {
		return e, true
	}
	for _, e := range a.order {
		if e.mark.ID == name {
			return e, true
		}
	}
	return nil, false
}

// put keeps e in place of an older window of the same run.
func (a *archive) put(e *ended) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byRun == nil {
		a.byRun = map[string]*ended{}
	}
	a.remove(a.byRun[e.mark.Run])
	a.byRun[e.mark.Run] = e
	a.order = append(a.order, e)
	a.bytes += len(e.answer)
	for len(a.order) > 1 && (len(a.order) > maxEnded || a.bytes > maxAnswers) {
		oldest := a.order[0]
		a.remove(oldest)
		delete(a.byRun, oldest.mark.Run)
	}
}

func (a *archive) remove(old *ended) {
	if i := slices.Index(a.order, old); i >= 0 {
		a.order = slices.Delete(a.order, i, i+1)
		a.bytes -= len(old.answer)
	}
}

// all returns the ended windows, oldest first.
func (a *archive) all() []*ended {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*ended(nil), a.order...)
}
