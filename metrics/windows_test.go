package metrics

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// ended is a valid window of a minute: two GPUs of 30 kJ each.
func ended(run string) window.Result {
	return window.Result{
		Run: run, Start: noon().Add(-time.Minute), End: noon(),
		GPUs:      []window.GPU{{Energy: sampler.Some(30e3)}, {Energy: sampler.Some(30e3)}},
		Aggregate: window.Aggregate{Path: "agg.json", Outcome: "ok"},
	}
}

func TestWindows(t *testing.T) {
	m := New(options(h200(0)))
	_, body := scrape(t, m, "")
	for _, none := range []string{"wattmark_last_window"} {
		if strings.Contains(body, "\n"+none) {
			t.Errorf("%s before any window ended", none)
		}
	}
	holds(t, body, `wattmark_windows_total{result="ok"} 0`, `wattmark_windows_total{result="invalid"} 0`,
		`wattmark_result_patches_total{outcome="conflict"} 0`, `wattmark_window_duration_seconds_count 0`)

	m.Ended("0a", ended("first"), false)
	_, body = scrape(t, m, "")
	holds(t, body, `wattmark_windows_total{result="ok"} 1`, `wattmark_last_window_energy_joules 60000`,
		`wattmark_last_window_average_power_watts{scope="per_gpu"} 500`,
		`wattmark_last_window_average_power_watts{scope="total"} 1000`, `wattmark_last_window_duration_seconds 60`,
		`wattmark_last_window_end_timestamp_seconds 1.78558560025e+09`, `wattmark_last_window_valid 1`,
		`wattmark_window_duration_seconds_bucket{le="60"} 1`, `wattmark_result_patches_total{outcome="ok"} 1`)

	unknown := ended("second")
	unknown.GPUs[1].Energy, unknown.GPUs[1].Reasons = sampler.Value{}, []window.Reason{window.NoUsableSamples}
	unknown.Aggregate.Outcome = "missing"
	m.Ended("0b", unknown, false)
	unknown.Aggregate.Outcome = "unsafe"
	m.Ended("0b", unknown, true) // with another file: the same window
	unknown.Aggregate.Outcome = "a word that is none of ours"
	m.Ended("0b", unknown, true)
	_, body = scrape(t, m, "")
	holds(t, body, `wattmark_windows_total{result="invalid"} 1`, `wattmark_windows_total{result="ok"} 1`,
		`wattmark_last_window_valid 0`, `wattmark_result_patches_total{outcome="missing"} 1`,
		`wattmark_result_patches_total{outcome="unsafe"} 1`, `wattmark_result_patches_total{outcome="ok"} 1`)
	if strings.Contains(body, "none of ours") {
		t.Errorf("a label of an outcome that there is not:\n%s", body)
	}
	for _, none := range []string{"wattmark_last_window_energy_joules", "wattmark_last_window_average_power_watts"} {
		if strings.Contains(body, "\n"+none) {
			t.Errorf("%s of a window whose energy is not known", none)
		}
	}

	stopped := ended("third")
	stopped.Reasons = []window.Reason{window.Interrupted}
	m.Ended("0c", stopped, false)
	if _, body = scrape(t, m, "application/openmetrics-text;version=1.0.0"); !strings.Contains(body, `wattmark_windows_total{result="aborted"} 1.0 # {window_id="0c"} 1.0`) {
		t.Errorf("no exemplar of the aborted window in\n%s", body)
	}
}

func holds(t *testing.T, body string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(body, "\n"+line+"\n") {
			t.Errorf("no %s in\n%s", line, body)
		}
	}
}

// ask sends what callers may send.
func ask(m *Metrics) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/mark-start", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	mux.HandleFunc("GET /v1/windows/{run}", func(http.ResponseWriter, *http.Request) {})
	handler := m.Count(mux)
	for _, r := range []struct{ method, path string }{
		{"POST", "/v1/mark-start?run=caller"},
		{"GET", "/v1/windows/caller"},
		{"HEAD", "/v1/windows/caller2"},
		{"GET", "/caller"},
		{"CALLER", "/v1/mark-start"},
		{"CALLER2", "/v1/mark-start"},
		{"DELETE", "/v1/mark-start"},
	} {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(r.method, r.path, nil))
	}
}

// However many kinds of requests there are, their series stay few, and no request is lost.
func TestManyKindsOfRequests(t *testing.T) {
	m := New(options())
	mux := http.NewServeMux()
	for i := range 100 {
		mux.HandleFunc(fmt.Sprintf("GET /r%d", i), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400 + i%4) })
	}
	for i := range 100 {
		m.Count(mux).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprintf("/r%d", i), nil))
	}
	_, body := scrape(t, m, "")
	if n := strings.Count(body, "\nwattmark_http_requests_total{"); n != 21 {
		t.Errorf("%d series, want 20 and one for the rest", n)
	}
	holds(t, body, `wattmark_http_requests_total{code="4xx",handler="other",method="other"} 80`)
}

func TestRequests(t *testing.T) {
	m := New(options())
	ask(m)
	ask(m)
	_, body := scrape(t, m, "")
	holds(t, body, `wattmark_http_requests_total{code="201",handler="/v1/mark-start",method="POST"} 2`,
		`wattmark_http_requests_total{code="200",handler="/v1/windows/{run}",method="GET"} 4`,
		`wattmark_http_requests_total{code="404",handler="other",method="GET"} 2`,
		`wattmark_http_requests_total{code="405",handler="other",method="other"} 6`)
}
