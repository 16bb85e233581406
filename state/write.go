package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"wattmark/sampler"
)

const (
	// gather is how long the writer waits for the readings of the other GPUs of the same tick, and writes are apart.
	gather = 30 * time.Millisecond
	// bufferLimit is what may wait for a disk that does not answer: an hour of eight GPUs at 1 Hz is 3 MB.
	bufferLimit = 4 << 20
)

// Keep records a reading. It never waits: what does not fit is dropped and counted.
func (s *Store) Keep(kept sampler.Kept) {
	s.mu.Lock()
	index, known := s.index[kept.GPU]
	full := len(s.buffer) > bufferLimit
	if known && !full {
		s.buffer = appendRow(s.buffer, index, kept.Extra, kept.Reading)
		s.rows++
	}
	if full {
		s.dropped++
	}
	complete := known && s.rows >= len(s.index)
	s.mu.Unlock()
	if known {
		signal(s.wake)
	}
	if complete {
		signal(s.complete)
	}
}

// Know says who the GPUs are of which readings will come.
func (s *Store) Know(infos ...sampler.Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, info := range infos {
		if _, known := s.index[info.ID()]; !known {
			s.index[info.ID()] = info.Index
			s.gpus = append(s.gpus, gpuLine{info.ID(), info})
		}
	}
}

// Flush hands what was kept before it to the system: a process that is killed then does not lose it. It returns when
// that is done or ctx ends.
func (s *Store) Flush(ctx context.Context) error {
	done := make(chan error, 1)
	s.mu.Lock()
	s.waiting = append(s.waiting, done)
	s.mu.Unlock()
	signal(s.urgent)
	select {
	case err := <-done:
		return err
	case <-s.ended:
		return os.ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("write %s: %w", s.readings(), ctx.Err())
	}
}

// Dropped is how many readings were not written: the disk was full or did not answer.
func (s *Store) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// write writes what comes until the store is closed. It is the only one that touches the file.
func (s *Store) write() {
	defer close(s.ended)
	for written := (time.Time{}); ; {
		closing := false
		select {
		case <-s.wake:
			runtime.Gosched() // for the other GPUs: the timer below would wake the process up, used or not
			complete := s.complete
			if time.Since(written) < gather {
				complete = nil // readings come fast
			}
			select {
			case <-complete: // this thread need not sleep and wake up again for them
			case <-time.After(gather):
			case <-s.urgent:
			case <-s.closing:
				closing = true
			}
		case <-s.urgent:
		case <-s.closing:
			closing = true
		}
		s.mu.Lock()
		for _, signalled := range []chan struct{}{s.wake, s.complete} { // for readings that are in the buffer
			select {
			case <-signalled:
			default:
			}
		}
		text, waiting := s.buffer, s.waiting
		s.rows, written = 0, time.Now()
		s.buffer, s.waiting = s.spare[:0], nil
		s.mu.Unlock()
		err := s.put(text)
		s.say(err)
		s.mu.Lock()
		s.spare = text
		if cap(s.spare) > bufferLimit/4 { // after a time without a disk
			s.spare = nil
		}
		s.mu.Unlock()
		for _, done := range waiting {
			done <- err
		}
		if closing {
			return
		}
	}
}

// put appends whole rows. After an error the file ends with a whole row all the same, and the rows count as dropped.
func (s *Store) put(rows []byte) error {
	if len(rows) == 0 {
		return nil
	}
	if s.size+int64(len(rows)) > s.config.MaxBytes/parts || time.Since(s.since) > s.config.MaxAge/parts {
		if err := s.rotate(); err != nil {
			s.log.Warn("recording not rotated", "err", err)
		}
	}
	head, gpus := s.head()
	n, err := s.file.Write(append(head, rows...))
	if err == nil {
		s.size += int64(n)
		s.started, s.headed = true, gpus
		return nil
	}
	if cut := s.file.Truncate(s.size); cut != nil {
		// A newline ends the torn row, wherever it is.
		_, _ = s.file.Write([]byte("\n"))
		if size, err := s.file.Seek(0, io.SeekEnd); err == nil {
			s.size = size
		}
	}
	s.headed = 0
	s.mu.Lock()
	s.dropped += uint64(bytes.Count(rows, []byte("\n")))
	s.mu.Unlock()
	return fmt.Errorf("write %s: %w", s.readings(), err)
}

// head is what must stand before the next rows: the columns in a new file, the session, and GPUs that it has not
// named. It returns how many GPUs are then named.
func (s *Store) head() (text []byte, gpus int) {
	if s.size == 0 {
		text = append(text, columns+"\n"...)
		s.headed = 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.headed == 0 {
		start := s.self
		start.Continued = s.started
		text = appendLine(text, startMark, start)
	}
	for _, gpu := range s.gpus[s.headed:] {
		text = appendLine(text, gpuMark, gpu)
	}
	return text, len(s.gpus)
}

// say logs that writing fails, once, and that it works again.
func (s *Store) say(err error) {
	dropped := s.Dropped()
	switch {
	case err != nil && s.failing == nil:
		hint := "what is not written is lost in a crash; measuring goes on"
		if errors.Is(err, syscall.ENOSPC) {
			hint += ": make room"
		}
		s.log.Warn("recording failing", "err", err, "hint", hint)
	case err == nil && s.failing != nil || err == nil && dropped > s.told:
		s.log.Warn("recording goes on", "dropped_rows", dropped)
		s.told = dropped
	}
	s.mu.Lock()
	s.failing = err
	s.mu.Unlock()
}

// Problem says in words why the recording cannot be written at the moment; empty if it can.
func (s *Store) Problem() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing == nil {
		return ""
	}
	return fmt.Sprintf("the recording cannot be written (%v; %d readings left out): a restart now would lose them", s.failing, s.dropped)
}

func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}
