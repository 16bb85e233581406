package metrics

import (
	"cmp"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// catalogue has all metrics: those that are told anew at each scrape, and those that client_golang counts. It is a
// prometheus.TransactionalGatherer, whose answer holds until it is done with.
type catalogue struct {
	counted *prometheus.Registry

	mu       sync.Mutex // held while an answer is in use
	told     []teller
	families []*family // of the tellers, by name
	answer   []*dto.MetricFamily
}

// teller sets the series of families of its own.
type teller interface{ tell() }

func (c *catalogue) gauge(name, help string, labels ...string) *family {
	return c.add(dto.MetricType_GAUGE, name, help, labels)
}

func (c *catalogue) counter(name, help string, labels ...string) *family {
	return c.add(dto.MetricType_COUNTER, name, help, labels)
}

// histogram is one with the bounds of the sampler's.
func (c *catalogue) histogram(name, help string) *family {
	return c.add(dto.MetricType_HISTOGRAM, name, help, nil)
}

func (c *catalogue) add(kind dto.MetricType, name, help string, labels []string) *family {
	f := newFamily(kind, name, help, labels)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.families = append(c.families, f)
	slices.SortFunc(c.families, func(a, b *family) int { return cmp.Compare(a.dto.GetName(), b.dto.GetName()) })
	return f
}

// tellers adds to those that are asked at each scrape.
func (c *catalogue) tellers(more ...teller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, more...)
}

// Gather returns all metrics by name. Until done is called they stay as they are, and the next scrape waits.
func (c *catalogue) Gather() (all []*dto.MetricFamily, done func(), err error) {
	c.mu.Lock()
	done = c.mu.Unlock
	whole := false
	defer func() {
		if !whole {
			c.mu.Unlock() // of a panic the scrape after it knows nothing
		}
	}()
	for _, f := range c.families {
		f.used = 0
	}
	for _, t := range c.told {
		t.tell()
	}
	counted, err := c.counted.Gather()
	c.answer = append(c.answer[:0], counted...)
	for _, f := range c.families {
		if f.used > 0 {
			c.answer = append(c.answer, f.whole())
		}
	}
	slices.SortFunc(c.answer, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	whole = true
	return c.answer, done, err
}
