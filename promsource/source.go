// Package promsource measures from a Prometheus, or from what speaks its HTTP API: Thanos, Mimir, VictoriaMetrics. It reads
// the scraped samples as they are stored, never values that the server has interpolated or extrapolated, and makes
// readings of them: where the exporter says when it read the GPU, that is a reading's time, else the scrape's, with
// the exporter's interval as its uncertainty.
package promsource

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"wattmark/sampler"
)

// Config says where the samples are.
type Config struct {
	URL       string       // the server's, with the prefix before /api/v1 if it has one
	Client    *http.Client // nil: http.DefaultClient
	Selector  string       // label matchers, as in job="wattmark",cluster="a"; braces around them are allowed
	Exporter  Exporter
	HostLabel string       // the label that names the host; "": the exporter's usual one
	Warn      func(string) // what the server warns of, as of parts that did not answer; nil: dropped
}

// Source is the GPUs that a selector names, in one span of time. It is a window.Source.
type Source struct {
	config   Config
	base     *url.URL
	from, to time.Time // that was asked for
	gpus     map[string]*gpu
	hosts    []hostGPUs
	interval time.Duration // between two scrapes
	chunk    int           // GPUs to ask for at once

	mu     sync.Mutex
	err    error
	warned map[string]bool
	ctx    context.Context // window.Source has none: a Source is of one measurement
}

// gpu is one of the GPUs: what is known of it before its samples are read.
type gpu struct {
	key      string
	instance string
	info     sampler.Info
}

// hostGPUs are the GPUs that one target shows.
type hostGPUs struct {
	instance string
	gpus     []*gpu
}

// Open finds the GPUs that were scraped between two times.
func Open(ctx context.Context, config Config, from, to time.Time) (*Source, error) {
	base, err := url.Parse(config.URL)
	if err != nil || base.Scheme == "" || base.Host == "" {
		return nil, fmt.Errorf("%q is not the URL of a server", config.URL)
	}
	if config.Client == nil {
		config.Client = http.DefaultClient
	}
	config.Selector = strings.Trim(strings.TrimSpace(config.Selector), "{}")
	s := &Source{config: config, base: base, from: from, to: to, gpus: map[string]*gpu{}, warned: map[string]bool{}, ctx: ctx}
	if err := s.find(ctx); err != nil {
		return nil, err
	}
	if err := s.gauge(ctx); err != nil {
		return nil, err
	}
	return s, s.describe(ctx)
}

// selector is a PromQL selector of a metric, with the caller's matchers and more.
func (s *Source) selector(matchers ...string) string {
	if s.config.Selector != "" {
		matchers = append(matchers, strings.Trim(s.config.Selector, ", "))
	}
	return "{" + strings.Join(matchers, ",") + "}"
}

func named(metric string) string { return fmt.Sprintf("__name__=%q", metric) }

