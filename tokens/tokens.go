// Package tokens reads how many tokens an inference server has handled from its own metrics, beside the GPUs' power.
// It counts; what a token costs is for those who know the energy.
package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"wattmark/sampler"
)

// Names are the metrics that count. Each is the name of a sample as the page has it: of a histogram with _sum.
type Names struct {
	Engine   string // "vllm"; "custom" where the user names them
	Input    string // prompt tokens; "": not counted
	Output   string // generated tokens
	Requests string // finished requests; "": not counted
}

// Engines are the inference servers whose metrics are known.
func Engines() []Names {
	return []Names{
		{"vllm", "vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:request_success_total"},
		{"sglang", "sglang:prompt_tokens_total", "sglang:generation_tokens_total", "sglang:num_requests_total"},
		{"tensorrt-llm", "trtllm_prompt_tokens_total", "trtllm_generation_tokens_total", "trtllm_request_success_total"},
		// TGI counts a request's tokens when it ends.
		{"tgi", "tgi_request_input_length_sum", "tgi_request_generated_tokens_sum", "tgi_request_success"},
		{"llama.cpp", "llamacpp:prompt_tokens_total", "llamacpp:tokens_predicted_total", ""},
	}
}

// Config says what to read.
type Config struct {
	URLs      []string // of metrics pages; their counts are added up
	Names     *Names   // nil: found out by the page
	Interval  time.Duration
	Retention time.Duration
	Clock     sampler.Clock
	Logger    *slog.Logger
}

// Reader reads the pages and keeps what they said. All methods are safe for concurrent use.
type Reader struct {
	config  Config
	targets []*target
	ask     chan chan struct{}

	mu     sync.Mutex
	points []point // oldest first
	state  State
	counts Names // what all pages count: "" where one does not
}

// State is what the last reading was like.
type State struct {
	Engine string // "": none was recognised yet
	Up     bool
	Detail string // why not, in words
}

// point is all counts at one moment. They begin at 0 and never fall, whatever servers do.
type point struct {
	at     sampler.Moment
	counts counts
	resets int // so far
}

// counts are those of one or several pages.
type counts struct{ input, output, requests float64 }

func (c counts) plus(d counts) counts {
	return counts{c.input + d.input, c.output + d.output, c.requests + d.requests}
}

// New returns a reader; Run starts it.
func New(config Config) (*Reader, error) {
	r := &Reader{config: config, ask: make(chan chan struct{})}
	for _, address := range config.URLs {
		parsed, err := url.Parse(address)
		if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
			return nil, fmt.Errorf("%.200q is not the URL of a metrics page, such as http://127.0.0.1:8000/metrics", address)
		}
		r.targets = append(r.targets, &target{url: address, shown: parsed.Redacted(), names: config.Names, series: map[string]float64{}})
	}
	if len(r.targets) == 0 {
		return nil, errors.New("no metrics page to read")
	}
	r.state.Detail = "not read yet"
	return r, nil
}

// Run reads the pages at the interval, and when asked, until ctx ends.
func (r *Reader) Run(ctx context.Context) error {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // it is on the same host: unpacking costs more than copying
	transport.MaxIdleConnsPerHost = 1
	client := &http.Client{Transport: transport, Timeout: min(max(r.config.Interval, 500*time.Millisecond), 2*time.Second)}
	defer transport.CloseIdleConnections()
	tick := time.NewTicker(r.config.Interval)
	defer tick.Stop()
	r.read(ctx, client)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			r.read(ctx, client)
		case done := <-r.ask:
			r.read(ctx, client)
			close(done)
		}
	}
}

// Poll reads the pages now and returns when that is done or ctx ends.
func (r *Reader) Poll(ctx context.Context) {
	done := make(chan struct{})
	select {
	case r.ask <- done:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// read reads all pages at once, and keeps the sum if each that ever answered has answered.
func (r *Reader) read(ctx context.Context, client *http.Client) {
	before := time.Now()
	var wait sync.WaitGroup
	for _, t := range r.targets {
		wait.Go(func() { t.read(ctx, client) })
	}
	wait.Wait()
	if ctx.Err() != nil {
		return
	}
	counting := Names{Input: "all", Requests: "all"}
	p := point{at: r.config.Clock.Middle(before, time.Now())}
	state := State{Up: true}
	var engines, wrong []string
	for _, t := range r.targets {
		if t.err != nil {
			state.Up = false
			wrong = append(wrong, fmt.Sprintf("%s: %v", t.shown, t.err))
		}
		if t.names != nil && !strings.Contains(strings.Join(engines, ", "), t.names.Engine) {
			engines = append(engines, t.names.Engine)
		}
		if t.seen.Input == "" {
			counting.Input = ""
		}
		if t.seen.Requests == "" {
			counting.Requests = ""
		}
		p.counts, p.resets = p.counts.plus(t.counted), p.resets+t.resets
	}
	state.Engine, state.Detail = strings.Join(engines, ", "), strings.Join(wrong, "; ")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log(state)
	r.state, r.counts = state, counting
	if !state.Up {
		return
	}
	r.points = append(r.points, p)
	if oldest := p.at.Add(-r.config.Retention); r.points[0].at.Sub(oldest) < 0 && len(r.points) > 1 {
		r.points = r.points[1:] // append copies when the space behind runs out
	}
}

// log tells changes only.
func (r *Reader) log(now State) {
	switch {
	case now.Up && !r.state.Up:
		r.config.Logger.Info("tokens are being read", "engine", now.Engine)
	case !now.Up && (r.state.Up || r.state.Detail == "not read yet"):
		r.config.Logger.Warn("tokens cannot be read", "err", now.Detail)
	}
}

// State returns what the last reading was like.
func (r *Reader) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// First returns the earliest reading of the pages that is remembered.
func (r *Reader) First() (at sampler.Moment, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.points) == 0 {
		return sampler.Moment{}, false
	}
	return r.points[0].at, true
}

// Last returns when the pages were last read.
func (r *Reader) Last() (at sampler.Moment, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.points) == 0 {
		return sampler.Moment{}, false
	}
	return r.points[len(r.points)-1].at, true
}
