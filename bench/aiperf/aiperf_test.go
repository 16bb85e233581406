//go:build real

// Package aiperf runs NVIDIA's AIPerf against the DCGM listener.
package aiperf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/bench/daemon"
	"wattmark/internal/nvmldouble"
)

// version is the AIPerf that docs/dcgm.md speaks of.
const version = "0.13.0"

// environment is a Python environment with AIPerf. $AIPERF_ENV names one; else it is made, from 1.2 GB of packages.
func environment(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("AIPERF_ENV")
	if folder != "" {
		return folder
	}
	folder = filepath.Join(t.TempDir(), "env")
	run(t, "python3", "-m", "venv", folder)
	run(t, filepath.Join(folder, "bin", "pip"), "install", "-q", "aiperf=="+version)
	return folder
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", filepath.Base(name), args, err, out[max(0, len(out)-4000):])
	}
}

// words is a server that answers chats with one word every 20 ms, as OpenAI's API streams them.
func words(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"m","object":"model"}]}`)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for range 32 {
			time.Sleep(20 * time.Millisecond)
			_, _ = io.WriteString(w, `data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m",`+
				`"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}`+"\n\n")
			w.(http.Flusher).Flush()
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// logs collects what the daemon says.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) find(pattern string) string {
	for begin := time.Now(); time.Since(begin) < 10*time.Second; time.Sleep(20 * time.Millisecond) {
		l.mu.Lock()
		found := regexp.MustCompile(pattern).FindStringSubmatch(l.text.String())
		l.mu.Unlock()
		if found != nil {
			return found[1]
		}
	}
	return ""
}

// scrapes are the times of AIPerf's last scrapes before two times.
func scrapes(t *testing.T, file string, before, until time.Time) (from, to time.Time) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var record struct {
			At int64 `json:"timestamp_ns"`
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(0, record.At)
		if at.Before(before) && at.After(from) {
			from = at
		}
		if !at.After(until) && at.After(to) {
			to = at
		}
	}
	return from, to
}

