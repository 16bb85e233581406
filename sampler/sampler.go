package sampler

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Config says how often to read and how much to keep.
type Config struct {
	Interval  time.Duration // between readings of a GPU; at least 10 ms
	Retention time.Duration // how long readings stay in memory; at least Interval
	// Memory is what readings may take in bytes, those of all GPUs and those of one while they are measured: where
	// Retention would take more, less is kept. 0: no bound.
	Memory    int64
	Start     time.Time     // when the schedule begins; zero: when Run does
	Calibrate bool          // find out at start what the energy counters are like
	MaxGap    time.Duration // good readings further apart count as a gap in Status; 0: 3 s
	Clock     Clock         // the one with which the devices stamp their readings
	Logger    *slog.Logger
	// Keep is told of each reading that goes into memory, one after the other for each GPU. It must not block: the
	// next reading waits for it. nil: nobody wants to know.
	Keep func(Kept)
}

// defaultMaxGap is InferenceX's limit.
const defaultMaxGap = 3 * time.Second

// Sampler reads a set of GPUs. All methods are safe for concurrent use and answer from memory, but for Poll.
type Sampler struct {
	config Config

	mu      sync.RWMutex
	feeds   []*feed         // replaced, never changed
	running context.Context // of Run; nil: it has not begun
	start   time.Time       // of the schedule
	open    map[string]int  // windows that are open, by GPU, whether it is here or not
}

// New returns a sampler of the devices; Run starts it.
func New(devices []Device, config Config) (*Sampler, error) {
	if config.Interval < 10*time.Millisecond || config.Retention < config.Interval {
		return nil, fmt.Errorf("sample every %v for %v: the interval must be at least 10ms and at most the retention",
			config.Interval, config.Retention)
	}
	if config.MaxGap == 0 {
		config.MaxGap = defaultMaxGap
	}
	s := &Sampler{config: config, open: map[string]int{}}
	for _, device := range devices {
		s.feeds = append(s.feeds, newFeed(device, config))
	}
	config.fit(s.feeds)
	return s, nil
}

// Run reads every GPU at once and then on the schedule until ctx ends. It does not wait for a driver call that hangs.
func (s *Sampler) Run(ctx context.Context) error {
	start := s.config.Start
	if start.IsZero() {
		start = time.Now()
	}
	s.mu.Lock()
	s.running, s.start = ctx, start
	for _, f := range s.feeds {
		go f.run(ctx, start, s.config.Interval)
	}
	s.mu.Unlock()
	<-ctx.Done()
	return nil
}

// nextTick is the first tick of a schedule that is not over.
func nextTick(start time.Time, interval time.Duration) time.Time {
	late := max(0, time.Since(start))
	return start.Add((late + interval - 1) / interval * interval)
}

// Now returns this moment on the clock that stamps the readings.
func (s *Sampler) Now() Moment { return s.config.Clock.Now() }

// Interval returns the time between two readings of a GPU.
func (s *Sampler) Interval() time.Duration { return s.config.Interval }

// Infos returns the GPUs.
func (s *Sampler) Infos() []Info {
	feeds := s.all()
	infos := make([]Info, len(feeds))
	for i, f := range feeds {
		infos[i] = f.snapshot().Info
	}
	return infos
}

// ErrNoReading means that a GPU gave no reading in time, or that its read failed.
var ErrNoReading = errors.New("no reading")

// Poll reads the GPUs of these IDs now (all of them if there are none), and returns when each has a reading that began
// after the call, or when ctx ends. It returns one error per GPU that gave none.
func (s *Sampler) Poll(ctx context.Context, ids ...string) error {
	feeds := s.named(ids)
	pending := make([]*request, len(feeds))
	for i, f := range feeds {
		pending[i] = f.ask(true)
	}
	var errs []error
	for i, f := range feeds {
		if err := pending[i].wait(ctx); err != nil {
			errs = append(errs, fmt.Errorf("GPU %d: %w: %w", f.snapshot().Info.Index, ErrNoReading, err))
		}
	}
	return errors.Join(errs...)
}

