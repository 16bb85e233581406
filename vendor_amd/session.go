package amd

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// ErrNoLibrary means that libamd_smi was not found, or could not be opened.
var ErrNoLibrary = errors.New("libamd_smi not found")

// Why a session has no answer.
var (
	errStarting = errors.New("libamd_smi is being started")
	errClosed   = errors.New("libamd_smi is closed")
)

// session keeps one child process alive, with the library in it, and makes calls to it. Methods are safe for
// concurrent use; the child answers one call at a time.
type session struct {
	command   []string
	libraries []string
	first     bool // of the sessions: nobody has seen the library yet
	limits    limits
	log       *slog.Logger
	// blame is told of the GPU during whose read the child hung or died. It is called without the lock.
	blame func(bdf uint64, why error)

	done    chan struct{} // closes when the session is closed
	settled chan struct{} // closes when the first start has ended, well or not

	mu        sync.Mutex
	process   *process // nil: none runs
	ready     bool     // the library has started and answers
	why       error    // why it does not; nil if ready
	final     bool     // no other start is tried
	closed    bool
	inventory inventory // of the last start
	calls     []*call   // that the child has not answered, in the order in which it does
	turn      time.Time // when the child turned to the first of them
	watchdog  *time.Timer
	number    uint32 // of the last call
	starts    int
	lost      error         // why the last child was given up; nil: none was
	failing   time.Time     // since when no read has given a table; zero: the last one did
	patience  time.Duration // with that, before the library is started anew
}

// start begins the first child.
func (s *session) start() {
	s.done, s.settled, s.why = make(chan struct{}), make(chan struct{}), errStarting
	go s.run()
}

// run starts children until the session is closed or there is no point in another.
func (s *session) run() {
	backoff := s.limits.backoff
	for {
		began := time.Now()
		s.runChild()
		if s.isFinal() {
			return
		}
		wait := backoff
		backoff = min(2*backoff, s.limits.maxBackoff)
		if time.Since(began) >= s.limits.steady {
			wait, backoff = 0, s.limits.backoff
		}
		timer := time.NewTimer(wait)
		select {
		case <-s.done:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// runChild starts a child, hands out its answers, and returns when it has ended. A child that cannot be killed, since
// the kernel does not let it go, is waited for: there is never a second one beside it.
func (s *session) runChild() {
	p, err := startProcess(s.command, s.log)
	if err != nil {
		s.mu.Lock()
		s.why, s.lost = err, err
		s.settle()
		s.mu.Unlock()
		return
	}
	payload, err := json.Marshal(openCall{Libraries: s.libraries})
	if err != nil {
		panic(err) // strings always marshal
	}
	s.mu.Lock()
	s.process, s.ready = p, false
	s.starts++
	if s.final { // closed meanwhile
		s.mu.Unlock()
		s.giveUp(p, errClosed)
	} else {
		s.submit(&call{kind: kindOpen, answer: make(chan answer, 1)}, payload)
		s.mu.Unlock()
	}

	var buffer [4096]byte
	for {
		f, err := readFrame(p.answers, buffer[:])
		if err == nil {
			err = s.deliver(p, f)
		} else {
			err = fmt.Errorf("the process of libamd_smi ended: %s", p.ending(s.limits.close))
		}
		if err != nil {
			s.giveUp(p, err)
			break
		}
	}
	<-p.gone
}

// deliver hands an answer to whom it belongs. An error means that the child is of no further use.
func (s *session) deliver(p *process, f frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != p { // given up meanwhile
		return errClosed
	}
	if len(s.calls) == 0 || s.calls[0].number != f.call || s.calls[0].kind != f.kind {
		return fmt.Errorf("%w: answer %d of kind %d to no call", errFrame, f.call, f.kind)
	}
	answered := s.calls[0]
	s.calls = s.calls[1:]
	s.nextTurn()
	if f.kind == kindOpen {
		return s.opened(f.payload)
	}
	answered.answer <- answer{payload: append([]byte(nil), f.payload...)}
	return nil
}

// opened takes over what the library said when it started. The caller holds the lock.
func (s *session) opened(payload []byte) error {
	var inv inventory
	if err := json.Unmarshal(payload, &inv); err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	// Where there is nothing at first, there will be nothing. What was there once comes back: a driver is loaded anew,
	// a library is upgraded.
	hopeless := s.first && s.starts == 1
	switch {
	case !inv.Loaded:
		s.final = hopeless
		return fmt.Errorf("%w: %s", ErrNoLibrary, inv.Words)
	case inv.Status == statusNotInit || inv.Status == statusDriverNotLoaded:
		s.final = hopeless
		return fmt.Errorf("%w: %w", ErrNoGPU, &StatusError{"amdsmi_init", inv.Status, inv.Words})
	case inv.Status != statusSuccess:
		return &StatusError{"amdsmi_init", inv.Status, inv.Words}
	case len(inv.GPUs) == 0:
		s.final = hopeless
		return fmt.Errorf("%w: libamd_smi lists none", ErrNoGPU)
	}
	s.inventory, s.ready, s.why = inv, true, nil
	s.settle()
	if s.lost != nil {
		s.log.Info("libamd_smi answers again", "starts", s.starts)
	}
	return nil
}

// giveUp ends a child and fails the calls that wait for it; the first reason given is the one that is kept.
func (s *session) giveUp(p *process, why error) {
	s.mu.Lock()
	if s.process != p {
		s.mu.Unlock()
		p.kill()
		return
	}
	pending := s.calls
	wasReady := s.ready
	s.process, s.ready, s.calls = nil, false, nil
	if s.watchdog != nil {
		s.watchdog.Stop()
	}
	blamed := len(pending) > 0 && (pending[0].kind == kindRead || pending[0].kind == kindCap)
	if blamed {
		why = fmt.Errorf("%w, during a read of %s", why, busID(pending[0].bdf))
	}
	s.why, s.lost = why, why
	if s.closed {
		s.why = errClosed
	}
	if s.final && !wasReady {
		s.lost = nil // the library is not there: nothing was lost
	}
	expected := s.final
	s.settle()
	s.mu.Unlock()

	p.kill()
	for _, c := range pending {
		c.answer <- answer{err: why}
	}
	if expected {
		return
	}
	s.log.Warn("libamd_smi lost", "err", why)
	if blamed {
		s.blame(pending[0].bdf, why)
	}
}

// waitSettled waits until the first start has ended, well or not, or for the limit.
func (s *session) waitSettled(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.settled:
	case <-timer.C:
	}
}

// settle lets those go on who wait for the first start. The caller holds the lock.
func (s *session) settle() {
	select {
	case <-s.settled:
	default:
		close(s.settled)
	}
}

func (s *session) isFinal() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.final
}

// state returns the library's inventory and nil, or why there is none to ask.
func (s *session) state() (inventory, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inventory, s.why
}

// close shuts the library down, if it answers, and ends the child. It waits no longer than the limit.
func (s *session) close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	p, asked := s.process, s.ready
	s.final, s.ready, s.why = true, false, errClosed
	if asked {
		s.submit(&call{kind: kindClose, answer: make(chan answer, 1)}, nil)
	}
	close(s.done)
	s.mu.Unlock()
	if p == nil {
		return
	}
	if asked {
		timer := time.NewTimer(s.limits.close)
		defer timer.Stop()
		select {
		case <-p.gone:
		case <-timer.C:
		}
	}
	s.giveUp(p, errClosed)
}
