package api

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"wattmark/sampler"
	"wattmark/state"
	"wattmark/tokens"
	"wattmark/window"
)

// pollWait is how long a mark waits for a GPU; one that hangs gets its reason instead.
const pollWait = 500 * time.Millisecond

// followWait is how long mark-end looks for the step of the energy counters: with the reading before it, it answers
// within 150 ms.
const followWait = 130 * time.Millisecond

// Backend is what the daemon reads GPUs with.
type Backend struct {
	Name     string   `json:"name"`     // "nvidia", "amd", "amd-sysfs", "sim", "none"
	Problems []string `json:"problems"` // why there is nothing to measure, and what to do
	// Missing are GPUs that were selected and are not there, in words: their driver call hangs, or wakes them up. They
	// are among the problems, too.
	Missing []string `json:"-"`
	// Absent is how many GPUs that are, as far as one can tell.
	Absent int `json:"-"`
	// Waking says that some of them have been asked so lately that they may just be waking up.
	Waking bool `json:"-"`
}

// Config is what a server needs.
type Config struct {
	Sampler      *sampler.Sampler
	Backend      func() Backend
	Limits       window.Limits
	AggExtra     bool     // percentiles of power go into aggregates too
	Results      *os.Root // the only folder in which callers can name files; nil: there is none yet
	ResultsDir   string   // its path; opened again where another folder has come there
	Node         string   // goes into our files' names; may be empty
	AllowedHosts []string
	Version      string
	WriteToken   func() (string, error) // what POST must carry; nil: nothing
	Logger       *slog.Logger
	// Ended is told of each window that ended, and each time that one is concluded again; nil: nobody is.
	Ended func(id string, r window.Result, again bool)
	// Visible says which GPUs 'visible' means: those that the daemon's environment shows to programs. nil: no such name.
	Visible func() ([]string, error)
	// Flush is called when a window has been measured, before the answer, and at the end: what else is written of the
	// readings is to be written by then. It must be quick; nil: nothing is.
	Flush  func()
	Tokens *tokens.Reader // what an inference server counts; nil: none is read
	// MaxAggregate is the largest aggregate, in bytes, that there is memory for; 0: agg.MaxAggregate.
	MaxAggregate int64

	Boot  string       // of the kernel, whose monotonic times this process stamps; "": not known
	State *state.Store // what a restart resumes from; nil: windows end with this process
}

// Server answers HTTP requests. Make it with New.
type Server struct {
	config  Config
	marks   window.Marks
	ended   archive
	begun   begun
	load    load
	leaving atomic.Bool   // Interrupt was called
	before  []state.Ended // windows that ended before this process began, the newest last
	folder  folder
	hosts   []string
	mux     *http.ServeMux

	viewers viewers
}

// New returns a server.
func New(config Config) *Server {
	hosts := append([]string{"localhost"}, config.AllowedHosts...)
	if own, err := os.Hostname(); err == nil {
		hosts = append(hosts, ownNames(own)...)
	}
	if config.Flush == nil {
		config.Flush = func() {}
	}
	config.Limits.Interval = config.Sampler.Interval()
	s := &Server{config: config, hosts: hosts, load: newLoad(), folder: folder{path: config.ResultsDir, root: config.Results}, mux: http.NewServeMux()}
	for pattern, handle := range s.routes() {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := handle(w, r); err != nil {
				s.fail(w, r, err)
			}
		})
	}
	return s
}

// ownNames are what a host of this name is called: whole, and as the others in its network call it.
func ownNames(host string) []string {
	short, _, _ := strings.Cut(host, ".")
	return []string{host, short}
}

// routes are the API. docs/api.md and openapi.json describe each.
func (s *Server) routes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"POST /v1/mark-start":          s.markStart,
		"POST /v1/mark-end":            s.markEnd,
		"POST /v1/measure":             s.measure,
		"GET /v1/energy":               s.energy,
		"GET /v1/windows":              s.windows,
		"GET /v1/windows/{run}":        s.window,
		"GET /v1/windows/{run}/report": s.report,
		"GET /v1/gpus":                 s.gpus,
		"GET /v1/readings":             s.readings,
		"GET /v1/time":                 s.time,
		"GET /v1/live":                 s.live,
		"GET /v1/events":               s.events,
		"GET /problems/{code}":         s.problem,
		"GET /openapi.json":            s.openapi,
		"GET /healthz":                 s.healthz,
		"GET /readyz":                  s.readyz,
	}
}

// Mount adds a route of another package.
func (s *Server) Mount(pattern string, handler http.Handler) { s.mux.Handle(pattern, handler) }

// OpenWindows is how many windows are open.
func (s *Server) OpenWindows() int { return len(s.marks.All()) }

