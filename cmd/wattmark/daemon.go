package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"wattmark/api"
	"wattmark/sampler"
	"wattmark/state"
)

// daemon is what serve works with.
type daemon struct {
	backend
	clock    sampler.Clock
	listener net.Listener
	log      *slog.Logger
	anew     *reexec
	memory   *memory // nil: no bound
	service  bool    // the process is the daemon and no more: what it tells systemd is of the unit
}

// serve runs the daemon until ctx ends. Its parts start in this order and stop in the reverse one, all of them after
// sampler and web server, which until runs.
func (c *serveCmd) serve(ctx context.Context, d daemon) error {
	start := time.Now()
	store := c.openState(c.ResultsDir, c.Node, d.clock, d.log)
	defer closeState(store, d.log)
	samples, err := c.newSampler(d, store, start)
	if err != nil {
		return err
	}
	go keepPulse(ctx, start, c.Interval, d.log)
	results := openResults(c.ResultsDir, d.log)
	defer results.close()
	seek := &seeker{
		flags: c.backendFlags, clock: d.clock, samples: samples, store: store, log: d.log, now: d.backend,
		memory: d.memory,
	}
	csv := c.openCSV(samples, d.clock, start, d.log)
	defer csv.start(ctx)()
	c.serveDCGM(ctx, samples, d.log)
	if d.service {
		d.anew.begin(d.listener, samples.Latest, seek.waiting)
		defer seek.start(ctx)()
	}
	counts, err := c.readTokens(ctx, c.Interval, samples.Retention(), d.clock, d.log)
	if err != nil {
		return err
	}
	p := parts{samples, seek, store, results, csv, counts}
	server, web, err := c.newServer(d, p)
	if err != nil {
		return err
	}
	c.announce(d)
	ready := func() { resume(samples, server, store, d.log) }
	return c.until(ctx, p, server, web, d, ready)
}

// newSampler returns the sampler of the GPUs that were found; the state, where there is one, keeps its readings.
func (c *serveCmd) newSampler(d daemon, store *state.Store, start time.Time) (*sampler.Sampler, error) {
	config := sampler.Config{
		Interval: c.Interval, Retention: c.Retention, Start: start, Calibrate: true, Clock: d.clock, MaxGap: c.MaxGap, Logger: d.log,
		Memory: d.memory.forReadings(),
	}
	if store != nil {
		config.Keep = store.Keep
		for _, device := range d.devices {
			store.Know(device.Info())
		}
	}
	samples, err := sampler.New(d.devices, config)
	if err == nil {
		d.memory.say(samples)
	}
	return samples, err
}

// keepPulse has the process wake at the sampler's ticks until ctx ends.
func keepPulse(ctx context.Context, start time.Time, interval time.Duration, log *slog.Logger) {
	if err := pulse(ctx, start, interval); err != nil {
		log.Debug("readings may begin some milliseconds late", "err", err)
	}
}

// announce logs where the daemon listens and what a person should look at.
func (c *serveCmd) announce(d daemon) {
	d.log.Info("listening", "address", d.listener.Addr().String(), "backend", d.Name, "gpus", len(d.devices))
	c.warn(d.listener, d.log)
	for _, problem := range d.now().Problems {
		d.log.Warn("backend", "problem", problem)
	}
}

// until runs sampler and web server until ctx ends, then makes the last reading, writes the open windows as
// interrupted, and stops. It takes at most 2 seconds, whatever hangs. Requests are answered once ready returns.
func (c *serveCmd) until(
	ctx context.Context, p parts, server *api.Server, web *http.Server, d daemon, ready func(),
) error {
	sampling, stopSampling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSampling()
	group, serving := errgroup.WithContext(ctx)
	group.Go(func() error { return p.samples.Run(sampling) })
	if d.service {
		group.Go(func() error {
			return notifier{p.samples.Latest, p.seek.waiting, p.samples.Interval(), d.log}.run(serving)
		})
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
