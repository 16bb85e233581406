package api

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/sampler"
	"wattmark/state"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// daemon is a server over simulated GPUs, with a results folder of its own.
type daemon struct {
	*testing.T
	server  *Server
	handler http.Handler
	samples *sampler.Sampler
	store   *state.Store // nil: none
	gpus    []*sim.GPU
	dir     string
	doc     document
}

// options are how a test's daemon differs from the usual one.
type options struct {
	spec      string // of the GPUs; "none": there are none
	retention time.Duration
	memory    int64 // that readings may take, in bytes; 0: no bound
	calibrate bool  // the sampler finds out how the energy counters tick, as in production
	config    func(*Config)
	dir       string
	boot      string        // of the state in dir; empty: there is none
	clock     sampler.Clock // of all daemons of a bubble, whose time the kernel's clock does not follow; zero: a new one
}

const eight = "8xH200,load=decode,seed=7"

// startDaemon starts one. Inside a synctest bubble its time is that of the bubble.
func startDaemon(t *testing.T, o options) *daemon {
	t.Helper()
	d := &daemon{T: t, dir: o.dir, doc: readDocument(t)}
	if d.dir == "" {
		d.dir = t.TempDir()
	}
	clock := o.clock
	if clock == (sampler.Clock{}) {
		clock = sampler.NewClock()
	}
	var devices []sampler.Device
	if o.spec == "" {
		o.spec = eight
	}
	if o.spec != "none" {
		gpus, err := sim.Parse(o.spec, "node", clock)
		if err != nil {
			t.Fatal(err)
		}
		for _, gpu := range gpus {
			devices = append(devices, gpu)
		}
		d.gpus = gpus
	}
	if o.retention == 0 {
		o.retention = time.Hour
	}
	logger := slog.New(slog.DiscardHandler)
	var err error
	sampling := sampler.Config{
		Interval: time.Second, Retention: o.retention, Memory: o.memory, Calibrate: o.calibrate, Clock: clock, Logger: logger,
	}
	if o.boot != "" {
		d.store, err = state.Open(state.Config{Dir: d.dir, Boot: o.boot, Host: "node", Clock: clock, Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		for _, device := range devices {
			d.store.Know(device.Info())
		}
		sampling.Keep = d.store.Keep
	}
	d.samples, err = sampler.New(devices, sampling)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	config := Config{
		Sampler: d.samples, Backend: func() Backend { return Backend{Name: "sim"} }, Results: root, ResultsDir: d.dir,
		Limits: window.Limits{MaxGap: 3 * time.Second, AllowSimulated: true}, Version: "1.2.3", Logger: logger,
	}
	if d.store != nil {
		config.State, config.Boot = d.store, o.boot
	}
	if o.config != nil {
		o.config(&config)
	}
	d.server = New(config)
	d.handler = d.server.Handler()
	go func() { _ = d.samples.Run(t.Context()) }()
	if d.store != nil {
		d.samples.Restore(d.store.Earlier(clock.Now().Add(-o.retention)))
		d.server.Resume()
	}
	return d
}

// inBubble runs test in fake time, with a daemon that has sampled for ten and a half seconds.
func inBubble(t *testing.T, o options, test func(d *daemon)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := startDaemon(t, o)
		time.Sleep(10500 * time.Millisecond)
		synctest.Wait()
		if strings.Contains(o.spec, "hang:") {
			defer time.Sleep(time.Minute) // the driver call returns: a bubble ends when all in it has
		}
		test(d)
	})
}

// reply is an answer.
type reply struct {
	d      *daemon
	status int
	header http.Header
	text   []byte
}

func (d *daemon) get(target string) reply { d.Helper(); return d.do(d.request("GET", target, "", "")) }

// post sends a body: JSON if it begins with a brace, form fields if not.
func (d *daemon) post(path, body string) reply {
	d.Helper()
	kind := "application/x-www-form-urlencoded"
	if strings.HasPrefix(body, "{") {
		kind = "application/json"
	}
	return d.do(d.request("POST", path, kind, body))
}

