package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// openReadings opens the recording and cuts off a torn last row. What is there and is not a recording of this version is
// set aside under another name, untouched.
func (s *Store) openReadings() error {
	f, err := s.openOwn(s.readings(), os.O_RDWR|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return err
	}
	s.file = f
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s.size, s.since = info.Size(), time.Now()
	first := make([]byte, len(columns)+1)
	n, err := f.ReadAt(first, 0)
	switch {
	case s.size == 0 || n < len(first) && string(first[:n]) == columns[:min(n, len(columns))]: // a crash at the very begin
		return s.begin()
	case err != nil && !errors.Is(err, io.EOF):
		return fmt.Errorf("read %s: %w", s.readings(), err)
	case string(first) != columns+"\n":
		return s.setAside()
	}
	if begun, ok := s.begun(); ok {
		s.since = begun
	}
	end, err := lastNewline(f, s.size)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.readings(), err)
	}
	if end < s.size {
		s.log.Warn("recording ended with a torn row", "bytes", s.size-end)
		if err := f.Truncate(end); err != nil {
			return fmt.Errorf("repair %s: %w", s.readings(), err)
		}
		s.size = end
	}
	s.clean(time.Now())
	return nil
}

// begin makes the file an empty one: the first rows bring its head.
func (s *Store) begin() error {
	s.size, s.since, s.headed = 0, time.Now(), 0
	return s.file.Truncate(0)
}

// begun is when the recording's first session began.
func (s *Store) begun() (time.Time, bool) {
	head := make([]byte, longestLine)
	n, _ := s.file.ReadAt(head, int64(len(columns)+1))
	line, _, _ := bytes.Cut(head[:n], []byte("\n"))
	var first session
	if !readLine(line, startMark, &first) {
		return time.Time{}, false
	}
	at := first.At.Wall()
	return at, time.Until(at) < 0
}

// lastNewline returns the offset behind the last newline.
func lastNewline(f io.ReaderAt, size int64) (int64, error) {
	block := make([]byte, longestLine)
	for end := size; end > 0; {
		from := max(0, end-int64(len(block)))
		n, err := f.ReadAt(block[:end-from], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := bytes.LastIndexByte(block[:n], '\n'); i >= 0 {
			return from + int64(i) + 1, nil
		}
		end = from
	}
	return 0, nil
}

// setAside moves away what is not ours and begins anew.
func (s *Store) setAside() error {
	name := fmt.Sprintf("%s.%d.old", s.readings(), time.Now().UnixNano())
	if err := s.root.Rename(s.readings(), name); err != nil {
		return fmt.Errorf("%s is of another version, or not a recording: move it away: %w", s.readings(), err)
	}
	s.log.Warn("recording of another version, or not a recording: set aside", "file", name)
	return s.openNew()
}

func (s *Store) openNew() error {
	fresh, err := s.openOwn(s.readings(), os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND)
	if err != nil {
		return err
	}
	_ = s.file.Close() // in the hands of the system, or not ours
	s.mu.Lock()
	s.file = fresh
	s.mu.Unlock()
	return s.begin()
}

// rotate closes a part of the recording and begins another.
func (s *Store) rotate() error {
	if s.size == 0 {
		s.since = time.Now()
		return nil
	}
	number := 1
	if old := s.segments(); len(old) > 0 {
		number = old[len(old)-1].number + 1
	}
	if err := s.root.Rename(s.readings(), s.segment(number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.since = time.Now() // not again at once
		return err
	}
	if err := s.openNew(); err != nil {
		return err
	}
	s.clean(time.Now())
	return nil
}

// clean removes the oldest parts, so that all of them are within the bounds.
func (s *Store) clean(now time.Time) {
	old := s.segments()
	total := int64(0)
	for _, part := range old {
		total += part.size
	}
	for _, part := range old {
		tooMuch := total > s.config.MaxBytes/parts*(parts-1)
		if !tooMuch && now.Sub(part.changed) <= s.config.MaxAge/parts*(parts-1) {
			continue
		}
		if err := s.root.Remove(part.name); err != nil {
			s.log.Warn("old part of the recording not removed", "file", part.name, "err", err)
		}
		total -= part.size
	}
}
