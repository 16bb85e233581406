package metrics

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"wattmark/sampler"
)

// The accept headers of Prometheus 2.42 and 3, of curl, and of some that ask for what no page is kept of.
func accepts() []string {
	return []string{
		"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
		"*/*", "", "text/plain", "text/plain;version=0.0.4;escaping=underscores", "application/openmetrics-text;version=0.0.1",
		"text/plain;version=0.0.4;escaping=dots", "application/openmetrics-text;version=1.0.0;escaping=values",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", "image/png", "text/plain; q=x;;",
		strings.Repeat("text/html, ", 200) + "application/openmetrics-text;version=1.0.0",
	}
}

// A page that keeps its words from scrape to scrape is the one that client_golang writes of the same numbers, byte for
// byte, with the same headers: whichever format comes first, while GPUs and series come and go, and with every kind of number.
func TestTextIsTheEncoders(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	numbers := []float64{
		0, math.Copysign(0, -1), 1, -1, 2, 0.1, 1e6, 123456789, 1e20, 1e21, 1e-7, math.MaxFloat64, math.SmallestNonzeroFloat64,
		math.Inf(1), math.Inf(-1), math.NaN(), 1785585600.25,
	}
	number := func() sampler.Value { return sampler.Some(numbers[random.IntN(len(numbers))]) }
	gpus := fixed()
	o := options()
	o.Latest = func(to []sampler.Status) []sampler.Status { return append(to, gpus...) }
	m := New(o)
	served := served()
	m.Serving(func() Serving { return served })
	volatile := regexp.MustCompile(`(?m)^((go_goroutines|go_threads|process_\w+) |.* value:).*\n`) // and those of protocol buffers
	page := func(handler http.Handler, accept, query string) (http.Header, string) {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, "/metrics"+query, nil)
		request.Header.Set("Accept", accept)
		handler.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusOK {
			t.Fatalf("status %d", recorder.Code)
		}
		return recorder.Header(), volatile.ReplaceAllString(recorder.Body.String(), "")
	}
	for i := range 400 {
		switch random.IntN(6) {
		case 0:
			gpus = gpus[:random.IntN(len(gpus)+1)]
		case 1:
			gpus = append(gpus, h200(random.IntN(9)))
		case 2:
			m.Ended("id", ended("a \"run\""), random.IntN(2) == 0)
		case 3:
			m.requests.count([3]string{"/v1/" + string(rune('a'+random.IntN(26))), "GET", "200"})
		case 4:
			served.Engine, served.InputPerSecond = string([]byte{byte(random.IntN(256)), '\\', '"'}), number()
		}
		for j := range gpus {
			gpus[j].Latest.PowerWatts, gpus[j].CounterJoules = number(), number()
			gpus[j].Reads = random.Uint64N(1e9)
			gpus[j].Calls.Counts[random.IntN(12)] = uint64(random.IntN(1e9))
			gpus[j].Info.Driver = []string{"590.48.01", "590.48.01 \n#", ""}[random.IntN(3)]
		}
		accept, query := accepts()[random.IntN(len(accepts()))], ""
		if random.IntN(8) == 0 {
			query = "?name[]=wattmark_gpu_power_watts"
		}
		m.handler.atOnce.Add(1) // as of the scrape after it
		wantHeader, want := page(m.handler.rest, accept, query)
		m.handler.atOnce.Add(-1)
		gotHeader, got := page(m, accept, query)
		if got != want || gotHeader.Get("Content-Type") != wantHeader.Get("Content-Type") || gotHeader.Get("Vary") != wantHeader.Get("Vary") {
			t.Fatalf("scrape %d, Accept %q%s: got %v, want %v\n%s", i, accept, query, gotHeader, wantHeader, difference(got, want))
		}
	}
}

// difference is the first line that differs.
func difference(got, want string) string {
	g, w := strings.SplitAfter(got, "\n"), strings.SplitAfter(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "got " + g[i] + "want " + w[i]
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// More scrapes at a time than anyone needs are told to come again, and counted.
func TestTooManyScrapes(t *testing.T) {
	m := New(options(fixed()...))
	m.handler.atOnce.Add(mostScrapes)
	recorder := httptest.NewRecorder()
	m.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if recorder.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", recorder.Code)
	}
	m.handler.atOnce.Add(-mostScrapes)
	_, page := scrape(t, m, "") // the second of two
	for _, want := range []string{
		"promhttp_metric_handler_requests_in_flight 1", `promhttp_metric_handler_requests_total{code="200"} 1`,
		`promhttp_metric_handler_requests_total{code="500"} 0`, `promhttp_metric_handler_requests_total{code="503"} 1`,
	} {
		if !strings.Contains(page, "\n"+want+"\n") {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
}

// A family that cannot be written is left out, counted and logged; the others are there.
func TestOneBadFamily(t *testing.T) {
	var log strings.Builder
	o := options(fixed()...)
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	m := New(o)
	m.tellers(bad{m.gauge("", "Without a name.")})
	for _, accept := range accepts()[:3] {
		log.Reset()
		_, page := scrape(t, m, accept)
		if !strings.Contains(page, "\nwattmark_windows_open 2") || strings.Contains(page, "Without a name") || strings.Contains(page, "9.876543215e+08") {
			t.Errorf("Accept %q: got\n%s", accept, page)
		}
		if !strings.Contains(log.String(), "error encoding metric family") {
			t.Errorf("log %q", log.String())
		}
	}
	_, page := scrape(t, m, "")
	for _, want := range []string{`{cause="encoding"} 7`, `{cause="gathering"} 0`} {
		if !strings.Contains(page, "\npromhttp_metric_handler_errors_total"+want+"\n") {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
}

type bad struct{ family *family }

func (b bad) tell() { b.family.set(987654321.5) }
