package main

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// inference is a server that generates 100 tokens a second, and takes in 400.
func inference(t *testing.T) *httptest.Server {
	t.Helper()
	begin := time.Now()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		x := time.Since(begin).Seconds()
		_, _ = fmt.Fprintf(w, "vllm:prompt_tokens_total{engine=\"0\"} %v\nvllm:generation_tokens_total{engine=\"0\"} %v\n"+
			"vllm:request_success_total{engine=\"0\",finished_reason=\"stop\"} %v\n", 400*x, 100*x, 2*x)
	}))
	t.Cleanup(s.Close)
	return s
}

// Two GPUs at 500 W and a server at 100 tokens a second: 10 J per output token, live, as a metric and of a window that
// nobody gave counts for.
func TestTokensFrom(t *testing.T) {
	t.Parallel()
	vllm := inference(t)
	d := serve(t, nil, "--backend", "sim", "--sim", "2xH200,load=constant,watts=500", "--allow-simulated", "--tokens-from", vllm.URL+"/metrics").ready()
	waitFor(t, "tokens", func() bool {
		return decode(t, d.get("/v1/live"))["joules_per_output_token"] != nil
	})
	d.must("/v1/mark-start", "run", "r1")
	d.must("/v1/mark-start", "run", "r2")
	time.Sleep(3 * time.Second)
	r := d.must("/v1/mark-end", "run", "r1")
	served := r["server_tokens"].(map[string]any)
	if served["used"] != true || served["engine"] != "vllm" || served["complete"] != true || !slices.Contains(r["notes"].([]any), any("tokens_from_server")) {
		t.Errorf("server_tokens %v, notes %v", served, r["notes"])
	}
	for key, want := range map[string]float64{"joules_per_output_token": 10, "joules_per_input_token": 2.5, "joules_per_total_token": 2} {
		// A busy machine dates a page by up to some tenths of a second; alone it is within 1 %.
		t.Logf("%s: %v, true %v", key, r.number(t, key), want)
		if got := r.number(t, key); math.Abs(got-want) > 0.1*want {
			t.Errorf("%s = %v, want %v", key, got, want)
		}
	}
	r = d.must("/v1/mark-end", "run", "r2", "completed", "3", "total_input_tokens", "100", "total_output_tokens", "150")
	served = r["server_tokens"].(map[string]any)
	if ratio := served["output_ratio"].(float64); served["used"] != false || ratio < 1.8 || ratio > 2.4 || !slices.Contains(r["notes"].([]any), any("tokens_differ_from_server")) {
		t.Errorf("server_tokens %v, notes %v: the benchmark says half", served, r["notes"])
	}
	if got, want := r.number(t, "joules_per_output_token"), r.number(t, "total_gpu_energy_j")/150; got != want {
		t.Errorf("%v J per token, want the benchmark's %v", got, want)
	}
	live := decode(t, d.get("/v1/live"))
	if x := live.number(t, "output_tokens_per_second"); math.Abs(x-100) > 10 || math.Abs(live.number(t, "joules_per_total_token")-2) > 0.2 || live["up"] != true {
		t.Errorf("live %v", live)
	}
	text := string(d.get("/metrics"))
	for _, pattern := range []string{
		`(?m)^wattmark_tokens_up\{engine="vllm"\} 1$`, `(?m)^wattmark_joules_per_token\{kind="output"\} (9\.|1[01])`,
		`(?m)^wattmark_tokens_per_second\{kind="input"\} (3[6-9]\d|4[0-3]\d)`,
	} {
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("/metrics has no %s", pattern)
		}
	}

	d.must("/v1/mark-start", "run", "r3")
	vllm.CloseClientConnections()
	vllm.Close() // it dies inside the window
	time.Sleep(4500 * time.Millisecond)
	r = d.must("/v1/mark-end", "run", "r3")
	if r["joules_per_output_token"] != nil || !slices.Contains(r["notes"].([]any), any("server_tokens_incomplete")) || r["power_valid"] != true {
		t.Errorf("of a server that died: %v J per token, notes %v", r["joules_per_output_token"], r["notes"])
	}
	if live := decode(t, d.get("/v1/live")); live["up"] != false || live["detail"] == "" || live["joules_per_output_token"] != nil {
		t.Errorf("live %v", live)
	}
}

// Without the flag nothing changes; a server that is not there yet is a warning; wrong flags are usage errors.
func TestTokensFlags(t *testing.T) {
	t.Parallel()
	d := serve(t, nil, "--backend", "sim", "--sim", "1xH200", "--allow-simulated", "--tokens-from", "http://user:secret@127.0.0.1:"+freePort(t)+"/metrics").ready()
	waitFor(t, "the warning", func() bool { return strings.Contains(d.log.String(), "tokens cannot be read") })
	if strings.Contains(d.log.String(), "secret") || strings.Contains(string(d.get("/v1/live")), "secret") {
		t.Error("the password is shown")
	}
	d.must("/v1/mark-start", "run", "r")
	if r := d.must("/v1/mark-end", "run", "r"); r["completed"] != nil || r["power_valid"] != true {
		t.Errorf("%v", r)
	}
	for _, flags := range [][]string{
		{"--tokens-from", "127.0.0.1:8000"},
		{"--tokens-metric", "output=x"},
		{"--tokens-from", "http://h/m", "--tokens-metric", "input=x"},
		{"--tokens-from", "http://h/m", "--tokens-metric", "out=x"},
		{"--tokens-from", "http://h/m", "--tokens-metric", "output=a b"},
	} {
		if _, errs, code := wattmark(t, t.TempDir(), nil, append([]string{"serve", "--backend", "sim"}, flags...)...); code != 2 || !strings.Contains(errs, "--tokens-") {
			t.Errorf("%v: %d %s", flags, code, errs)
		}
	}
}
