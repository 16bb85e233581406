package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"wattmark/agg"
	"wattmark/api"
	"wattmark/sampler"
	"wattmark/window"
)

// How long things may take that the command waits for.
const (
	answerWait = time.Second      // of a daemon, to say that it is there
	startWait  = 3 * time.Second  // of mark-start; the daemon's own limit is 2.5 s
	markWait   = 10 * time.Second // of mark-end, which the command does not wait for
)

// meter measures one window with a daemon: somebody's, or its own. Without a GPU it measures nothing and says why.
type meter struct {
	cmd    *runCmd
	std    streams
	client *client // nil: there is nothing to measure with
	own    *ownDaemon
	run    string // the open window; "": none
	start  sampler.Moment
	clock  sampler.Clock
}

// meter finds a daemon that has GPUs, or starts one.
func (c *runCmd) meter(ctx context.Context, std streams) *meter {
	m := &meter{cmd: c, std: std, clock: sampler.NewClock()}
	if c.Addr != "none" {
		found, err := addrFlags{Timeout: markWait, credentialFlags: c.credentialFlags}.client(c.Addr)
		if err != nil {
			m.say("%v", err)
		} else if state, ok := found.answers(ctx); ok && state.GPUs > 0 {
			m.client = &found
			return m
		}
	}
	own, err := startOwn(ctx, c, std, m.clock)
	if err != nil {
		m.say("nothing is measured: %v", err)
		return m
	}
	m.own, m.client = own, &own.client
	return m
}

func (m *meter) say(format string, args ...any) {
	fmt.Fprintf(m.std.err, "wattmark: "+format+"\n", args...)
}

// answers asks whether a daemon is there.
func (c client) answers(ctx context.Context) (state api.Readiness, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	text, _ := c.do(ctx, "GET", "/readyz", nil) // 503 says something, too
	return state, json.Unmarshal(text, &state) == nil && state.Backend != ""
}

// begin opens the window. Where a daemon refuses (it wants a token, say), one of our own measures instead.
func (m *meter) begin(ctx context.Context) {
	m.start = m.clock.Now()
	if m.client == nil {
		return
	}
	err := m.mark()
	if err != nil && m.own == nil {
		m.say("the daemon refuses, so this process measures by itself: %v", err)
		m.client = nil
		if m.own, err = startOwn(ctx, m.cmd, m.std, m.clock); err == nil {
			m.client = &m.own.client
			err = m.mark()
		}
	}
	if err != nil {
		m.say("nothing is measured: %v", err)
		m.client = nil
	}
}

// mark opens the window at the daemon.
func (m *meter) mark() error {
	gpus, err := m.gpus()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	text, err := m.client.post(ctx, "/v1/mark-start", form(
		"run", m.cmd.Name, "gpus", strings.Join(gpus, ","), "expected_num_gpus", m.cmd.Expected.String()))
	if err != nil {
		return err
	}
	var opened struct {
		Run      string   `json:"run"`
		Warnings []string `json:"warnings"`
	}
	if err := json.Unmarshal(text, &opened); err != nil {
		return fmt.Errorf("the daemon's answer: %w", err)
	}
	for _, warning := range opened.Warnings {
		m.say("%s", warning)
	}
	m.run = opened.Run
	return nil
}

// gpus are those to name to the daemon: a daemon of our own has no others.
func (m *meter) gpus() ([]string, error) {
	if m.own != nil {
		return nil, nil
	}
	return namedHere(m.cmd.GPUs, m.cmd.SysfsRoot)
}

// end closes the window and returns its result; without GPUs that has the reason. It is false where nothing is known.
func (m *meter) end(benchmark agg.Benchmark, known bool) (window.Result, bool) {
	if m.client == nil {
		w := window.Window{Run: cmp.Or(m.cmd.Name, newRun()), Start: m.start, End: m.clock.Now()}
		result := window.Measure(window.Recorded(nil), w, window.Limits{MaxGap: m.cmd.MaxGap})
		result.Backend, result.Versions.Wattmark = "none", version()
		result.Aggregate.Status = agg.StatusNone
		return result, true
	}
	values := form("run", m.run)
	if known {
		values.Set("benchmark", inline(benchmark))
	}
	var result window.Result
	text, err := m.client.post(context.Background(), "/v1/mark-end", values)
	if err == nil {
		err = json.Unmarshal(text, &result)
	}
	if err != nil {
		m.say("not measured: %v", err)
		return result, false
	}
	return result, true
}

// inline is what is known of a benchmark, as the object that it was read from: the daemon may not reach its file, which
// may be large.
func inline(b agg.Benchmark) string {
	object := map[string]any{}
	for key, value := range map[string]sampler.Value{
		"benchmark_start_time_unix": b.Start, "benchmark_end_time_unix": b.End, "duration": b.Duration,
	} {
		if x, ok := value.Known(); ok {
			object[key] = x
		}
	}
	for key, value := range map[string]*int64{
		"completed": b.Work.Completed, "total_input_tokens": b.Work.InputTokens, "total_output_tokens": b.Work.OutputTokens,
	} {
		if value != nil {
			object[key] = *value
		}
	}
	text, _ := json.Marshal(object) // finite numbers under fixed names
	return string(text)
}

func (m *meter) stop() {
	if m.own != nil {
		m.own.stop()
	}
}

// ownDaemon is a daemon of this process, on a socket that nobody else can reach.
type ownDaemon struct {
	client client
	stop   func()
}

// startOwn opens the GPUs and starts a daemon; the error says why there is nothing to measure.
func startOwn(ctx context.Context, c *runCmd, std streams, clock sampler.Clock) (*ownDaemon, error) {
	log := newLogger(std, "error", "text")
	found, err := c.openForRun(ctx, clock, log)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "wattmark-run-")
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(folder, "sock") // in a folder of ours alone
	listener, err := net.Listen("unix", socket)
	if err != nil {
		_ = os.RemoveAll(folder)
		return nil, err
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx)) // ^C ends the command, and then the window is measured
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		serve := serveCmd{
			stateFlags: stateFlags{StateDir: new(string)}, // the window ends with this process
			Interval:   c.Interval, Retention: 24 * time.Hour, ResultsDir: folder, MaxGap: c.MaxGap, AllowSimulated: c.AllowSimulated,
		}
		if err := serve.serve(serving, daemon{backend: found, clock: clock, listener: listener, log: log}); err != nil {
			fmt.Fprintln(std.err, "wattmark:", err)
		}
	}()
	return &ownDaemon{newClient("unix:"+socket, markWait, credentialFlags{}), func() {
		cancel()
		<-ended
		found.close()
		_ = os.RemoveAll(folder)
	}}, nil
}
