package amd

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// call is a question to the child that has not been answered.
type call struct {
	kind   kind
	number uint32
	bdf    uint64      // of the GPU that it is about
	answer chan answer // has room for one: nobody may be waiting any more
}

type answer struct {
	payload []byte
	err     error
}

// submit sends a call to the child. The caller holds the lock and has seen that there is a child. Every GPU has at
// most one call of a kind on its way, so the pipe never fills.
func (s *session) submit(c *call, payload []byte) {
	s.number++
	c.number = s.number
	s.calls = append(s.calls, c)
	if len(s.calls) == 1 {
		s.nextTurn()
	}
	// A pipe that is broken has no answers either; whoever reads those deals with it.
	_, _ = s.process.calls.Write(appendFrame(nil, frame{kind: c.kind, call: c.number, payload: payload}))
}

// nextTurn notes that the child turns to the first call now, and gives it its time. The caller holds the lock.
func (s *session) nextTurn() {
	s.turn = time.Now()
	if s.watchdog != nil {
		s.watchdog.Stop()
	}
	if len(s.calls) == 0 {
		return
	}
	limit := s.limits.hang
	if s.calls[0].kind == kindOpen {
		limit = s.limits.start
	}
	p, first := s.process, s.calls[0]
	s.watchdog = time.AfterFunc(limit, func() {
		s.mu.Lock()
		hangs := s.process == p && len(s.calls) > 0 && s.calls[0] == first
		s.mu.Unlock()
		if hangs {
			s.giveUp(p, fmt.Errorf("libamd_smi has not answered for %v", limit))
		}
	})
}

// ask makes a call about one GPU. It fails at once if the library is not there or hangs in somebody's call, and after
// limits.call in any case; the child's late answer is dropped.
func (s *session) ask(kind kind, bdf uint64) ([]byte, error) {
	c := &call{kind: kind, bdf: bdf, answer: make(chan answer, 1)}
	s.mu.Lock()
	err := s.why
	switch {
	case err != nil:
	case len(s.calls) > 0 && time.Since(s.turn) > s.limits.call:
		err = fmt.Errorf("libamd_smi hangs in a read of %s: %w", busID(s.calls[0].bdf), errBusy)
	case slices.ContainsFunc(s.calls, func(o *call) bool { return o.bdf == bdf && o.kind == kind }):
		err = fmt.Errorf("libamd_smi: %w", errBusy)
	default:
		s.submit(c, binary.LittleEndian.AppendUint64(nil, bdf))
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(s.limits.call)
	defer timer.Stop()
	select {
	case a := <-c.answer:
		return a.payload, a.err
	case <-timer.C:
		return nil, timeoutError(fmt.Sprintf("libamd_smi did not answer within %v", s.limits.call))
	}
}

// read asks the library for a GPU's table of this moment.
func (s *session) read(bdf uint64) (sample, error) {
	payload, err := s.ask(kindRead, bdf)
	if err != nil {
		return sample{}, err
	}
	answer, err := parseReadAnswer(payload)
	if err != nil {
		return sample{}, err
	}
	if answer.status != statusSuccess {
		err := &StatusError{Call: "amdsmi_get_gpu_metrics_info", Status: answer.status}
		s.failed(err)
		return sample{}, err
	}
	s.worked()
	result, err := parsePrefix(answer.prefix[:])
	result.begin, result.end = answer.begin, answer.end
	return result, err
}

// failed takes in a read that the library answered with an error. If that is all that it has answered for a while, it is
// started anew, first after limits.backoff and then after twice as long: the driver may have been loaded anew.
func (s *session) failed(err *StatusError) {
	if err.Status == statusNotSupported || err.Status == statusUnexpectedData {
		return // another start would not change that
	}
	s.mu.Lock()
	now := time.Now()
	if s.failing.IsZero() {
		s.failing, s.patience = now, max(s.patience, s.limits.backoff)
	}
	p := s.process
	over := p != nil && now.Sub(s.failing) >= s.patience
	if over {
		s.failing, s.patience = time.Time{}, min(2*s.patience, s.limits.maxBackoff)
	}
	s.mu.Unlock()
	if over {
		s.giveUp(p, err)
	}
}

// worked takes in a read that gave a table.
func (s *session) worked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing, s.patience = time.Time{}, 0
}

// powerCap asks the library for a GPU's power cap in W; 0 if it does not say.
func (s *session) powerCap(bdf uint64) (float64, error) {
	payload, err := s.ask(kindCap, bdf)
	if err != nil {
		return 0, err
	}
	if len(payload) != 12 {
		return 0, fmt.Errorf("%w: answer to a power cap of %d bytes", errFrame, len(payload))
	}
	if status := binary.LittleEndian.Uint32(payload); status != statusSuccess {
		return 0, &StatusError{Call: "amdsmi_get_power_cap_info", Status: status}
	}
	return capWatts(binary.LittleEndian.Uint64(payload[4:])), nil
}