func (d *daemon) request(method, target, kind, body string) *http.Request {
	r := httptest.NewRequestWithContext(d.Context(), method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:9844"
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	return r
}

// do sends a request and checks that the answer is as openapi.json says.
func (d *daemon) do(r *http.Request) reply {
	d.Helper()
	recorder := httptest.NewRecorder()
	d.handler.ServeHTTP(recorder, r)
	got := reply{d, recorder.Code, recorder.Header(), recorder.Body.Bytes()}
	_, pattern := d.server.mux.Handler(r)
	for _, wrong := range d.doc.documented(pattern, got) {
		d.Errorf("%s %.200s: not as in openapi.json: %s", r.Method, r.URL, wrong)
	}
	return got
}

// want checks the status.
func (r reply) want(status int) reply {
	r.d.Helper()
	if r.status != status {
		r.d.Fatalf("status %d, want %d: %s", r.status, status, r.text)
	}
	return r
}

// problem checks status and code of a problem.
func (r reply) problem(status int, code string) Problem {
	r.d.Helper()
	r.want(status)
	var p Problem
	r.decode(&p)
	if p.Code != code || p.Status != status || p.Type != "/problems/"+code || p.Title == "" || p.Detail == "" {
		r.d.Errorf("problem %+v, want %d %s", p, status, code)
	}
	if kind := r.header.Get("Content-Type"); kind != "application/problem+json" {
		r.d.Errorf("problem %s has content type %q", code, kind)
	}
	return p
}

func (r reply) decode(to any) {
	r.d.Helper()
	if err := json.Unmarshal(r.text, to); err != nil {
		r.d.Fatalf("%v in %s", err, r.text)
	}
	if !bytes.HasSuffix(r.text, []byte("}\n")) {
		r.d.Errorf("the answer does not end with an object and a newline: %q", r.text)
	}
}

// result is the answer of mark-end, measure or energy.
func (r reply) result() window.Result {
	r.d.Helper()
	var result window.Result
	r.want(http.StatusOK).decode(&result)
	return result
}

// window is the answer of mark-start.
func (r reply) window() started {
	r.d.Helper()
	var s started
	r.want(http.StatusCreated).decode(&s)
	return s
}

// truth is what the result's GPUs used between its edges, exactly.
func (d *daemon) truth(r window.Result) float64 {
	sum := 0.0
	for _, gpu := range d.gpus {
		for _, measured := range r.GPUs {
			if measured.UUID == gpu.Info().UUID {
				sum += gpu.TrueJoules(r.Start.Wall(), r.End.Wall())
			}
		}
	}
	return sum
}

// true checks that a result is valid, and right within its bound.
func (d *daemon) wantTrue(r window.Result) {
	d.Helper()
	joules, ok := r.Energy().Known()
	bound, bounded := r.Bound().Known()
	if !r.Valid() || !ok || !bounded || len(r.GPUs) == 0 {
		d.Fatalf("reasons %v, %v J ± %v of %d GPUs, want a valid result", r.AllReasons(), r.Energy(), r.Bound(), len(r.GPUs))
	}
	truth := d.truth(r)
	if math.Abs(joules-truth) > bound || bound > 0.05*truth {
		d.Errorf("%.3f s: %.3f J, want %.3f ± %.3f J (and a bound of at most 5 %%)", r.Duration().Seconds(), joules, truth, bound)
	}
}

func (d *daemon) write(name, text string) {
	d.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o644); err != nil {
		d.Fatal(err)
	}
}

func (d *daemon) read(name string) []byte {
	d.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		d.Fatal(err)
	}
	return text
}

func (d *daemon) json(name string) map[string]any {
	d.Helper()
	var object map[string]any
	if err := json.Unmarshal(d.read(name), &object); err != nil {
		d.Fatalf("%s: %v", name, err)
	}
	return object
}
