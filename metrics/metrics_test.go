package metrics

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"wattmark/sampler"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files anew")
	flag.Parse()
	os.Exit(m.Run())
}

func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// expose returns what wattmark's own metrics look like.
func expose(t *testing.T, o Options) string {
	t.Helper()
	c := catalogue{counted: prometheus.NewRegistry()}
	c.tellers(newReadings(&c, o))
	families, err := checked(&c).Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			t.Fatal(err)
		}
	}
	return strings.ReplaceAll(text.String(), runtime.Version(), "GO")
}

// checked has client_golang look at what c has as it does at metrics of its own: no series twice, none of another type,
// all text valid. It sorts the series.
func checked(c *catalogue) prometheus.Gatherer { return prometheus.Gatherers{c} }

func TestExposition(t *testing.T) {
	got := expose(t, options(fixed()...))
	const file = "testdata/metrics.txt"
	if updating() {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("exposition differs from %s (go test -update writes it anew):\n%s", file, got)
	}
}

func TestLint(t *testing.T) {
	m := New(options(fixed()...))
	problems, err := testutil.GatherAndLint(checked(&m.catalogue))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

func TestOldReadingsAreNotShown(t *testing.T) {
	for _, test := range []struct {
		interval, age time.Duration
		shown         bool
	}{
		{time.Second, 0, true},
		{time.Second, 3 * time.Second, true},
		{time.Second, 3001 * time.Millisecond, false},
		{10 * time.Millisecond, 3 * time.Second, true},
		{10 * time.Millisecond, 3001 * time.Millisecond, false},
		{10 * time.Second, 30 * time.Second, true},
		{10 * time.Second, 31 * time.Second, false},
	} {
		o := options(h200(0))
		o.Interval = test.interval
		// The wall clock is an hour off: ages are measured on the monotonic one.
		o.Now = func() sampler.Moment {
			now := noon().Add(test.age)
			now.UnixNano += int64(time.Hour)
			return now
		}
		text := expose(t, o)
		for _, name := range []string{
			"gpu_power_watts", "gpu_temperature_celsius", "gpu_clock_hertz", "gpu_utilization_ratio",
		} {
			if got := strings.Contains(text, "\nwattmark_"+name+"{"); got != test.shown {
				t.Errorf("interval %v, age %v: %s shown = %v, want %v", test.interval, test.age, name, got, test.shown)
			}
		}
		for _, name := range []string{
			"gpu_info", "gpu_power_limit_watts", "gpu_energy_joules_total", "gpu_last_sample_timestamp_seconds", "samples_total",
		} {
			if !strings.Contains(text, "\nwattmark_"+name+"{") {
				t.Errorf("interval %v, age %v: %s is gone", test.interval, test.age, name)
			}
		}
	}
}

func TestNoGPUs(t *testing.T) {
	text := expose(t, Options{Interval: time.Second, Now: noon, Latest: func(to []sampler.Status) []sampler.Status { return to }})
	if strings.Contains(text, "gpu") || strings.Contains(text, "backend_up") || strings.Contains(text, "windows_open") {
		t.Errorf("got series of what is not there:\n%s", text)
	}
	if !strings.Contains(text, "wattmark_ring_used_samples 0\n") {
		t.Errorf("got\n%s\nwant an empty ring", text)
	}
}

func TestBackendDown(t *testing.T) {
	silent := h200(0)
	silent.Latest.At = noon().Add(-4 * time.Second)
	for _, test := range []struct {
		name   string
		opened bool
		gpus   []sampler.Status
		want   string
	}{
		{"the library was not opened", false, nil, "0"},
		{"no GPU answers any more", true, []sampler.Status{silent}, "0"},
		{"one of two answers", true, []sampler.Status{silent, h200(1)}, "1"},
	} {
		o := options(test.gpus...)
		o.Backend = func() (string, bool) { return "amd", test.opened }
		if text := expose(t, o); !strings.Contains(text, `wattmark_backend_up{backend="amd"} `+test.want) {
			t.Errorf("%s: got\n%s\nwant backend_up %s", test.name, text, test.want)
		}
	}
}

// scrape answers a request; two of them, so that the handler's own metrics are all there.
func scrape(t *testing.T, m *Metrics, accept string) (header http.Header, body string) {
	t.Helper()
	var recorder *httptest.ResponseRecorder
	for range 2 {
		recorder = httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		request.Header.Set("Accept", accept)
		m.ServeHTTP(recorder, request)
	}
	if recorder.Code != http.StatusOK {
		t.Fatalf("status %d: %s", recorder.Code, recorder.Body)
	}
	return recorder.Header(), recorder.Body.String()
}

// Eight GPUs with everything, after ten thousand windows of names of their own and whatever requests: few
// series, and no caller's word among them.
func TestEightGPUsAreFewSeries(t *testing.T) {
	var statuses []sampler.Status
	for i := range 8 {
		statuses = append(statuses, h200(i))
	}
	m := New(options(statuses...))
	ask(m)
	for i := range 1000 {
		m.requests.count([3]string{fmt.Sprint("/route", i%50), "GET", fmt.Sprint(200 + i%300)})
	}
	for i := range 10_000 {
		m.Ended(fmt.Sprintf("id%d-caller", i), ended(fmt.Sprintf("run%d-caller", i)), i%3 == 0)
	}
	_, body := scrape(t, m, "")
	series := 0
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "#") {
			series++
		}
	}
	if t.Logf("%d series, %d bytes", series, len(body)); series > 300 || series < 200 {
		t.Errorf("%d series, want at most 300", series)
	}
	if strings.Contains(body, "caller") || strings.Contains(body, "CALLER") {
		t.Errorf("a caller's word is in\n%s", body)
	}
	for _, prefix := range []string{"go_goroutines ", "process_cpu_seconds_total ", "promhttp_metric_handler_requests_total{"} {
		if !strings.Contains(body, "\n"+prefix) {
			t.Errorf("no %s", prefix)
		}
	}
}