// find asks for the series that there are: labels, no samples.
func (s *Source) find(ctx context.Context) error {
	form := url.Values{"match[]": {s.selector(named(s.config.Exporter.Identity))}}
	form.Set("start", unix(s.from))
	form.Set("end", unix(s.to))
	ids := map[string]string{}
	err := s.call(ctx, "api/v1/series", form, func(d *decoder) error {
		return d.list(func() error {
			labels, err := d.labels()
			if err != nil {
				return err
			}
			key := s.config.Exporter.key(labels)
			if s.gpus[key] != nil {
				return nil // what is not of its identity has changed, as the driver's version does
			}
			info := s.config.Exporter.info(labels, s.config.HostLabel)
			if other, twice := ids[info.ID()]; twice && other != key {
				return fmt.Errorf("GPU %s is there twice, as %s and %s: narrow the selector down to one (a replica, a job)",
					info.ID(), readable(other), readable(key))
			}
			ids[info.ID()] = key
			s.gpus[key] = &gpu{key: key, instance: labels["instance"], info: info}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if len(s.gpus) == 0 {
		return fmt.Errorf("%w: no series %s at %s between %s and %s", ErrNoGPU, s.selector(named(s.config.Exporter.Identity)),
			s.base.Redacted(), s.from.Format(time.RFC3339), s.to.Format(time.RFC3339))
	}
	byInstance := map[string][]*gpu{}
	for _, key := range sortedKeys(s.gpus) {
		g := s.gpus[key]
		byInstance[g.instance] = append(byInstance[g.instance], g)
	}
	for _, instance := range sortedKeys(byInstance) {
		s.hosts = append(s.hosts, hostGPUs{instance, byInstance[instance]})
	}
	return nil
}

// ErrNoGPU means that no series of a GPU match.
var ErrNoGPU = errors.New("no GPU")

// readable is a key for people.
func readable(key string) string {
	parts := strings.Split(strings.TrimSuffix(key, "\xff"), "\xff")
	var out []string
	for i := 0; i+1 < len(parts); i += 2 {
		out = append(out, fmt.Sprintf("%s=%q", parts[i], parts[i+1]))
	}
	return "{" + strings.Join(out, ",") + "}"
}

// gauge finds out how often targets are scraped, from one of them, and how many GPUs make one query of a good size.
func (s *Source) gauge(ctx context.Context) error {
	const perQuery = 500_000 // samples: 16 MB in the answer, 8 MB in memory
	span := s.to.Sub(s.from)
	matchers := []string{named(s.config.Exporter.Identity)}
	if instance := s.hosts[0].instance; instance != "" {
		matchers = append(matchers, fmt.Sprintf("instance=%q", instance))
	}
	most := 0.0
	query := fmt.Sprintf("count_over_time(%s[%dms])", s.selector(matchers...), span.Milliseconds())
	err := s.instant(ctx, query, s.to, func(map[string]string) func(sample) {
		return func(got sample) { most = max(most, got.value) }
	})
	if err != nil {
		return err
	}
	s.interval = span
	if most >= 2 {
		s.interval = time.Duration(float64(span) / most).Round(time.Millisecond)
	}
	s.chunk = int(max(1, perQuery/(max(1, most)*float64(len(s.config.Exporter.values())))))
	return nil
}

// describe asks for what does not change: limits and periods.
func (s *Source) describe(ctx context.Context) error {
	for metric, set := range map[string]func(*sampler.Info, float64){
		s.config.Exporter.Limit:  func(info *sampler.Info, watts float64) { info.PowerLimitWatts = sampler.Some(watts) },
		s.config.Exporter.Period: func(info *sampler.Info, s float64) { info.CounterPeriod = time.Duration(s * 1e9) },
	} {
		if metric == "" {
			continue
		}
		err := s.instant(ctx, s.selector(named(metric)), s.to, func(labels map[string]string) func(sample) {
			g := s.gpus[s.config.Exporter.key(labels)]
			if g == nil {
				return nil
			}
			return func(got sample) { set(&g.info, got.value) }
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// instant asks for the value of an expression at a time.
func (s *Source) instant(ctx context.Context, query string, at time.Time, begin func(labels map[string]string) func(sample)) error {
	form := url.Values{"query": {query}, "time": {unix(at)}}
	return s.call(ctx, "api/v1/query", form, func(d *decoder) error { return d.matrix(begin) })
}

// Interval is the time between two scrapes, as far as one target tells.
func (s *Source) Interval() time.Duration { return s.interval }

// GPUs is how many there are.
func (s *Source) GPUs() int { return len(s.gpus) }

// Err is what went wrong in Series: what it yielded is then not all.
func (s *Source) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// warn hands a warning on, once.
func (s *Source) warn(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.warned[text] && s.config.Warn != nil {
		s.config.Warn(text)
	}
	s.warned[text] = true
}

// Series yields, for each GPU, the readings from the last at or before from to the first at or after to.
func (s *Source) Series(from, to sampler.Moment) iter.Seq[sampler.Series] {
	return func(yield func(sampler.Series) bool) {
		ctx, cancel := context.WithCancel(s.ctx)
		defer cancel()
		margin := s.margin()
		first, last := from.Wall().Add(-margin), to.Wall().Add(margin)
		for part := range s.ahead(ctx, first, last) {
			if part.err != nil {
				s.mu.Lock()
				s.err = errors.Join(s.err, part.err)
				s.mu.Unlock()
				return
			}
			for _, series := range part.series {
				n := len(series.Readings)
				begin, end := sampler.Span(n, func(i int) sampler.Moment { return series.Readings[i].At }, from, to)
				series.Readings = series.Readings[begin:end]
				if !yield(series) {
					return
				}
			}
		}
	}
}

// margin is how far around a span its neighbours are looked for.
func (s *Source) margin() time.Duration {
	const least, most = 5 * time.Second, 5 * time.Minute
	return min(most, max(least, 3*s.interval)) + s.config.Exporter.Age
}

func unix(t time.Time) string {
	return fmt.Sprintf("%d.%03d", t.UnixMilli()/1000, t.UnixMilli()%1000)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
