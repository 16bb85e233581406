// Wattmark measures what LLM inference costs in energy: joules per token, exactly for the measured phase, on NVIDIA
// and AMD GPUs. README.md shows how it is used.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	amd "wattmark/vendor_amd"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitSignal = 128 // plus the signal's number
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == amd.ChildArgument { // this program as the process that holds libamd_smi
		os.Exit(amd.RunChild(os.Args[2:]))
	}
	unsetEmpty()
	// A limit on the size of files is an error of the write, not the end of the program. Caught and not ignored, so that the
	// commands of wattmark run have it as they are used to.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGXFSZ)
	ends := []os.Signal{syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGINT) { // as it is for a script's background jobs, and for what they run
		ends = append(ends, syscall.SIGINT)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// cli is the command line. Each flag is also an environment variable, WATTMARK_ and its name; the flag wins.
type cli struct {
	Version kong.VersionFlag `env:"-" help:"Print the version and exit."`

	Serve     serveCmd     `cmd:"" help:"The daemon: sample the GPUs, answer marks and scrapes."`
	MarkStart markStartCmd `cmd:"" help:"Open a window at a daemon."`
	MarkEnd   markEndCmd   `cmd:"" help:"End a window at a daemon and print its result."`
	Measure   measureCmd   `cmd:"" help:"Measure a span of the past that nobody marked."`
	Run       runCmd       `cmd:"" help:"Run a command and measure it, as time does."`
	Aggregate aggregateCmd `cmd:"" help:"Power into a benchmark's aggregate, offline: from window files or a recorded CSV."`
	Watch     watchCmd     `cmd:"" help:"Power, windows and health of a daemon, live in the terminal."`
	Report    reportCmd    `cmd:"" help:"A window's file as a page, a picture or Markdown; several are compared."`
	GPUs      gpusCmd      `cmd:"" name:"gpus" help:"Show the GPUs, their sensors, and what is wrong with them."`
	Ready     readyCmd     `cmd:"" help:"Wait until a daemon has a reading of every GPU."`
	Health    healthCmd    `cmd:"" help:"Ask whether a daemon lives, as a container's health check does."`
	Demo      demoCmd      `cmd:"" help:"The whole story on simulated GPUs, in half a minute."`

	Completion completionCmd `cmd:"" help:"Print the completion script of a shell."`
	Man        manCmd        `cmd:"" hidden:"" help:"Print wattmark(1)."`
}

// streams are what a command writes to: data to out, words for people to err.
type streams struct{ out, err io.Writer }

// exitCode is an error that only sets the exit code; what it had to say has been said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// run is the program: it parses args, runs the command and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	asked := -1 // exit code that --help or --version asked for
	parser, err := kong.New(&c,
		kong.Name("wattmark"),
		kong.Description("Joules per token of LLM inference, exactly for the measured phase, on NVIDIA and AMD GPUs."),
		kong.DefaultEnvars("WATTMARK"),
		kong.Vars{"version": version()},
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { asked = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(streams{stdout, stderr}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "wattmark:", err)
		return exitFailed
	}
	parsed, err := parser.Parse(args)
	if asked >= 0 {
		return asked
	}
	if err != nil {
		fmt.Fprintf(stderr, "wattmark: %v\nTry 'wattmark --help'.\n", namingVariables(err))
		return exitUsage
	}
	err = parsed.Run()
	var code exitCode
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitSignal + int(syscall.SIGINT)
	default:
		fmt.Fprintln(stderr, "wattmark:", err)
		return exitFailed
	}
}
