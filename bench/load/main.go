//go:build linux

// Load asks a daemon for more than anybody needs, and beside it misbehaves in every way that a client can: 256 windows are
// open, marks come at 10 000 a minute, scrapes at 100 a second, clients send a byte a second, never read, hoard connections
// and send too much. It says how late the readings were, how much memory it took, and what the excess was told.
// All of it is on loopback, and ends.
//
//	go run ./bench/load -duration 1m
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"wattmark/bench/daemon"
	"wattmark/internal/memcgroup"
)

func main() {
	o := options{}
	flag.DurationVar(&o.duration, "duration", time.Minute, "how long the load lasts")
	flag.Float64Var(&o.marks, "marks", 10_000.0/60, "marks a second")
	flag.Float64Var(&o.scrapes, "scrapes", 100, "scrapes a second")
	flag.IntVar(&o.hostile, "hostile", 20, "clients of each bad kind at a time")
	flag.Float64Var(&o.memory, "memory", 0, "MB of memory that the daemon may use, enforced; 0: no limit")
	flag.Parse()
	if err := run(o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// options are what is asked for.
type options struct {
	duration time.Duration
	marks    float64 // a second
	scrapes  float64 // a second
	hostile  int
	memory   float64 // MB; 0: no limit
}

func run(o options, out, log io.Writer) error {
	dir, err := os.MkdirTemp("", "wattmark-load-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program, err := daemon.Build(dir)
	if err != nil {
		return err
	}
	var group *memcgroup.Group
	if o.memory > 0 {
		if group, err = memcgroup.New(int64(o.memory * 1e6)); err != nil {
			return err
		}
		defer func() { _ = group.Close() }() // the daemon has ended
		program.Within = group.Command()
	}
	r, err := o.measure(program, dir, log)
	if err != nil {
		return err
	}
	for _, row := range r.rows() {
		fmt.Fprintf(out, "%-52s %s\n", row[0], row[1])
	}
	if group != nil {
		killed, err := group.Killed()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-52s %d times\n", "killed for memory", killed)
		if killed > 0 {
			return errors.New("killed for memory")
		}
	}
	return r.check(mostLate)
}
