package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"wattmark/api"
	"wattmark/internal/atomicfile"
	"wattmark/metrics"
	"wattmark/page"
	"wattmark/sampler"
	"wattmark/window"
)

// serveCmd is the daemon.
type serveCmd struct {
	backendFlags
	accessFlags
	csvFlags
	stateFlags
	dcgmFlags
	watchFlags
	tokensFlags
	Listen         string        `default:"127.0.0.1:9844" help:"Address, or unix:/path/to.sock. Port 0 picks one."`
	PortFile       string        `type:"path" placeholder:"FILE" help:"Write the port here once it is open."`
	Interval       time.Duration `default:"1s" help:"Between readings of a GPU: 10ms to 60s."`
	Retention      time.Duration `default:"24h" help:"How long readings stay in memory."`
	ResultsDir     string        `default:"." type:"path" help:"The only folder in which HTTP callers can name files."`
	MaxGap         time.Duration `default:"3s" help:"Longest time without a reading that a power method bears."`
	AggExtra       bool          `help:"Put the percentiles of power into aggregates too (p75_ and p90_ keys of later InferenceX schemas)."`
	AllowSimulated bool          `help:"Let results of simulated GPUs be valid."`
	Node           string        `help:"Name of this node in the names of its files. Default: none; in a Slurm job of several nodes the short host name."`
	AllowedHost    []string      `placeholder:"NAME" help:"Further Host names to answer to."`
	LogLevel       string        `default:"info" enum:"debug,info,warn,error" help:"debug, info, warn or error."`
	LogFormat      string        `default:"text" enum:"text,json" help:"text or json."`
}

// Validate is called by kong: what it refuses is a usage error.
func (c *serveCmd) Validate() error {
	switch {
	case c.Interval < 10*time.Millisecond || c.Interval > time.Minute:
		return fmt.Errorf("--interval is 10ms to 60s, not %v", c.Interval)
	case c.Retention < c.Interval:
		return fmt.Errorf("--retention %v is shorter than --interval %v", c.Retention, c.Interval)
	case !validNode(c.Node):
		return errors.New("--node is at most 36 of A-Z a-z 0-9 . _ -: it goes into file names")
	case c.Listen == "":
		return errors.New("--listen is an address or unix:/path")
	case c.MaxGap <= 0:
		return errors.New("--max-gap must be positive")
	}
	return errors.Join(c.checkState(), c.checkTokens())
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, std streams) error {
	if err := c.check(); err != nil {
		return exitFor(std, usageError{err})
	}
	c.Node = cmp.Or(c.Node, slurmNode())
	log := newLogger(std, c.LogLevel, c.LogFormat)
	ctx, err := c.watch(ctx, log)
	if err != nil {
		return exitFor(std, err)
	}
	runLightly(ctx, log)
	clock := sampler.NewClock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	anew := &reexec{cancel: cancel, log: log}
	c.mismatch = anew.mismatch
	found, err := c.open(clock, log)
	if err != nil {
		return exitFor(std, err)
	}
	defer found.close()
	listener, err := inherited()
	if listener == nil && err == nil {
		listener, err = c.listen(c.Listen)
	}
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	if err := c.writePort(listener); err != nil {
		return err
	}
	err = c.serve(ctx, daemon{backend: found, clock: clock, listener: listener, log: log, service: true, anew: anew})
	if err != nil {
		return err
	}
	return anew.do()
}

// daemon is what serve works with.
type daemon struct {
	backend
	clock    sampler.Clock
	listener net.Listener
	log      *slog.Logger
	anew     *reexec
	service  bool // the process is the daemon and no more: what it tells systemd is of the unit
}

