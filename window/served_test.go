package window_test

import (
	"slices"
	"testing"

	"wattmark/sampler"
	"wattmark/window"
)

// The server's counts are the denominators only where the benchmark gave none and nothing is missing.
func TestWithServed(t *testing.T) {
	n := func(x int64) *int64 { return &x }
	served := window.Served{Engine: "vllm", Input: sampler.Some(400), Output: sampler.Some(99.6), Requests: sampler.Some(0.2), Complete: true}
	lost := served
	lost.Complete = false
	for name, test := range map[string]struct {
		served window.Served
		work   *window.Work
		tokens *int64
		used   bool
		note   window.Note
	}{
		"no counts":             {served, nil, n(100), true, window.TokensFromServer},
		"no counts, incomplete": {lost, nil, nil, false, window.ServerTokensIncomplete},
		"the same":              {served, &window.Work{OutputTokens: n(101)}, n(101), false, ""},
		"others":                {served, &window.Work{OutputTokens: n(110)}, n(110), false, window.TokensDiffer},
		"no output count":       {served, &window.Work{InputTokens: n(1)}, nil, false, ""},
	} {
		r := window.Result{Work: test.work}.WithServed(test.served)
		var got *int64
		if r.Work != nil {
			got = r.Work.OutputTokens
		}
		same := got == test.tokens || got != nil && test.tokens != nil && *got == *test.tokens
		notes := r.AllNotes()
		if !same || r.Served.Used != test.used || test.note == "" && len(notes) > 0 || test.note != "" && !slices.Contains(notes, test.note) {
			t.Errorf("%s: %v tokens, used %v, notes %v", name, got, r.Served.Used, notes)
		}
	}
	r := window.Result{}.WithServed(served)
	if r.Work.Completed != nil { // a fifth of a request is none
		t.Errorf("%v requests", *r.Work.Completed)
	}
	text, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var back window.Result
	if err := back.UnmarshalJSON(text); err != nil || back.Served == nil || *back.Served != *r.Served {
		t.Errorf("%+v, want %+v (%v)", back.Served, r.Served, err)
	}
	if m := window.Merge(r, window.Result{}); m.Served != nil {
		t.Error("of a node, not of a fleet")
	}
}
