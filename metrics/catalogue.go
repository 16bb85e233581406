package metrics

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// catalogue has all metrics: those that are told anew at each scrape, and those that client_golang counts. It is a
// prometheus.Gatherer, and writes itself as text.
type catalogue struct {
	counted *prometheus.Registry
	more    atomic.Bool // has been counted since blocks were made

	mu       sync.Mutex // held while an answer is in use
	told     []teller
	families []*family // of the tellers, by name
	parts    []part    // of a page, by name; nil: to be made
}

// teller sets the series of families of its own.
type teller interface{ tell() }

var errEncoding = errors.New("not put into words")

// part writes a family to a page.
type part interface {
	appendText(page []byte, as format) ([]byte, error)
}

// block is a family that client_golang counts.
type block [formats][]byte

func (b block) appendText(page []byte, as format) ([]byte, error) { return append(page, b[as]...), nil }

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
	f := &family{name: name, help: help, kind: kind, labels: labels}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.families, c.parts = append(c.families, f), nil
	slices.SortFunc(c.families, func(a, b *family) int { return cmp.Compare(a.name, b.name) })
	return f
}

// tellers adds to those that are asked at each scrape.
func (c *catalogue) tellers(more ...teller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, more...)
}

// count adds metrics that client_golang counts. After each change of one, c.more is to be set.
func (c *catalogue) count(more ...prometheus.Collector) {
	c.counted.MustRegister(more...)
	c.more.Store(true)
}

// ask has the tellers tell.
func (c *catalogue) ask() {
	for _, f := range c.families {
		f.used = 0
	}
	for _, t := range c.told {
		t.tell()
	}
}

// Gather returns all metrics by name.
func (c *catalogue) Gather() ([]*dto.MetricFamily, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ask()
	all, err := c.counted.Gather()
	for _, f := range c.families {
		if f.used > 0 {
			all = append(all, f.whole())
		}
	}
	slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all, err
}

// text adds all metrics as text to a page. What fails is left out: one bad family must not hide the others.
func (c *catalogue) text(page []byte, as format) (whole []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ask()
	if c.more.Swap(false) || c.parts == nil {
		if err = c.makeParts(); err != nil {
			c.more.Store(true) // to be tried again
		}
	}
	for _, part := range c.parts {
		begin, failed := len(page), error(nil)
		if page, failed = part.appendText(page, as); failed != nil {
			page, err = page[:begin], cmp.Or(err, fmt.Errorf("%w: %w", errEncoding, failed))
		}
	}
	return append(page, as.end()...), err
}

func (c *catalogue) makeParts() error {
	counted, err := c.counted.Gather()
	byName := map[string]part{}
	for _, f := range c.families {
		byName[f.name] = f
	}
	for _, family := range counted {
		var b block
		for as := range formats {
			var failed error
			if b[as], failed = as.encode(family); failed != nil {
				b[as], err = nil, cmp.Or(err, fmt.Errorf("%w: %w", errEncoding, failed))
			}
		}
		byName[family.GetName()] = b
	}
	c.parts = nil
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		c.parts = append(c.parts, byName[name])
	}
	return err
}
