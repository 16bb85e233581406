//go:build linux

// Memory runs the built daemon in a control group with a memory limit, its rings as full as after a day of eight GPUs: read
// back from a recording of a day, as after a restart. 256 windows are open meanwhile, others end with their files, it is
// scraped, and asked for the most that one may ask for. It says what was used, and fails if the kernel killed the daemon
// or a window's energy is not within its bound. It takes the right to make a control group: root, or a delegated group.
//
//	go run ./bench/memory [-limit 64] [-duration 2m]
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"wattmark/bench/daemon"
)

// options are what is asked for.
type options struct {
	limit    float64 // MB of 1,000,000 bytes: less than MiB, so that it holds for those too
	duration time.Duration
	told     string // GOMEMLIMIT
	log      io.Writer
}

func main() {
	o := options{log: os.Stderr}
	flag.Float64Var(&o.limit, "limit", 64, "MB of memory that the daemon may use")
	flag.DurationVar(&o.duration, "duration", 2*time.Minute, "how long the load lasts")
	flag.StringVar(&o.told, "gomemlimit", "", "GOMEMLIMIT for the daemon; none: it finds its limit by itself")
	flag.Parse()
	if err := run(o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "memory:", err)
		os.Exit(1)
	}
}

func run(o options, out io.Writer) error {
	dir, err := os.MkdirTemp("", "wattmark-memory-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program, err := daemon.Build(dir)
	if err != nil {
		return err
	}
	return o.measure(program, dir, out)
}
