package promsource

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"wattmark/sampler"
)

// part is the readings of some GPUs, or why there are none.
type part struct {
	series []sampler.Series
	err    error
}

// ahead yields the parts in the order of the hosts. While one is measured the next two are on their way, so that the
// server works while the caller does, and memory holds three of them.
func (s *Source) ahead(ctx context.Context, from, to time.Time) iter.Seq[part] {
	const inFlight = 2
	return func(yield func(part) bool) {
		chunks := s.chunks()
		coming := make([]chan part, len(chunks))
		begin := func(i int) {
			if i < len(chunks) {
				coming[i] = make(chan part, 1)
				go func() { coming[i] <- s.fetch(ctx, chunks[i], from, to) }()
			}
		}
		for i := range inFlight {
			begin(i)
		}
		for i := range chunks {
			got := <-coming[i]
			begin(i + inFlight)
			if !yield(got) {
				return
			}
		}
	}
}

// chunks are the hosts, so many together as make a query of a good size.
func (s *Source) chunks() [][]hostGPUs {
	var chunks [][]hostGPUs
	n := 0
	for i, host := range s.hosts {
		if i == 0 || n+len(host.gpus) > s.chunk {
			chunks, n = append(chunks, nil), 0
		}
		chunks[len(chunks)-1] = append(chunks[len(chunks)-1], host)
		n += len(host.gpus)
	}
	return chunks
}

// fetch asks for the samples of some hosts and makes readings of them.
func (s *Source) fetch(ctx context.Context, hosts []hostGPUs, from, to time.Time) part {
	columns := map[string]*columns{}
	if err := s.columns(ctx, hosts, from, to, columns); err != nil {
		return part{err: err}
	}
	var p part
	for _, host := range hosts {
		for _, g := range host.gpus {
			c := columns[g.key]
			if c == nil {
				c = newColumns(s.config.Exporter)
			}
			p.series = append(p.series, c.series(g.info, s.config.Exporter))
		}
	}
	return p
}

// columns fills in the samples of some hosts. Where the server finds that too much, half of the hosts, or half of the
// time, is asked for at once.
func (s *Source) columns(ctx context.Context, hosts []hostGPUs, from, to time.Time, into map[string]*columns) error {
	const shortest = 10 * time.Second
	filled := map[string]*columns{}
	err := s.query(ctx, hosts, from, to, filled)
	large := tooMuch{}
	switch middle := from.Add(to.Sub(from) / 2); {
	case errors.As(err, &large) && len(hosts) > 1:
		half := len(hosts) / 2
		if err := s.columns(ctx, hosts[:half], from, to, into); err != nil {
			return err
		}
		return s.columns(ctx, hosts[half:], from, to, into)
	case errors.As(err, &large) && to.Sub(from) > shortest:
		if err := s.columns(ctx, hosts, from, middle, into); err != nil {
			return err
		}
		return s.columns(ctx, hosts, middle, to, into)
	case err != nil:
		return err
	}
	for key, c := range filled {
		if into[key] == nil {
			into[key] = newColumns(s.config.Exporter)
		}
		into[key].append(c)
	}
	return nil
}

// query asks for the raw samples of some hosts: an instant query for a range vector is answered with what is stored.
func (s *Source) query(ctx context.Context, hosts []hostGPUs, from, to time.Time, into map[string]*columns) error {
	e := s.config.Exporter
	matchers := []string{fmt.Sprintf("__name__=~%q", strings.Join(e.values(), "|"))}
	if e.Method != "" {
		matchers = append(matchers, fmt.Sprintf("method=~%q", e.Method+"|"))
	}
	if len(hosts) < len(s.hosts) || hosts[0].instance != "" {
		instances := make([]string, len(hosts))
		for i, host := range hosts {
			instances[i] = regexp.QuoteMeta(host.instance)
		}
		matchers = append(matchers, fmt.Sprintf("instance=~%q", strings.Join(instances, "|")))
	}
	query := fmt.Sprintf("%s[%dms]", s.selector(matchers...), to.Sub(from).Milliseconds())
	return s.instant(ctx, query, to, func(labels map[string]string) func(sample) {
		key := e.key(labels)
		column := slices.Index(e.values(), labels["__name__"])
		if s.gpus[key] == nil || column < 0 {
			return nil
		}
		if into[key] == nil {
			into[key] = newColumns(e)
		}
		// Two series of one GPU and metric follow each other, as when a label that is not of its identity changed.
		to := &into[key].samples[column]
		return func(got sample) { *to = append(*to, got) }
	})
}