func (c *serveCmd) serve(ctx context.Context, d daemon) error {
	start := time.Now()
	store := c.openState(c.ResultsDir, c.Node, d.clock, d.log)
	defer closeState(store, d.log)
	config := sampler.Config{
		Interval: c.Interval, Retention: c.Retention, Start: start, Calibrate: true, Clock: d.clock, MaxGap: c.MaxGap, Logger: d.log,
	}
	if store != nil {
		config.Keep = store.Keep
		for _, device := range d.devices {
			store.Know(device.Info())
		}
	}
	samples, err := sampler.New(d.devices, config)
	if err != nil {
		return err
	}
	go func() {
		if err := pulse(ctx, start, c.Interval); err != nil {
			d.log.Debug("readings may begin some milliseconds late", "err", err)
		}
	}()
	if err := os.MkdirAll(c.ResultsDir, 0o755); err != nil {
		d.log.Warn("results folder not made", "err", err)
	}
	results, err := os.OpenRoot(c.ResultsDir)
	if err != nil {
		d.log.Warn("no results folder: callers cannot name files", "err", err)
	} else {
		defer func() { _ = results.Close() }()
		if n, err := atomicfile.Sweep(results, time.Hour); n > 0 || err != nil {
			d.log.Info("half-written files of a killed process removed", "files", n, "err", err)
		}
	}
	folder, err := filepath.Abs(c.ResultsDir)
	if err != nil {
		return err
	}
	csv := c.openCSV(samples, d.clock, start, d.log)
	writing, stopWriting := context.WithCancel(context.WithoutCancel(ctx)) // the last reading too
	defer stopWriting()
	go csv.run(writing)
	c.serveDCGM(ctx, samples, d.log)
	var scraped *metrics.Metrics
	seek := &seeker{
		flags: c.backendFlags, clock: d.clock, samples: samples, store: store, retention: c.Retention, log: d.log, now: d.backend,
	}
	if d.service {
		d.anew.begin(d.listener, samples.Latest)
		looking, stopLooking := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			seek.run(looking)
		}()
		defer func() {
			stopLooking()
			select {
			case <-ended:
				seek.close()
			case <-time.After(100 * time.Millisecond): // a driver that hangs
			}
		}()
	}
	served, err := c.readTokens(ctx, c.Interval, c.Retention, d.clock, d.log)
	if err != nil {
		return err
	}
	server := api.New(api.Config{
		Tokens:  served,
		Sampler: samples, Backend: seek.state, Results: results, ResultsDir: folder,
		Limits: window.Limits{MaxGap: c.MaxGap, AllowSimulated: c.AllowSimulated}, AggExtra: c.AggExtra,
		Node: c.Node, AllowedHosts: c.AllowedHost, Version: version(), Logger: d.log,
		WriteToken: c.writeToken(), Flush: csv.flush, Visible: d.visible, State: store,
		Ended: func(id string, r window.Result, again bool) { scraped.Ended(id, r, again) },
	})
	scraped = metrics.New(metrics.Options{
		Version: version(), Now: samples.Now, Latest: samples.Latest, OpenWindows: server.OpenWindows, Interval: c.Interval,
		Backend: seek.up, Logger: d.log,
	})
	showTokens(scraped, server, served)
	server.Mount("GET /metrics", server.InTurn(scraped))
	for route, handler := range page.Handlers() {
		server.Mount(route, handler)
	}
	web := api.Web(scraped.Count(server.Handler()), d.log)
	d.log.Info("listening", "address", d.listener.Addr().String(), "backend", d.Name, "gpus", len(d.devices))
	c.warn(d.listener, d.log)
	for _, problem := range d.now().Problems {
		d.log.Warn("backend", "problem", problem)
	}
	ready := func() { resume(samples, server, store, c.Retention, d.log) }
	return c.until(ctx, samples, server, web, d, ready)
}

// until runs sampler and web server until ctx ends, then makes the last reading, writes the open windows as
// interrupted, and stops. It takes at most 2 seconds, whatever hangs. Requests are answered once ready returns.
func (c *serveCmd) until(
	ctx context.Context, samples *sampler.Sampler, server *api.Server, web *http.Server, d daemon, ready func(),
) error {
	sampling, stopSampling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSampling()
	group, serving := errgroup.WithContext(ctx)
	group.Go(func() error { return samples.Run(sampling) })
	if d.service {
		group.Go(func() error { return notifier{samples.Latest, samples.Interval(), d.log}.run(serving) })
	}
	group.Go(func() error {
		ready()
		if err := c.serveWeb(web, d.listener, d.log); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-serving.Done()
		server.Interrupt()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := web.Shutdown(grace); err != nil {
			_ = web.Close()
		}
		stopSampling()
		return nil
	})
	return group.Wait()
}

func (c *serveCmd) writePort(l net.Listener) error {
	tcp, ok := l.Addr().(*net.TCPAddr)
	if !ok || c.PortFile == "" {
		return nil
	}
	if err := atomicfile.WriteFile(c.PortFile, []byte(strconv.Itoa(tcp.Port)+"\n")); err != nil {
		return fmt.Errorf("--port-file: %w", err)
	}
	return nil
}

func newLogger(std streams, level, format string) *slog.Logger {
	var options slog.HandlerOptions
	var l slog.Level
	if l.UnmarshalText([]byte(level)) == nil {
		options.Level = l
	}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(std.err, &options))
	}
	return slog.New(slog.NewTextHandler(std.err, &options))
}

// exitFor makes a usage error found late end with the exit code of one.
func exitFor(std streams, err error) error {
	if usage := (usageError{}); errors.As(err, &usage) {
		_, _ = fmt.Fprintln(std.err, "wattmark:", err)
		return exitCode(exitUsage)
	}
	return err
}
