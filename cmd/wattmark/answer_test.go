package main

import (
	"encoding/json"
	"testing"
	"time"
)

// answerJSON is a result as a program without our types sees it.
type answerJSON map[string]any

func decode(t testing.TB, text []byte) answerJSON {
	t.Helper()
	var a answerJSON
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return a
}

func (a answerJSON) number(t testing.TB, key string) float64 {
	t.Helper()
	x, ok := a[key].(float64)
	if !ok {
		t.Fatalf("%s = %v, want a number", key, a[key])
	}
	return x
}

func (a answerJSON) gpus(t testing.TB) []answerJSON {
	t.Helper()
	list, ok := a["gpus"].([]any)
	if !ok {
		t.Fatalf("gpus = %v, want a list", a["gpus"])
	}
	out := make([]answerJSON, len(list))
	for i, g := range list {
		out[i] = g.(map[string]any)
	}
	return out
}

// edges are the window's ends as this process's clock tells them.
func (a answerJSON) edges(t testing.TB) (start, end time.Time) {
	t.Helper()
	at := func(key string) time.Time {
		m, ok := a[key].(map[string]any)
		if !ok {
			t.Fatalf("%s = %v", key, a[key])
		}
		ns, _ := m["unix_ns"].(float64) // 256 ns of rounding
		return time.Unix(0, int64(ns))
	}
	return at("start"), at("end")
}
