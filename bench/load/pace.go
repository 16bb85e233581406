//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"wattmark/bench/daemon"
)

// tally is how a kind of request went.
type tally struct {
	mu    sync.Mutex
	took  []time.Duration // of those that succeeded
	busy  int             // that were told 429
	fails []string
}

func (t *tally) add(took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.took = append(t.took, took)
	case strings.Contains(err.Error(), "429"):
		t.busy++
	default:
		t.fails = append(t.fails, err.Error())
	}
}

// quantile is of the requests that succeeded.
func (t *tally) quantile(q float64) time.Duration {
	if len(t.took) == 0 {
		return 0
	}
	slices.Sort(t.took)
	return t.took[min(len(t.took)-1, int(q*float64(len(t.took))))]
}

// pace does something at a rate, with so many at a time at most, until ctx ends.
func pace(ctx context.Context, rate float64, most int, into *tally, do func(i int) error) {
	room := make(chan struct{}, most)
	var all sync.WaitGroup
	begin := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		time.Sleep(time.Until(begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
		room <- struct{}{}
		all.Go(func() {
			asked := time.Now()
			err := do(i)
			into.add(time.Since(asked), err)
			<-room
		})
	}
	all.Wait()
}

// samples are those of a scrape; series of a name are added up under the name too.
type samples map[string]float64

func metricsOf(d *daemon.Daemon) (samples, error) {
	text, err := d.Get("/metrics")
	if err != nil {
		return nil, err
	}
	s := samples{}
	for line := range strings.Lines(string(text)) {
		i := strings.LastIndexByte(strings.TrimSpace(line), ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64)
		if err != nil {
			return nil, fmt.Errorf("scrape: %w in %q", err, line)
		}
		s[line[:i]] = value
		if name, _, labels := strings.Cut(line[:i], "{"); labels {
			s[name] += value
		}
	}
	return s, nil
}

// quantile is the upper bound of the bucket of a histogram in which a quantile of what was counted since before lies.
func (s samples) quantile(before samples, name string, q float64) (bound, count float64) {
	type bucket struct{ bound, count float64 }
	var buckets []bucket
	for key, value := range s {
		text, ok := strings.CutPrefix(key, name+`_bucket{le="`)
		if !ok {
			continue
		}
		x, err := strconv.ParseFloat(strings.TrimSuffix(text, `"}`), 64) // "+Inf" too
		if err == nil {
			buckets = append(buckets, bucket{x, value - before[key]})
		}
	}
	slices.SortFunc(buckets, func(a, b bucket) int { return cmp.Compare(a.bound, b.bound) })
	for _, b := range buckets {
		count = max(count, b.count)
	}
	for _, b := range buckets {
		if b.count >= q*count {
			return b.bound, count
		}
	}
	return 0, count
}