func TestFormats(t *testing.T) {
	m := New(options(fixed()...))
	for _, test := range []struct{ accept, contentType, has string }{
		{"", "text/plain; version=0.0.4", "\nwattmark_gpu_energy_joules_total{"},
		{"text/plain", "text/plain; version=0.0.4", "\nwattmark_samples_total{"},
		{"application/openmetrics-text;version=1.0.0", "application/openmetrics-text; version=1.0.0", "\n# EOF\n"},
	} {
		header, body := scrape(t, m, test.accept)
		if got := header.Get("Content-Type"); !strings.HasPrefix(got, test.contentType) {
			t.Errorf("Accept %q: Content-Type %q, want %q", test.accept, got, test.contentType)
		}
		if !strings.Contains(body, test.has) || !strings.Contains(body, `wattmark_gpu_energy_joules_total{gpu="0",method="counter",uuid="GPU-00"} 2.250000125e+06`) {
			t.Errorf("Accept %q: no %q, or no energy, in\n%s", test.accept, test.has, body)
		}
		if strings.Contains(body, "_created") {
			t.Errorf("Accept %q: series of creation times", test.accept)
		}
	}
}

func TestHead(t *testing.T) {
	server := httptest.NewServer(New(options(fixed()...)))
	defer server.Close()
	response, err := http.Head(server.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	err = errors.Join(err, response.Body.Close())
	if err != nil || response.StatusCode != http.StatusOK || len(body) != 0 {
		t.Errorf("HEAD: status %d, %d bytes, err %v; want 200, none, nil", response.StatusCode, len(body), err)
	}
	if got := response.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/plain") {
		t.Errorf("HEAD: Content-Type %q, want text/plain", got)
	}
}

// hung is a GPU whose first read is good and whose second one does not return for an hour.
type hung struct {
	clock sampler.Clock
	reads *atomic.Int64
}

func (h hung) Info() sampler.Info { return sampler.Info{UUID: "GPU-hung", Vendor: "nvidia"} }

func (h hung) Read() (sampler.Reading, error) {
	if h.reads.Add(1) > 1 {
		time.Sleep(time.Hour)
	}
	return sampler.Reading{At: h.clock.Now(), PowerWatts: sampler.Some(500)}, nil
}

func TestScrapeAsksNoDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int64
		clock := sampler.NewClock()
		s, err := sampler.New([]sampler.Device{hung{clock, &reads}}, sampler.Config{
			Interval: time.Second, Retention: time.Minute, Clock: clock, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = s.Run(ctx) }()
		m := New(Options{Interval: time.Second, Now: clock.Now, Latest: s.AppendLatest})
		time.Sleep(500 * time.Millisecond)
		_, fresh := scrape(t, m, "")
		time.Sleep(10 * time.Second) // the second read hangs
		before := time.Now()
		_, stale := scrape(t, m, "")
		if waited := time.Since(before); waited != 0 || reads.Load() != 2 {
			t.Errorf("the scrape took %v, %d reads; want none, 2", waited, reads.Load())
		}
		const power = `wattmark_gpu_power_watts{gpu="0",uuid="GPU-hung"} 500`
		if !strings.Contains(fresh, power) || strings.Contains(stale, "wattmark_gpu_power_watts{") {
			t.Errorf("power shown while fresh: %v, when stale: %v; want true, false",
				strings.Contains(fresh, power), strings.Contains(stale, "wattmark_gpu_power_watts{"))
		}
		cancel()
		time.Sleep(2 * time.Hour) // a bubble ends when its goroutines have
	})
}

func BenchmarkScrape(b *testing.B) {
	var statuses []sampler.Status
	for i := range 8 {
		statuses = append(statuses, h200(i))
	}
	m := New(options(statuses...))
	b.ReportAllocs()
	for b.Loop() {
		request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		request.Header.Set("Accept-Encoding", "gzip") // as Prometheus does
		m.ServeHTTP(httptest.NewRecorder(), request)
	}
}
