//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"wattmark/bench/daemon"
)

// demand is the most of one kind that a caller may ask for.
type demand struct {
	name string
	ask  func(*trial) error
}

func demands() []demand {
	return []demand{
		{"energy of all in memory", func(t *trial) error { return t.energy() }},
		{"window of all in memory, with its file", func(t *trial) error { return t.whole("/v1/measure", "run", "all") }},
		{"its report", func(t *trial) error { return t.page("/v1/windows/all/report") }},
		{"its file by HTTP", func(t *trial) error { return t.page("/v1/windows/all/report", "format", "json") }},
		{"all readings as JSON", func(t *trial) error { return t.page("/v1/readings") }},
		{"all readings as CSV", func(t *trial) error { return t.page("/v1/readings", "format", "csv") }},
		{"an aggregate of 4 MB", func(t *trial) error { return t.aggregate(4_000_000) }},
		{"an aggregate of 15 MB", func(t *trial) error { return t.aggregate(15_000_000) }},
		{"all of that at once, twice", func(t *trial) error { return t.together() }},
	}
}

// span is all but the oldest seconds of what is in memory, which go while it is asked for.
func (t *trial) span() (start, end string, err error) {
	oldest, err := t.oldest()
	stamp := func(at time.Time) string { return fmt.Sprintf("%.3f", float64(at.UnixNano())/1e9) }
	return stamp(oldest.Add(15 * time.Second)), stamp(time.Now().Add(-5 * time.Second)), err
}

// oldest is the time of the oldest reading, as what memory does not hold is refused.
func (t *trial) oldest() (time.Time, error) {
	low, high := time.Now().Add(-day-time.Minute), time.Now()
	for high.Sub(low) > time.Second {
		middle := low.Add(high.Sub(low) / 2)
		at := fmt.Sprintf("%.3f", float64(middle.UnixNano())/1e9)
		end := fmt.Sprintf("%.3f", float64(middle.UnixNano())/1e9+0.1)
		if _, err := t.d.Get("/v1/energy", "start", at, "end", end); err != nil {
			low = middle
		} else {
			high = middle
		}
	}
	if _, err := t.d.Get("/healthz"); err != nil {
		return high, err
	}
	return high, nil
}

func (t *trial) energy() error {
	start, end, err := t.span()
	if err != nil {
		return err
	}
	text, err := t.d.Get("/v1/energy", "start", start, "end", end)
	if err != nil {
		return err
	}
	return t.answer("energy of all", text)
}

func (t *trial) answer(what string, text []byte) error {
	var a daemon.Answer
	err := json.Unmarshal(text, &a)
	t.judge(what, a)
	return err
}

func (t *trial) whole(path string, fields ...string) error {
	start, end, err := t.span()
	if err != nil {
		return err
	}
	text, err := t.d.Post(path, append(fields, "start_unix", start, "end_unix", end)...)
	if err != nil {
		return err
	}
	return t.answer("window of all", text)
}

func (t *trial) page(path string, query ...string) error {
	text, err := t.d.Get(path, query...)
	fmt.Fprintf(t.out, "  %s %v: %.1f MB, %v\n", path, query, float64(len(text))/1e6, err)
	return err
}

// together asks for all of it at the same time. What is too much may be refused; nothing may be wrong.
func (t *trial) together() error {
	start, end, err := t.span()
	if err != nil {
		return err
	}
	var asked sync.WaitGroup
	var mu sync.Mutex
	told := map[string]int{}
	for range 2 {
		for _, page := range [][]string{
			{"/v1/energy", "start", start, "end", end},
			{"/v1/windows/all/report"},
			{"/v1/windows/all/report", "format", "json"},
			{"/v1/readings", "start", start, "end", end},
			{"/metrics"},
			{"/v1/windows"},
			{"/v1/live"},
		} {
			asked.Go(func() {
				_, err := t.d.Get(page[0], page[1:]...)
				status := "200"
				if err != nil {
					_, status, _ = strings.Cut(err.Error(), ": ")
					status, _, _ = strings.Cut(status, ":")
				}
				mu.Lock()
				defer mu.Unlock()
				told[status]++
			})
		}
	}
	asked.Wait()
	fmt.Fprintf(t.out, "  told %v\n", told)
	return t.energy()
}

func (t *trial) aggregate(size int) error {
	text := fmt.Appendf(nil, `{"model":"m","rows":[%s0]}`, bytes.Repeat([]byte(`{"a":1.5,"b":"x"},`), size/18))
	if err := os.WriteFile(filepath.Join(t.d.Results, "agg_large.json"), text, 0o644); err != nil {
		return err
	}
	if err := t.d.MarkStart("large"); err != nil {
		return err
	}
	time.Sleep(time.Second)
	answer, err := t.d.Post("/v1/mark-end", "run", "large", "agg_result", "agg_large.json", "completed", "10", "total_input_tokens", "1000",
		"total_output_tokens", "2000")
	if err != nil {
		return err
	}
	var a struct {
		Aggregate struct{ Status, Detail string } `json:"agg_result"`
	}
	err = json.Unmarshal(answer, &a)
	fmt.Fprintf(t.out, "  aggregate of %.1f MB: %s %s\n", float64(len(text))/1e6, a.Aggregate.Status, a.Aggregate.Detail)
	return err
}
