//go:build linux

// Cost measures what wattmark costs the host: the built program on the scripted NVML library.
//
//	go run ./bench/cost [-duration 10m] [-call 4us,1ms] [-gpus 8] [-parts steady,marks,hour,day] [-markdown]
//
// steady: 1 Hz, one window open, for each time that a driver call takes; without scrapes, then with one a second; twice
// the duration each. marks: marks with 256 windows open. hour, day: 100 Hz, with rings as full as after an hour and a day
// at 1 Hz (36 s and 864 s).
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wattmark/bench/daemon"
)

type options struct {
	duration time.Duration
	quiet    time.Duration // 0: as long
	calls    []time.Duration
	gpus     int
	parts    []string
	markdown bool
	log      io.Writer
	dir      string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	o := options{log: io.Discard}
	flag.DurationVar(&o.quiet, "quiet", 0, "of the stretch without scrapes, where that is to be another one")
	flag.DurationVar(&o.duration, "duration", 10*time.Minute, "of each measured stretch")
	calls := flag.String("call", "4us,1ms", "how long driver calls take; those of the first are used at 100 Hz")
	flag.IntVar(&o.gpus, "gpus", 8, "number of GPUs")
	parts := flag.String("parts", "steady,marks,hour,day", "what to measure")
	flag.BoolVar(&o.markdown, "markdown", false, "print the tables of docs/cost.md")
	verbose := flag.Bool("v", false, "show the daemon's log")
	flag.Parse()
	for text := range strings.SplitSeq(*calls, ",") {
		call, err := time.ParseDuration(text)
		if err != nil {
			return err
		}
		o.calls = append(o.calls, call)
	}
	o.parts = strings.Split(*parts, ",")
	if *verbose {
		o.log = os.Stderr
	}
	if o.dir, err = os.MkdirTemp("", "wattmark-cost-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(o.dir) }()
	program, err := daemon.Build(o.dir)
	if err != nil {
		return err
	}
	return o.report(os.Stdout, program)
}

func (o options) has(part string) bool { return slices.Contains(o.parts, part) }

// folder makes an empty folder.
func (o options) folder(name string) (string, error) { return os.MkdirTemp(o.dir, filepath.Base(name)) }
