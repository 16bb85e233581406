package window

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"wattmark/sampler"
)

// MaxOpen is how many windows may be open at once.
const MaxOpen = 256

// What can be wrong with a mark.
var (
	ErrOpen        = errors.New("window is open already")
	ErrTooManyOpen = errors.New("too many open windows")
	ErrUnknownRun  = errors.New("unknown run")
	ErrAmbiguous   = errors.New("name the run")
)

// Mark is an open window: its start and what mark-start said about it.
type Mark struct {
	ID       string         `json:"id"`
	Run      string         `json:"run"`
	Start    sampler.Moment `json:"start"`
	GPUs     []string       `json:"gpus"` // IDs
	Expected *int           `json:"expected_num_gpus"`
	Role     string         `json:"role"`
	Skew     Skew           `json:"skew"`
}

// Marks are the open windows. The zero value has none; it is safe for concurrent use.
type Marks struct {
	mu   sync.Mutex
	open map[string]Mark // by run
}

// Open adds a window. Its run must not be open.
func (m *Marks) Open(mark Mark) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.open[mark.Run]; taken {
		return fmt.Errorf("run %q: %w", mark.Run, ErrOpen)
	}
	if len(m.open) >= MaxOpen {
		return fmt.Errorf("%w: %d", ErrTooManyOpen, MaxOpen)
	}
	if m.open == nil {
		m.open = map[string]Mark{}
	}
	m.open[mark.Run] = mark
	return nil
}

// Find returns the open window of that run or id; the only open window if the name is empty.
func (m *Marks) Find(name string) (Mark, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if name == "" {
		switch len(m.open) {
		case 0:
			return Mark{}, fmt.Errorf("%w: no window is open", ErrUnknownRun)
		case 1:
			for _, mark := range m.open {
				return mark, nil
			}
		}
		return Mark{}, fmt.Errorf("%w: %d windows are open", ErrAmbiguous, len(m.open))
	}
	if mark, ok := m.open[name]; ok {
		return mark, nil
	}
	for _, mark := range m.open {
		if mark.ID == name {
			return mark, nil
		}
	}
	return Mark{}, fmt.Errorf("%w %q: no window of that name is open", ErrUnknownRun, name)
}

// Close removes a window; it reports whether this very window was open.
func (m *Marks) Close(mark Mark) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if open, ok := m.open[mark.Run]; !ok || open.ID != mark.ID {
		return false
	}
	delete(m.open, mark.Run)
	return true
}

// All returns the open windows, oldest first.
func (m *Marks) All() []Mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Mark, 0, len(m.open))
	for _, mark := range m.open {
		all = append(all, mark)
	}
	slices.SortFunc(all, func(a, b Mark) int {
		return cmp.Or(cmp.Compare(a.Start.UnixNano, b.Start.UnixNano), cmp.Compare(a.Run, b.Run))
	})
	return all
}