// Handler is the server with its guards: it lets through what curl, Prometheus and a page of our own send, and refuses
// foreign hosts and cross-origin requests.
func (s *Server) Handler() http.Handler {
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		open := slices.Contains([]string{"/metrics", "/healthz", "/readyz"}, r.URL.Path)
		if !open && !overSocket(r) && !s.hostAllowed(r.Host) {
			s.fail(w, r, fmt.Errorf("%w %.100q: it is for localhost, IP addresses and --allowed-host", errHost, r.Host))
			return
		}
		if err := origin.Check(r); err != nil {
			s.fail(w, r, fmt.Errorf("%w: %w", errOrigin, err))
			return
		}
		if _, pattern := s.mux.Handler(r); pattern == "" {
			s.noRoute(w, r)
			return
		}
		if err := s.authorize(r); err != nil {
			s.fail(w, r, err)
			return
		}
		s.mux.ServeHTTP(w, r)
	})
}

// noRoute answers 404 and 405 as problem+json; ServeMux knows which it is and what is allowed.
func (s *Server) noRoute(w http.ResponseWriter, r *http.Request) {
	plain := &discard{header: http.Header{}}
	s.mux.ServeHTTP(plain, r)
	if plain.status == http.StatusMethodNotAllowed {
		allow := plain.header.Get("Allow")
		w.Header().Set("Allow", allow)
		s.fail(w, r, fmt.Errorf("%w: %s takes %s", errMethod, r.URL.Path, allow))
		return
	}
	s.fail(w, r, fmt.Errorf("%w: %.100q; GET /openapi.json lists them", errNoSuchPage, r.URL.Path))
}

// discard is a ResponseWriter of which only status and header matter.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// overSocket reports that the request came over a unix socket, which no web page can reach under any name.
func overSocket(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && addr.Network() == "unix"
}

// hostAllowed guards against DNS rebinding: a page of a foreign name that resolves to us carries that name as Host.
func (s *Server) hostAllowed(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if host == "" || net.ParseIP(host) != nil { // "": HTTP/1.0, or a unix socket
		return true
	}
	return slices.ContainsFunc(s.hosts, func(allowed string) bool { return strings.EqualFold(host, allowed) })
}

// choose returns the GPUs that names mean; all if there are none.
func (s *Server) choose(names []string) ([]sampler.Info, error) {
	infos := s.config.Sampler.Infos()
	if len(infos) == 0 {
		backend, err := s.config.Backend(), errNoGPU
		if backend.Waking {
			err = errWaking
		}
		return nil, fmt.Errorf("%w: %s", err, strings.Join(backend.Problems, "; "))
	}
	if len(names) == 1 && names[0] == "visible" && s.config.Visible != nil {
		shown, err := s.config.Visible()
		if err != nil {
			return nil, fmt.Errorf("%w: visible: %w", sampler.ErrUnknownGPU, err)
		}
		names = shown
	}
	chosen, err := sampler.Choose(infos, names)
	return chosen, s.config.Backend().explain(err)
}

func idsOf(infos []sampler.Info) []string {
	ids := make([]string, len(infos))
	for i, info := range infos {
		ids[i] = info.ID()
	}
	return ids
}

// poll reads the GPUs now and returns in words what could not be read. A client that goes away meanwhile does not spoil
// the reading: its window may be measured from it all the same. A read that fails is tried twice more: a mark without
// one costs the whole window.
func (s *Server) poll(ids []string) []string { return s.pollSince(ids, sampler.Moment{}) }

// pollSince is poll for readings at or after a moment: a driver that stamps its readings itself may at first answer
// with one from before.
func (s *Server) pollSince(ids []string, since sampler.Moment) []string {
	const tries, pause = 3, 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), pollWait)
	defer cancel()
	for try := 1; ; try++ {
		err := s.config.Sampler.Poll(ctx, ids...)
		if err == nil && s.readSince(ids, since) {
			return []string{}
		}
		if try == tries || ctx.Err() != nil {
			if err == nil {
				return []string{}
			}
			return strings.Split(err.Error(), "\n")
		}
		time.Sleep(pause)
	}
}

// readSince reports that the newest reading of each of these GPUs is at or after the moment.
func (s *Server) readSince(ids []string, since sampler.Moment) bool {
	if since == (sampler.Moment{}) {
		return true
	}
	for _, status := range s.config.Sampler.Latest() {
		if slices.Contains(ids, status.Info.ID()) && status.Latest.At.Sub(since) < 0 {
			return false
		}
	}
	return true
}

// follow makes the readings after a mark that show when the energy counters stepped.
func (s *Server) follow(ids []string) {
	ctx, cancel := context.WithTimeout(context.Background(), followWait)
	defer cancel()
	s.config.Sampler.Follow(ctx, ids...)
}

// justNow reports that m is so recent that the next step of the counters dates the count at m.
func (s *Server) justNow(m sampler.Moment) bool {
	return s.config.Sampler.Now().Sub(m) < followWait/2
}

// windowFile is the name of the file that keeps a run's result and readings.
func (s *Server) windowFile(run string) string {
	if s.config.Node != "" {
		run += "_" + s.config.Node
	}
	return "power_window_" + run + ".json"
}
