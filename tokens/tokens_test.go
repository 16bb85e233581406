package tokens

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/sampler"
)

// server is an inference server of which the test says what its page is.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	page   string
	status int // 0: it hangs
}

func newServer(t *testing.T, page string) *server {
	t.Helper()
	s := &server{page: page, status: 200}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		page, status := s.page, s.status
		s.mu.Unlock()
		if status == 0 {
			<-r.Context().Done()
			return
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, page)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) set(status int, page string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.page = status, page
}

func vllm(engine int, output float64) string {
	return fmt.Sprintf("vllm:prompt_tokens_total{engine=\"%d\"} %v\nvllm:generation_tokens_total{engine=\"%d\"} %v\n", engine, 4*output, engine, output)
}

// reading is a reader that is read when the test says so.
type reading struct {
	*Reader
	t      *testing.T
	client *http.Client
	clock  sampler.Clock
}

func newReading(t *testing.T, names *Names, urls ...string) *reading {
	t.Helper()
	clock := sampler.NewClock()
	r, err := New(Config{
		URLs: urls, Names: names, Interval: time.Second, Retention: time.Hour, Clock: clock, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &reading{r, t, &http.Client{Timeout: 200 * time.Millisecond}, clock}
}

// poll reads and returns when that was, or now if it failed.
func (r *reading) poll() sampler.Moment {
	r.read(r.t.Context(), r.client)
	if at, ok := r.Last(); ok && r.State().Up {
		return at
	}
	return r.clock.Now()
}

func (r *reading) want(from, to sampler.Moment, output float64, resets int) {
	r.t.Helper()
	d := r.Between(from, to)
	got, ok := d.Output.Known()
	if !ok || got < output-1e-6 || got > output+1e-6 || d.Resets != resets {
		r.t.Errorf("%v output tokens (known %v), %d resets; want %v, %d", got, ok, d.Resets, output, resets)
	}
	if input, ok := d.Input.Known(); ok && (input < 4*output-1e-6 || input > 4*output+1e-6) {
		r.t.Errorf("%v input tokens, want %v", input, 4*output)
	}
}

// The pages of each engine are recognised and counted: 17000 tokens out, 70000 in, 70 requests where they count those.
func TestEngines(t *testing.T) {
	for _, names := range Engines() {
		text, err := os.ReadFile("testdata/" + names.Engine + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		page := string(text)
		zero := newTarget(names.Engine, t)
		if err := zero.count(page); err != nil || zero.names == nil || zero.names.Engine != names.Engine {
			t.Fatalf("%s: %v, recognised as %v", names.Engine, err, zero.names)
		}
		if zero.counted != (counts{}) {
			t.Errorf("%s: %v at the first reading, want nothing: it was before", names.Engine, zero.counted)
		}
		zero.series = map[string]float64{} // as if all series were new
		if err := zero.count(page); err != nil {
			t.Fatal(err)
		}
		want := counts{70000, 17000, 70}
		if names.Requests == "" {
			want.requests = 0
		}
		if zero.counted != want {
			t.Errorf("%s: %v, want %v", names.Engine, zero.counted, want)
		}
	}
}

func newTarget(name string, t *testing.T) *target {
	t.Helper()
	return &target{url: name, series: map[string]float64{}}
}

// Several engines behind one port; one of them begins anew; one is added; all of it in one count.
func TestSeveralEngines(t *testing.T) {
	s := newServer(t, vllm(0, 1000)+vllm(1, 500))
	r := newReading(t, nil, s.URL)
	start := r.poll()
	s.set(200, vllm(0, 1100)+vllm(1, 550))
	mid := r.poll()
	r.want(start, mid, 150, 0)
	if d := r.Between(start, mid); d.Requests.OK() || !d.Input.OK() {
		t.Errorf("%+v: requests are not on the page, input tokens are", d)
	}
	s.set(200, vllm(0, 1100)+vllm(1, 30)) // engine 1 crashed and counted 30 since
	again := r.poll()
	r.want(mid, again, 30, 1)
	s.set(200, vllm(0, 1100)+vllm(1, 30)+vllm(2, 70)) // a new one counts from 0
	r.want(again, r.poll(), 70, 0)
	s.set(200, vllm(0, 1200)) // two are away for a moment
	away := r.poll()
	s.set(200, vllm(0, 1200)+vllm(1, 35)+vllm(2, 70))
	r.want(away, r.poll(), 5, 0)
	end, _ := r.Last()
	r.want(start, end, 150+30+70+100+5, 1)
}

// A server that starts later, dies, hangs, answers with something else, and comes back.
func TestServerComesAndGoes(t *testing.T) {
	s := newServer(t, "")
	s.set(503, "")
	r := newReading(t, nil, s.URL)
	before := r.poll()
	if state := r.State(); state.Up || !strings.Contains(state.Detail, "503") {
		t.Errorf("%+v", state)
	}
	s.set(200, "other_metric 5\n")
	r.poll()
	if state := r.State(); state.Up || !strings.Contains(state.Detail, "--tokens-metric") {
		t.Errorf("%+v", state)
	}
	s.set(200, vllm(0, 10))
	start := r.poll()
	if state := r.State(); !state.Up || state.Engine != "vllm" {
		t.Errorf("%+v", state)
	}
	if d := r.Between(before.Add(-time.Second), start); d.Output.OK() {
		t.Errorf("%v tokens of a time when nothing was read", d.Output)
	}
	s.set(200, vllm(0, 60))
	r.poll()
	s.set(0, "")
	r.poll()
	if state := r.State(); state.Up {
		t.Error("up while it hangs")
	}
	s.set(200, vllm(0, 7)) // it was restarted: 7 since then, and what it did between 60 and its end is lost
	end := r.poll()
	r.want(start, end, 57, 1)
	if d := r.Between(start, end); d.Complete(time.Second) {
		t.Error("complete although a server began anew")
	}
	s.Close()
	r.poll()
	if state := r.State(); state.Up || state.Detail == "" {
		t.Errorf("%+v", state)
	}
}

// Two pages are added up; when one does not answer there is no sum.
func TestSeveralPages(t *testing.T) {
	a, b := newServer(t, vllm(0, 100)), newServer(t, vllm(0, 1000))
	r := newReading(t, nil, a.URL, b.URL)
	start := r.poll()
	a.set(200, vllm(0, 110))
	b.set(200, vllm(0, 1300))
	r.want(start, r.poll(), 310, 0)
	b.set(500, "")
	r.poll()
	if state := r.State(); state.Up || strings.Contains(state.Detail, a.URL) || !strings.Contains(state.Detail, b.URL) {
		t.Errorf("%+v", state)
	}
	b.set(200, vllm(0, 1400))
	r.want(start, r.poll(), 410, 0)
}

// Metrics that the user names, and one that is not there.
func TestNamedMetrics(t *testing.T) {
	s := newServer(t, "my_out 5\nmy_in 9\n")
	r := newReading(t, &Names{Engine: "custom", Output: "my_out"}, s.URL)
	start := r.poll()
	s.set(200, "my_out 25\nmy_in 900\n")
	d := r.Between(start, r.poll())
	if d.Output.Or(-1) != 20 || d.Input.OK() || d.Requests.OK() || d.Engine != "custom" {
		t.Errorf("%+v", d)
	}
	none := newReading(t, &Names{Engine: "custom", Output: "not_there"}, s.URL)
	none.poll()
	if state := none.State(); state.Up || !strings.Contains(state.Detail, "not_there") {
		t.Errorf("%+v", state)
	}
}

// Between readings counts go on a line; outside of them nothing is known.
func TestBetween(t *testing.T) {
	r := newReading(t, nil, "http://127.0.0.1:1/")
	origin := sampler.Moment{UnixNano: 1e18, MonoNano: 1e15}
	for i := range 11 { // 100 tokens a second, from 10 s on
		r.points = append(r.points, point{at: origin.Add(time.Duration(10+i) * time.Second), counts: counts{output: 100 * float64(i)}})
	}
	r.counts = Names{}
	at := func(x float64) sampler.Moment { return origin.Add(time.Duration(x * 1e9)) }
	for _, test := range []struct{ from, to, want float64 }{{10, 20, 1000}, {12.25, 13.75, 150}, {10, 10.5, 50}, {19, 22, 100}, {9.95, 11, 100}} {
		r.want(at(test.from), at(test.to), test.want, 0)
	}
	for _, test := range [][2]float64{{9, 12}, {12, 24}, {12, 12}, {13, 12}} {
		if d := r.Between(at(test[0]), at(test[1])); d.Output.OK() {
			t.Errorf("from %v to %v: %v, want nothing", test[0], test[1], d.Output)
		}
	}
	wall := sampler.Moment{UnixNano: at(12).UnixNano}
	r.want(wall, sampler.Moment{UnixNano: at(14).UnixNano}, 200, 0)
	r.points = append(r.points[:3], r.points[8:]...) // silent for 6 s
	if d := r.Between(at(11), at(19)); d.MaxGap != 6*time.Second || d.Complete(time.Second) || d.Output.Or(0) != 800 {
		t.Errorf("%+v, want a gap of 6 s", d)
	}
}

// Run reads at once, at the interval, and when asked; it ends with its context.
func TestRun(t *testing.T) {
	s := newServer(t, vllm(0, 1))
	r, err := New(Config{URLs: []string{s.URL}, Interval: time.Hour, Retention: 2 * time.Hour, Clock: sampler.NewClock(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	r.Poll(ctx)
	first, _ := r.Last()
	s.set(200, vllm(0, 9))
	r.Poll(ctx)
	last, ok := r.Last()
	if d := r.Between(first, last); !ok || d.Output.Or(0) != 8 {
		t.Errorf("%+v", d)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	r.Poll(ctx) // nobody reads any more: it returns
	for _, bad := range []string{"", "127.0.0.1:8000", "file:///etc/passwd", "http://", "unix:/x"} {
		if _, err := New(Config{URLs: []string{bad}}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// The line reader: what is a sample, and what is not.
func TestSample(t *testing.T) {
	for line, want := range map[string]struct {
		name, key string
		value     float64
	}{
		"a 1":                             {"a", "a", 1},
		"a:b_total{} 1.5e3":               {"a:b_total", "a:b_total{}", 1500},
		`a{b="} \" , c",d="e"} 2 17956`:   {"a", `a{b="} \" , c",d="e"}`, 2},
		`a{b="\\"} 3 # {trace="x"} 1 2`:   {"a", `a{b="\\"}`, 3},
		"  a\t4  \r\n":                    {"a", "a", 4},
		"# HELP a 5":                      {},
		"a":                               {},
		"a{b=\"c\" 6":                     {},
		`a{b="c} 7`:                       {},
		"a NaN":                           {},
		"a -1":                            {},
		"a +Inf":                          {},
		"":                                {},
		"{a=\"b\"} 1":                     {},
		strings.Repeat("x", 100000) + " ": {},
	} {
		name, key, value, ok := sample(line)
		if name != want.name || key != want.key || value != want.value || ok != (want.name != "") {
			t.Errorf("%.60q: %q %q %v %v, want %+v", line, name, key, value, ok, want)
		}
	}
}

func FuzzCount(f *testing.F) {
	f.Add(vllm(0, 5), vllm(0, 3))
	f.Add("vllm:generation_tokens_total{", "vllm:generation_tokens_total 1e308\n")
	f.Fuzz(func(t *testing.T, first, second string) {
		page := &target{series: map[string]float64{}}
		_ = page.count(first)
		before := page.counted
		_ = page.count(second)
		if page.counted.output < before.output || page.counted.input < before.input {
			t.Errorf("counts fall: %v, then %v", before, page.counted)
		}
	})
}
