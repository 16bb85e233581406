package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"wattmark/internal/atomicfile"
	"wattmark/sampler"
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
	Retention      time.Duration `default:"24h" help:"How long readings stay in memory. Under a memory limit that is too low for it: as long as fits, and a warning."`
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
	limited := limitMemory(log)
	clock := sampler.NewClock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	anew := &reexec{cancel: cancel, log: log}
	c.mismatch = anew.mismatch
	c.patience = gpuPatience
	found, err := c.openSoon(ctx, libraryPatience, clock, log)
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
	err = c.serve(ctx, daemon{backend: found, clock: clock, listener: listener, log: log, service: true, anew: anew, memory: limited})
	if err != nil {
		return err
	}
	return anew.do()
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