// checkAggregate makes joules per token from what AIPerf left and the window that the marks measured.
func checkAggregate(t *testing.T, wattmark, out, window string, truth float64) {
	t.Helper()
	aggregate := filepath.Join(out, "exp.json")
	err := errors.Join(
		os.WriteFile(aggregate, []byte("{}"), 0o644),
		os.WriteFile(filepath.Join(out, "agentic_power_timezone_offset.txt"), []byte(time.Now().Format("-0700\n")), 0o644),
	)
	if err != nil {
		t.Fatal(err)
	}
	run(t, wattmark, "aggregate", "--window", window, "--aiperf", out, "--agg-result", aggregate, "--expected-num-gpus", "4", "--require-power")
	var numbers map[string]float64
	text, err := os.ReadFile(aggregate)
	if err == nil {
		err = json.Unmarshal(text, &numbers)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("wattmark aggregate --aiperf: %s", text)
	joules := numbers["total_gpu_energy_j"]
	if off := math.Abs(joules - truth); off > 0.04*truth {
		t.Errorf("%.0f J, truth %.0f J", joules, truth)
	}
	if queries := joules / numbers["joules_per_successful_query"]; math.Abs(queries-60) > 0.01 {
		t.Errorf("%.2f successful requests, want 60", queries)
	}
}

// AIPerf itself, over a whole profile, finds the energy that the GPUs truly used in its profiling phase, and so do we.
func TestAIPerf(t *testing.T) {
	env := environment(t)
	tokenizer := filepath.Join(t.TempDir(), "tokenizer")
	run(t, filepath.Join(env, "bin", "python"), "testdata/tokenizer.py", tokenizer)

	script := nvmldouble.Script{Origin: time.Now()}
	for i := range 8 {
		gpu := nvmldouble.H200(nvmldouble.Trace{Decode: nvmldouble.Decode{
			Idle: 80, Prefill: 690, Plateau: 520 + 5*float64(i), PrefillTime: 400 * time.Millisecond,
			BusyTime: 2500 * time.Millisecond, Period: 3 * time.Second,
		}})
		gpu.CounterPhase = time.Duration(i) * 12 * time.Millisecond
		script.GPUs = append(script.GPUs, gpu)
	}
	program, err := daemon.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	log := &logs{}
	d, err := program.Start(t.TempDir(), script, log, "--gpus", "0,1,2,3", "--dcgm-listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Stop() })

	out := t.TempDir()
	if _, err := d.Post("/v1/mark-start", "run", "profile"); err != nil {
		t.Fatal(err)
	}
	run(t, filepath.Join(env, "bin", "aiperf"), "profile", "-m", "m", "--tokenizer", tokenizer, "--url", words(t), "--endpoint-type", "chat",
		"--streaming", "--concurrency", "4", "--request-count", "60", "--synthetic-input-tokens-mean", "64", "--output-tokens-mean", "32",
		"--gpu-telemetry", "http://"+log.find(`dcgm_address=(\S+)`)+"/metrics", "--output-artifact-dir", out, "--ui", "none")
	if _, err := d.Post("/v1/mark-end", "run", "profile"); err != nil {
		t.Fatal(err)
	}
	type figure struct{ Avg float64 }
	var profile struct {
		Start  string `json:"start_time"`
		End    string `json:"end_time"`
		Energy figure `json:"nvidia_total_gpu_energy"`
		Power  figure `json:"nvidia_total_gpu_power"`
		Data   struct {
			Endpoints map[string]struct {
				GPUs map[string]struct {
					Name    string `json:"gpu_name"`
					UUID    string `json:"gpu_uuid"`
					Metrics map[string]struct{ Count int }
				}
			}
		} `json:"telemetry_data"`
	}
	text, err := os.ReadFile(filepath.Join(out, "profile_export_aiperf.json"))
	if err == nil {
		err = json.Unmarshal(text, &profile)
	}
	start, startErr := time.ParseInLocation("2006-01-02T15:04:05.999999", profile.Start, time.Local)
	end, endErr := time.ParseInLocation("2006-01-02T15:04:05.999999", profile.End, time.Local)
	if err := errors.Join(err, startErr, endErr); err != nil {
		t.Fatal(err)
	}
	truth := 0.0
	for i := range 4 {
		truth += script.TrueJoules(i, start, end)
	}
	// Ours, of the same span, afterwards.
	unix := func(at time.Time) string { return strconv.FormatFloat(float64(at.UnixNano())/1e9, 'f', 6, 64) }
	answer, err := d.Get("/v1/energy", "start", unix(start), "end", unix(end))
	var ours struct {
		Energy float64 `json:"total_gpu_energy_j"`
		Bound  float64 `json:"energy_bound_j"`
	}
	if err == nil {
		err = json.Unmarshal(answer, &ours)
	}
	if err != nil {
		t.Fatal(err)
	}
	seconds := end.Sub(start).Seconds()
	t.Logf("%.2f s of 4 GPUs: truth %.0f J; AIPerf %.0f J (%+.2f %%), mean power %.0f W of %.0f W; wattmark %.0f J ± %.0f (%+.3f %%)",
		seconds, truth, profile.Energy.Avg, 100*(profile.Energy.Avg/truth-1), profile.Power.Avg, truth/seconds, ours.Energy, ours.Bound,
		100*(ours.Energy/truth-1))
	// AIPerf subtracts the counts of two scrapes: the last before the start, and the last up to 666 ms after the end. On a
	// busy machine the one that it makes for the start comes too late, and the last before is one of its configuration.
	from, to := scrapes(t, filepath.Join(out, "gpu_telemetry_export.jsonl"), start, end.Add(666*time.Millisecond))
	counted := 0.0
	for i := range 4 {
		counted += script.TrueJoules(i, from, to)
	}
	t.Logf("AIPerf's scrapes are %v before the start and %v after the end: truth between them %.0f J (%+.2f %%)",
		start.Sub(from).Round(time.Millisecond), to.Sub(end).Round(time.Millisecond), counted, 100*(profile.Energy.Avg/counted-1))
	// Each is up to 100 ms old, with a count up to 100 ms old, at 4 · 700 W; both are late by that.
	if off := math.Abs(profile.Energy.Avg - counted); off > 0.2*4*700 {
		t.Errorf("AIPerf is off by %.0f J", off)
	}
	if off := math.Abs(ours.Energy - truth); off > 2*ours.Bound {
		t.Errorf("wattmark is off by %.0f J, bound %.0f J", off, ours.Bound)
	}
	checkAggregate(t, program.Wattmark, out, filepath.Join(d.Results, "power_window_profile.json"), truth)
	for _, endpoint := range profile.Data.Endpoints {
		if len(endpoint.GPUs) != 4 {
			t.Errorf("%d GPUs, want 4", len(endpoint.GPUs))
		}
		for name, gpu := range endpoint.GPUs {
			for _, metric := range []string{"nvidia_power_usage", "nvidia_gpu_utilization", "nvidia_memory_utilization", "nvidia_temperature"} {
				if n := gpu.Metrics[metric].Count; float64(n) < 2*seconds { // of what is sampled at 1 Hz it would keep one a second
					t.Errorf("%s: %s has %d records in %.1f s, want one per scrape, every 333 ms", name, metric, n, seconds)
				}
			}
			if gpu.Name != "NVIDIA H200" || !strings.HasPrefix(gpu.UUID, "GPU-") {
				t.Errorf("%s: %+v", name, gpu)
			}
		}
	}
	if len(profile.Data.Endpoints) != 1 {
		t.Error(fmt.Sprint("endpoints: ", profile.Data.Endpoints))
	}
}