// Refresh reads all GPUs now and returns when each has a reading that began after the call, or when ctx ends. It is for
// those who want to know what is, now and often: the readings show in Latest, but are not kept, so that they push no
// mark's reading out of memory. GPUs whose driver call has run for longer than hung already are left alone.
func (s *Sampler) Refresh(ctx context.Context, hung time.Duration) {
	var pending []*request
	for _, f := range s.all() {
		if busy := f.snapshot().Busy; busy.IsZero() || time.Since(busy) <= hung {
			pending = append(pending, f.ask(false))
		}
	}
	for _, r := range pending {
		_ = r.wait(ctx)
	}
}

// Follow reads the GPUs of these IDs (all of them if there are none) every 10 ms until the energy counter of each has
// stepped and its instantaneous power is new, for at most 120 ms: when that was tells how old the count at the mark was.
// It returns when that is done or ctx ends; at once for GPUs whose counters do not bear it.
func (s *Sampler) Follow(ctx context.Context, ids ...string) {
	feeds := s.named(ids)
	pending := make([]<-chan struct{}, len(feeds))
	for i, f := range feeds {
		pending[i] = f.follow()
	}
	for _, done := range pending {
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
}

// Opened says that a window was opened on the GPUs of these IDs (all that are here if there are none): those without an
// energy counter are read at 10 Hz until as many Ended calls have said that it ended. That holds for GPUs that come later
// too: a window that was resumed may be on one.
func (s *Sampler) Opened(ids ...string) { s.setOpen(ids, 1) }

// Ended is the counterpart of Opened.
func (s *Sampler) Ended(ids ...string) { s.setOpen(ids, -1) }

func (s *Sampler) setOpen(ids []string, change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(ids) == 0 {
		for _, f := range s.feeds {
			ids = append(ids, f.id)
		}
	}
	for _, id := range ids {
		if s.open[id] += change; s.open[id] <= 0 {
			delete(s.open, id)
		}
		for _, f := range s.feeds {
			if f.id == id {
				f.setOpen(s.open[id])
			}
		}
	}
}

// Latest returns the state of each GPU.
func (s *Sampler) Latest() []Status { return s.AppendLatest(nil) }

// AppendLatest adds the state of each GPU to a list, as one who asks every second has it from the time before.
func (s *Sampler) AppendLatest(to []Status) []Status {
	feeds := s.all()
	to = slices.Grow(to, len(feeds))
	for _, f := range feeds {
		to = append(to, f.snapshot())
	}
	return to
}

// Series yields what each GPU's sensors said from the last reading at or before from to the first at or after to,
// one GPU at a time: a day of one GPU is 6 MB.
func (s *Sampler) Series(from, to Moment) iter.Seq[Series] {
	return func(yield func(Series) bool) {
		for _, f := range s.all() {
			if !yield(f.series(from, to)) {
				return
			}
		}
	}
}

// Since yields what each GPU's sensors said from the last reading at or before a moment of its own, and for at most so
// long after that (one reading more at the end). A zero moment stands for the oldest reading.
func (s *Sampler) Since(after func(id string) Moment, atMost time.Duration) iter.Seq[Series] {
	return func(yield func(Series) bool) {
		for _, f := range s.all() {
			from := after(f.id)
			if oldest, ok := f.oldest(); ok && from == (Moment{}) {
				from = oldest
			}
			if !yield(f.series(from, from.Add(atMost))) {
				return
			}
		}
	}
}

// Oldest returns the time from which on each of these GPUs (all of them if there are none) that was ever read is still
// in memory.
func (s *Sampler) Oldest(ids ...string) (oldest Moment, ok bool) {
	for _, f := range s.named(ids) {
		if at, has := f.oldest(); has && (!ok || at.Sub(oldest) > 0) {
			oldest, ok = at, true
		}
	}
	return oldest, ok
}

func (s *Sampler) all() []*feed {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.feeds
}

func (s *Sampler) named(ids []string) []*feed {
	feeds := s.all()
	if len(ids) == 0 {
		return feeds
	}
	var named []*feed
	for _, f := range feeds {
		for _, id := range ids {
			if f.id == id {
				named = append(named, f)
			}
		}
	}
	return named
}
