package main

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"wattmark/api"
	"wattmark/internal/atomicfile"
	"wattmark/metrics"
	"wattmark/page"
	"wattmark/sampler"
	"wattmark/state"
	"wattmark/tokens"
	"wattmark/window"
)

// parts of the daemon are what its web server shows.
type parts struct {
	samples *sampler.Sampler
	seek    *seeker
	store   *state.Store // nil: nothing is recorded
	results resultsFolder
	csv     *csvLog        // nil: without --csv
	counts  *tokens.Reader // nil: without --tokens-from
}

// newServer returns the API, and the web server that answers with it, /metrics and the page.
func (c *serveCmd) newServer(d daemon, p parts) (*api.Server, *http.Server, error) {
	folder, err := filepath.Abs(c.ResultsDir)
	if err != nil {
		return nil, nil, err
	}
	boot := bootID()
	if p.store != nil {
		boot = p.store.Boot()
	}
	var scraped *metrics.Metrics
	server := api.New(api.Config{
		Boot:    boot,
		Tokens:  p.counts,
		Sampler: p.samples, Backend: p.seek.state, Results: p.results.root, ResultsDir: folder,
		Limits: window.Limits{MaxGap: c.MaxGap, AllowSimulated: c.AllowSimulated}, AggExtra: c.AggExtra,
		Node: c.Node, AllowedHosts: c.AllowedHost, Version: version(), Logger: d.log,
		WriteToken: c.writeToken(), Flush: p.csv.flush, Visible: p.seek.visible, State: p.store,
		MaxAggregate: d.memory.forAggregate(),
		Ended:        func(id string, r window.Result, again bool) { scraped.Ended(id, r, again) },
	})
	options := metrics.Options{
		Version: version(), Now: p.samples.Now, Latest: p.samples.AppendLatest, OpenWindows: server.OpenWindows, Interval: c.Interval,
		Retention: p.samples.Retention, Backend: p.seek.up, Logger: d.log,
	}
	if p.store != nil {
		options.Dropped = p.store.Dropped
	}
	scraped = metrics.New(options)
	showTokens(scraped, server, p.counts)
	server.Mount("GET /metrics", server.InTurn(scraped))
	for route, handler := range page.Handlers() {
		server.Mount(route, handler)
	}
	return server, api.Web(scraped.Count(server.Handler()), d.log), nil
}

// resultsFolder is the only folder in which callers can name files.
type resultsFolder struct{ root *os.Root } // nil: there is none yet

// openResults makes the folder where it is missing. What speaks against it is a warning: windows are measured without.
func openResults(path string, log *slog.Logger) resultsFolder {
	if err := os.MkdirAll(path, 0o755); err != nil {
		log.Warn("results folder not made", "err", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		log.Warn("no results folder: callers cannot name files", "err", err)
		return resultsFolder{}
	}
	if n, err := atomicfile.Sweep(root, time.Hour); n > 0 || err != nil {
		log.Info("half-written files of a killed process removed", "files", n, "err", err)
	}
	return resultsFolder{root}
}

func (f resultsFolder) close() {
	if f.root != nil {
		_ = f.root.Close()
	}
}
