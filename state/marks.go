package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"wattmark/internal/atomicfile"
	"wattmark/window"
)

// marksFile is wattmark_marks.json.
type marksFile struct {
	Schema int           `json:"schema"`
	Boot   string        `json:"boot_id"`
	Host   string        `json:"host"`
	Open   []window.Mark `json:"open"`
	Ended  []Ended       `json:"ended"` // the newest last
}

// Ended is a window that has ended: its own file has the rest.
type Ended struct {
	ID  string `json:"id"`
	Run string `json:"run"`
}

const (
	marksSchema  = 1
	maxMarksFile = 4 << 20
)

func (s *Store) marksName() string { return "wattmark_marks" + s.node() + ".json" }

// readMarks reads what the daemon before left. No file is no marks.
func (s *Store) readMarks() (marksFile, error) {
	var found marksFile
	text, _, err := atomicfile.Read(s.root, s.marksName(), maxMarksFile)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return found, err
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return marksFile{}, fmt.Errorf("read %s: %w", s.marksName(), err)
	}
	if found.Schema != marksSchema {
		return marksFile{}, fmt.Errorf("read %s: it has schema %d, this program knows %d", s.marksName(), found.Schema, marksSchema)
	}
	for i := range found.Open {
		if found.Open[i].ID == "" || found.Open[i].Run == "" || found.Open[i].Start.UnixNano <= 0 {
			return marksFile{}, fmt.Errorf("read %s: a window without run, id or start", s.marksName())
		}
	}
	return found, nil
}

// Open are the windows that were open when the daemon before ended, and whether that was in this boot.
func (s *Store) Open() (open []window.Mark, same bool) {
	same = s.found.Boot == s.config.Boot
	for _, mark := range s.found.Open {
		if same {
			mark.GPUs = slices.Clone(mark.GPUs)
			for i, id := range mark.GPUs {
				mark.GPUs[i] = s.here(id, s.found.Host)
			}
		}
		open = append(open, mark)
	}
	return open, same
}

// Ended are windows that had ended, the newest last.
func (s *Store) Ended() []Ended { return s.found.Ended }

// Save replaces the marks by those of now when it writes. It returns when that is handed to the system, with what was
// kept of the readings, or when ctx ends; the flush to disk follows.
func (s *Store) Save(ctx context.Context, now func() ([]window.Mark, []Ended)) error {
	return s.saving.save(ctx, now)
}

// soon is how long marks wait for others that nobody waits for.
const soon = 250 * time.Millisecond

// SaveSoon is Save within a quarter of a second, or with one that comes before: for what a restart finds elsewhere too.
func (s *Store) SaveSoon(now func() ([]window.Mark, []Ended)) { s.saving.soon(now) }

// saver writes marks, one file for all that ask at the same time.
type saver struct {
	store   *Store
	wake    chan struct{}
	done    chan struct{} // closes to end it
	ended   chan struct{}
	mu      sync.Mutex
	now     func() ([]window.Mark, []Ended)
	waiting []chan error
	due     bool      // nobody waits, but it is to be written
	text    marksText // run's alone
}

func (v *saver) start(s *Store) {
	v.store, v.wake = s, make(chan struct{}, 1)
	v.done, v.ended = make(chan struct{}), make(chan struct{})
	go v.run()
}

func (v *saver) save(ctx context.Context, now func() ([]window.Mark, []Ended)) error {
	written := make(chan error, 1)
	v.mu.Lock()
	v.now = now
	v.waiting = append(v.waiting, written)
	v.mu.Unlock()
	signal(v.wake)
	select {
	case err := <-written:
		return err
	case <-v.ended:
		return os.ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("write %s: %w", v.store.marksName(), ctx.Err())
	}
}

func (v *saver) soon(now func() ([]window.Mark, []Ended)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now = now
	if !v.due {
		time.AfterFunc(soon, func() { signal(v.wake) })
	}
	v.due = true
}

func (v *saver) run() {
	defer close(v.ended)
	for {
		select {
		case <-v.wake:
			took := v.write()
			// 256 open windows are 140 kB, each time: under a flood of marks that is a fifth of a core at most.
			select {
			case <-time.After(min(4*took, 50*time.Millisecond)):
			case <-v.done:
			}
		case <-v.done:
			v.write()
			return
		}
	}
}

// write writes the marks for all who wait, and returns how long putting them into words and replacing the file took.
func (v *saver) write() (took time.Duration) {
	v.mu.Lock()
	now, waiting, due := v.now, v.waiting, v.due
	v.waiting, v.due = nil, false
	v.mu.Unlock()
	if len(waiting) == 0 && !due {
		return 0
	}
	s := v.store
	open, ended := now()
	// The readings first: a window that resumes needs the one at its start.
	err := s.Flush(context.Background())
	began := time.Now()
	var text []byte
	if err == nil {
		text, err = v.text.of(s.config, open, ended)
	}
	var replaced *os.File
	if err == nil {
		replaced, err = s.replace(text)
	}
	took = time.Since(began)
	for _, written := range waiting {
		written <- err
	}
	if err != nil {
		s.log.Warn("marks not written: a restart now would not resume the open windows", "err", err)
		return took
	}
	// Against a power failure; who marked does not wait for it. The recording may be rotated meanwhile: its part is
	// then flushed by the system.
	_ = replaced.Sync()
	_ = replaced.Close()
	s.mu.Lock()
	recording := s.file
	s.mu.Unlock()
	_ = recording.Sync()
	return took
}

// replace puts text in place of the marks in one step.
func (s *Store) replace(text []byte) (*os.File, error) {
	if info, err := s.root.Lstat(s.marksName()); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: move it away", s.marksName())
	}
	temporary := "." + s.marksName() + ".tmp"
	_ = s.root.Remove(temporary) // of a crash
	f, err := s.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	_ = atomicfile.Hand(s.root, f) // not permitted everywhere; the content matters more
	if _, err = f.Write(text); err == nil {
		err = s.root.Rename(temporary, s.marksName())
	}
	if err != nil {
		_ = f.Close()
		_ = s.root.Remove(temporary) // the first error is the one to tell
		return nil, fmt.Errorf("write %s: %w", s.marksName(), err)
	}
	return f, nil
}

// stop writes what is asked for and ends.
func (v *saver) stop(ctx context.Context) error {
	close(v.done)
	select {
	case <-v.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
