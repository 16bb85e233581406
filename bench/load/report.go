//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"
)

// The limits that docs/reliability.md gives.
const (
	mostLate   = 0.05 // s, of 99 % of the readings; more by what the machine itself keeps a thread waiting
	mostMemory = 128  // MB

	// siege: so many bad clients of each kind take all connections; then good ones are cut off too.
	siege = 5
)

func (r *result) rows() [][2]string {
	ms := func(t *tally) string {
		return fmt.Sprintf("%d, p50 %.1f ms, p99 %.1f ms; %d told 429, %d cut off", len(t.took), t.quantile(0.5).Seconds()*1e3, t.quantile(0.99).Seconds()*1e3, t.busy, len(t.fails))
	}
	rows := [][2]string{
		{"open windows, held", fmt.Sprint(open - churn)},
		{"windows started and ended", ms(&r.marked)},
		{"  that is, marks a minute", fmt.Sprintf("%.0f", 2*float64(len(r.marked.took))/r.took.Minutes())},
		{"  of them", r.truth.String()},
		{"scrapes", ms(&r.scraped)},
		{"  that is, a second", fmt.Sprintf("%.0f", float64(len(r.scraped.took))/r.took.Seconds())},
		{"/healthz", ms(&r.healthy)},
		{"readings of the schedule", fmt.Sprintf("%.0f, 99 %% at most %.1f ms late, %.0f left out", r.reads, r.late*1e3, r.missed)},
		{"  of a thread that does nothing else, meanwhile", fmt.Sprintf("99 %% at most %.1f ms late", r.bare*1e3)},
		{"memory, highest", fmt.Sprintf("%.1f MB", r.rss)},
		{"threads, highest", fmt.Sprint(r.threads)},
		{"descriptors before and 12 s after", fmt.Sprintf("%d, %d", r.files[0], r.files[1])},
		{"CPU", fmt.Sprintf("%.0f %% of a core", r.cpu)},
		{"of 20 windows held all the time, wrong", fmt.Sprintf("%.0f", r.wrong)},
		{"answers in 100 ms again after", r.recovered.Round(time.Millisecond).String()},
		{"what the others were told", ""},
	}
	return append(rows, r.excess.rows()...)
}

// check says which limits were not kept.
func (r *result) check(mostLate float64) error {
	var errs []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(r.late > mostLate+r.bare || r.reads == 0, "99 %% of the readings were up to %.0f ms late, want %.0f + %.0f", r.late*1e3, mostLate*1e3, r.bare*1e3)
	wrong(r.rss > mostMemory, "%.0f MB of memory, want at most %d", r.rss, mostMemory)
	wrong(r.files[1] > r.files[0]+8, "%d descriptors became %d", r.files[0], r.files[1])
	wrong(float64(r.truth.outside) > 0.05*float64(r.truth.gpus), "of the windows that came and went: %v", &r.truth)
	wrong(r.wrong > 0, "%.0f windows were measured wrongly", r.wrong)
	for _, t := range []struct {
		name string
		*tally
	}{{"marks", &r.marked}, {"scrapes", &r.scraped}, {"/healthz", &r.healthy}} {
		wrong(len(t.fails) > 0 && r.hostile < siege, "%s: %d failed, first %q", t.name, len(t.fails), append(t.fails, "")[0])
		wrong(len(t.took) == 0, "%s: none succeeded", t.name)
	}
	for who, status := range map[string]string{
		"a body of 1 MB": "413", "headers of 100 kB": "431", "windows above 256": "429",
	} {
		wrong(r.hostile > 0 && r.excess.of(who, status) == 0, "%s: nobody was told %s", who, status)
	}
	wrong(r.hostile >= siege && r.excess.of("600 connections at once", "429") == 0, "600 connections: nobody was told 429")
	if r.duration > 12*time.Second {
		wrong(r.hostile > 0 && r.excess.of("a body of a byte a second", "408") == 0, "a slow body: nobody was told 408")
	}
	return errors.Join(errs...)
}
