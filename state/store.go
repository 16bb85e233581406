package state

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"wattmark/internal/atomicfile"
	"wattmark/sampler"
)

// The bounds of a recording, unless others are asked for.
const (
	DefaultMaxAge   = 7 * 24 * time.Hour
	DefaultMaxBytes = 512e6
)

// parts is into how many files a recording is cut; the oldest goes when another is begun.
const parts = 8

// ErrInUse means that another process keeps its state in the folder.
var ErrInUse = errors.New("another wattmark keeps its state here")

// Config says where the state is and whose.
type Config struct {
	Dir      string
	Node     string        // goes into the files' names; may be empty
	MaxAge   time.Duration // of a reading in the recording; 0: DefaultMaxAge
	MaxBytes int64         // of the recording; 0: DefaultMaxBytes
	Boot     string        // the kernel's boot id: monotonic times compare within one boot
	Host     string
	Clock    sampler.Clock
	Logger   *slog.Logger
}

// Store is a folder's state. Methods are safe for concurrent use.
type Store struct {
	config Config
	log    *slog.Logger
	root   *os.Root
	lock   *os.File
	self   session
	found  marksFile

	wake, urgent   chan struct{} // capacity 1: there is something to write; somebody waits for it
	complete       chan struct{} // capacity 1: there is a reading of each GPU to write
	closing, ended chan struct{}
	saving         saver

	mu            sync.Mutex
	index         map[string]int // by ID
	gpus          []gpuLine
	buffer, spare []byte
	rows          int // in buffer
	waiting       []chan error
	dropped       uint64
	summary       Summary
	restarts      []Restart
	failing       error // why the last write did; set by the writer alone

	file *os.File // written by the writer alone

	// Of the writer alone.
	size    int64
	since   time.Time // when the file was begun
	started bool      // the file, or the one before it, says that this process started
	headed  int       // GPUs that this session has named in the file; 0: it has not even begun
	told    uint64    // dropped rows that the log has
}

// Open locks the folder, reads the marks and makes the recording ready to go on. It fails with ErrInUse where another
// process has it, and where the folder or a file in it cannot be written.
func Open(config Config) (*Store, error) {
	config.MaxAge, config.MaxBytes = cmp.Or(config.MaxAge, DefaultMaxAge), cmp.Or(config.MaxBytes, DefaultMaxBytes)
	s := &Store{
		config: config, log: config.Logger, index: map[string]int{},
		wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1), complete: make(chan struct{}, 1),
		closing: make(chan struct{}), ended: make(chan struct{}),
		self: session{Boot: config.Boot, Host: config.Host, At: config.Clock.Now()},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.open(); err != nil {
		s.unlock()
		return nil, err
	}
	go s.write()
	s.saving.start(s)
	return s, nil
}

func (s *Store) open() (err error) {
	if err := os.MkdirAll(s.config.Dir, 0o755); err != nil {
		return err
	}
	if s.root, err = os.OpenRoot(s.config.Dir); err != nil {
		return err
	}
	if err := s.takeLock(); err != nil {
		return err
	}
	if s.found, err = s.readMarks(); err != nil {
		s.log.Warn("marks not read: windows that were open are not resumed", "err", err)
	}
	return s.openReadings()
}

// takeLock takes the folder. Where the file system has no locks it says so and goes on.
func (s *Store) takeLock() error {
	name := "wattmark_state" + s.node() + ".lock"
	lock, err := s.openOwn(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	s.lock = lock
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		pid := make([]byte, 20)
		n, _ := lock.ReadAt(pid, 0)
		return fmt.Errorf("%w (process %s)", ErrInUse, strings.TrimSpace(string(pid[:n])))
	case err != nil:
		s.log.Warn("state folder not locked: see to it that one daemon uses it", "folder", s.config.Dir, "err", err)
	}
	_ = lock.Truncate(0)
	_, _ = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0) // for people
	return nil
}

// openOwn opens a file of ours: a regular one, whatever has been put in its place.
func (s *Store) openOwn(name string, flags int) (*os.File, error) {
	if info, err := s.root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: move it away", name)
	}
	f, err := s.root.OpenFile(name, flags|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, errors.Join(fmt.Errorf("%s is not a regular file: move it away", name), err)
	} else if info.Size() == 0 {
		_ = atomicfile.Hand(s.root, f) // not permitted everywhere; the content matters more
	}
	return f, nil
}

// Summary is what Earlier found.
func (s *Store) Summary() Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.summary
}

// Restarts are the times without a daemon that Earlier found, oldest first; the last one is ours.
func (s *Store) Restarts() []Restart {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.restarts)
}

// Close writes what was kept and lets the folder go. It waits for a disk that does not answer until ctx ends.
func (s *Store) Close(ctx context.Context) error {
	err := s.saving.stop(ctx)
	close(s.closing)
	select {
	case <-s.ended:
		err = errors.Join(err, s.file.Sync(), s.file.Close())
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	s.unlock()
	return err
}

func (s *Store) unlock() {
	if s.lock != nil {
		_ = s.lock.Close()
	}
	if s.root != nil {
		_ = s.root.Close()
	}
}

func (s *Store) node() string {
	if s.config.Node == "" {
		return ""
	}
	return "_" + s.config.Node
}

func (s *Store) readings() string { return "wattmark_readings" + s.node() + ".csv" }

// segment is the name of an older part of the recording.
func (s *Store) segment(number int) string {
	return fmt.Sprintf("wattmark_readings%s.%08d.csv", s.node(), number)
}

// file is a part of the recording.
type file struct {
	name    string
	number  int
	size    int64
	changed time.Time
}

// segments are the older parts, oldest first.
func (s *Store) segments() []file {
	folder, err := s.root.Open(".")
	if err != nil {
		return nil
	}
	defer func() { _ = folder.Close() }()
	entries, _ := folder.ReadDir(-1)
	pattern := regexp.MustCompile("^" + regexp.QuoteMeta("wattmark_readings"+s.node()+".") + `(\d{8})\.csv$`)
	var parts []file
	for _, entry := range entries {
		match := pattern.FindStringSubmatch(entry.Name())
		if match == nil || entry.Type() != fs.FileMode(0) {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			continue
		}
		number, _ := strconv.Atoi(match[1])
		parts = append(parts, file{entry.Name(), number, info.Size(), info.ModTime()})
	}
	slices.SortFunc(parts, func(a, b file) int { return a.number - b.number })
	return parts
}
