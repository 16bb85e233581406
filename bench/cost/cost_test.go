//go:build linux

package main

import (
	"io"
	"testing"
	"time"

	"wattmark/bench/daemon"
)

// A few seconds of what the program measures for minutes, with limits wide enough for a machine that does other things:
// ten times those of docs/cost.md where other programs matter.
func TestCost(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s")
	}
	o := options{duration: 5 * time.Second, calls: []time.Duration{4 * time.Microsecond}, gpus: 8, log: io.Discard, dir: t.TempDir()}
	p, err := daemon.Build(o.dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := o.measureSteady(p, o.calls[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.rows() {
		t.Logf("%-50s %s", r.name, r.value)
	}
	for _, limit := range []struct {
		what      string
		got, most float64
	}{
		{"CPU without scrapes, %", s.quietPercent, 1},
		{"CPU with a scrape a second, %", s.watchedPercent, 3},
		{"RSS, MB", s.watched.rss, 30},
		{"threads", float64(s.watched.threads), 24},
		{"open files", float64(s.watched.files), 20},
		{"new files", float64(s.watched.files - s.begin.files), 1},
		{"driver calls per GPU and tick", s.callsPerTick, 8},
		{"scrape p50, ms", ms(quantile(s.scrapes, 0.5)), 50},
	} {
		if limit.got > limit.most {
			t.Errorf("%s: %.2f, want at most %v", limit.what, limit.got, limit.most)
		}
	}
	if c := s.answer.Cost; c.CPUSeconds == nil || c.RSSBytes == nil || c.DriverCallMax == nil || c.MissedTicks == nil {
		t.Errorf("cost %s: want all of it", cost(c))
	}
}

func TestLatenessFromReads(t *testing.T) {
	const interval = time.Second
	origin := 12345678 * time.Microsecond // its phase is of no importance
	var begins []time.Duration
	for k := range 1000 {
		late := time.Duration(k%10) * 100 * time.Microsecond // 0 to 0.9 ms
		if k%100 == 50 {
			late = 40 * time.Millisecond
		}
		if k == 777 {
			late = 990 * time.Millisecond // so late that it seems to be early
		}
		begins = append(begins, origin+time.Duration(k)*interval+late)
	}
	late := afterTicks(begins, interval)
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Microsecond, 0.98: 900 * time.Microsecond, 0.995: 40 * time.Millisecond, 1: 990 * time.Millisecond} {
		if got := quantile(late, q); got != want {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
}

func TestHistogramQuantile(t *testing.T) {
	before := scraped{`h_bucket{le="0.001"}`: 5, `h_bucket{le="0.01"}`: 5, `h_bucket{le="+Inf"}`: 5}
	after := scraped{`h_bucket{le="0.001"}`: 95, `h_bucket{le="0.01"}`: 104, `h_bucket{le="+Inf"}`: 105}
	for q, want := range map[float64]string{0.5: "0–1 ms", 0.95: "1–10 ms", 0.999: "10–+Inf ms"} {
		if got := after.quantileBucket(before, "h", q); got != want {
			t.Errorf("quantile %v: %s, want %s", q, got, want)
		}
	}
}
