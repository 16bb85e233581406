//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"wattmark/bench/daemon"
)

// lateness says how long after their time the schedule's reads began.
type lateness struct {
	reads    int
	p50, p99 time.Duration // from the readings' own stamps
	worst    time.Duration
	bucket   string // what the histogram in /metrics says of the 99th percentile
	missed   float64
}

// measureLateness looks at the readings of a stretch in which only the schedule read. A read's begin is its stamp less
// half its call; the schedule's origin, the same for all GPUs, is found from the reads.
func measureLateness(d *daemon.Daemon, interval time.Duration, from, to time.Time) (lateness, error) {
	text, err := d.Get("/v1/readings", "start", seconds(from), "end", seconds(to))
	if err != nil {
		return lateness{}, err
	}
	var answer struct {
		GPUs []struct {
			Readings []struct {
				MonotonicNS int64   `json:"monotonic_ns"`
				CallS       float64 `json:"call_s"`
			} `json:"readings"`
		} `json:"gpus"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return lateness{}, fmt.Errorf("readings: %w", err)
	}
	var begins []time.Duration
	for _, gpu := range answer.GPUs {
		for _, r := range gpu.Readings {
			begins = append(begins, time.Duration(r.MonotonicNS)-time.Duration(r.CallS*1e9/2))
		}
	}
	if len(begins) == 0 {
		return lateness{}, fmt.Errorf("no readings from %v to %v", from, to)
	}
	late := afterTicks(begins, interval)
	return lateness{
		reads: len(late), p50: quantile(late, 0.5), p99: quantile(late, 0.99), worst: late[len(late)-1],
	}, nil
}

// afterTicks returns, sorted, how long after its tick each of the reads began. The ticks lie at origin + k·interval; of
// the reads the one is taken to be on time that makes all together least late.
func afterTicks(begins []time.Duration, interval time.Duration) []time.Duration {
	phases := make([]time.Duration, len(begins))
	for i, begin := range begins {
		phases[i] = begin % interval
	}
	slices.Sort(phases)
	origin, least := phases[0], math.Inf(1)
	for i, phase := range phases { // i reads have a smaller phase: they are late by an interval more
		if mean := float64(interval)*float64(i)/float64(len(phases)) - float64(phase); mean < least {
			origin, least = phase, mean
		}
	}
	// A few may have been a little earlier still.
	const near = 200 * time.Microsecond
	from, _ := slices.BinarySearch(phases, origin-near)
	origin = phases[from]
	for i, phase := range phases {
		phases[i] = (phase - origin + interval) % interval
	}
	slices.Sort(phases)
	return phases
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(math.Ceil(q*float64(len(sorted))))-1)]
}

func seconds(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMicro())/1e6, 'f', 6, 64) }

// scraped are the samples of a scrape by name and labels.
type scraped map[string]float64

func scrape(d *daemon.Daemon) (scraped, error) {
	text, err := d.Get("/metrics")
	if err != nil {
		return nil, err
	}
	s := scraped{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && line[0] != '#' {
			s[name+"}"], _ = strconv.ParseFloat(value, 64)
		} else if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && line[0] != '#' {
			s[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	return s, nil
}

// sum adds up all series of a name.
func (s scraped) sum(name string) float64 {
	total := 0.0
	for key, value := range s {
		if key == name || strings.HasPrefix(key, name+"{") {
			total += value
		}
	}
	return total
}

// quantileBucket is the bucket of a histogram in which a quantile of what was counted since before lies.
func (s scraped) quantileBucket(before scraped, name string, q float64) string {
	type bucket struct{ bound, count float64 }
	var buckets []bucket
	for key, value := range s {
		bound, ok := strings.CutPrefix(key, name+`_bucket{le="`)
		if !ok {
			continue
		}
		x, err := strconv.ParseFloat(strings.TrimSuffix(bound, `"}`), 64)
		if err == nil {
			buckets = append(buckets, bucket{x, value - before[key]})
		}
	}
	slices.SortFunc(buckets, func(a, b bucket) int { return int(math.Copysign(1, a.bound-b.bound)) })
	last := 0.0
	for _, b := range buckets {
		if b.count >= q*buckets[len(buckets)-1].count {
			return fmt.Sprintf("%v–%v ms", 1000*last, 1000*b.bound)
		}
		last = b.bound
	}
	return "–"
}
