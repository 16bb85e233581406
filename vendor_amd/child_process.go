package amd

// os/exec is otherwise forbidden outside tests: readings come from the driver's library, never from another program.
// What is started here is this same program, so that a library that hangs or aborts can be killed.

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"
)

// ChildArgument is the first argument with which the program starts itself; it then calls [RunChild].
const ChildArgument = "amd-child"

// process is a running child.
type process struct {
	cmd     *exec.Cmd
	calls   *os.File // calls go in here
	answers *os.File // and answers come out here
	life    io.Closer
	gone    chan struct{} // closes when the child has ended and been waited for
	close   sync.Once
}

// ownCommand starts the file that this process runs, even if it has been replaced on disk meanwhile.
func ownCommand() []string { return []string{"/proc/self/exe", ChildArgument} }

// startProcess starts a child. What it prints goes to the debug log.
func startProcess(command []string, log *slog.Logger) (*process, error) {
	callsOut, callsIn, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	defer func() { _ = callsOut.Close() }()
	answersOut, answersIn, err := os.Pipe()
	if err != nil {
		_ = callsIn.Close()
		return nil, fmt.Errorf("start child: %w", err)
	}
	defer func() { _ = answersIn.Close() }()
	noiseOut, noiseIn, err := os.Pipe()
	if err != nil {
		_, _ = callsIn.Close(), answersOut.Close()
		return nil, fmt.Errorf("start child: %w", err)
	}
	defer func() { _ = noiseIn.Close() }()

	cmd := exec.Command(command[0], command[1:]...)
	cmd.ExtraFiles = []*os.File{callsOut, answersIn} // callsFD and answersFD there
	cmd.Stdout, cmd.Stderr = noiseIn, noiseIn
	// A crash of the library ends the child; a listing of its goroutines helps nobody. One processor will do.
	cmd.Env = append(os.Environ(), "GOTRACEBACK=none", "GOMAXPROCS=1")
	life, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		_, _, _ = callsIn.Close(), answersOut.Close(), noiseOut.Close()
		return nil, fmt.Errorf("start child: %w", err)
	}
	p := &process{cmd: cmd, calls: callsIn, answers: answersOut, life: life, gone: make(chan struct{})}
	go logNoise(noiseOut, log.With("pid", cmd.Process.Pid))
	go func() {
		_ = cmd.Wait() // how it ended is told by what it did not answer
		close(p.gone)
	}()
	return p, nil
}

// kill ends the child without waiting for it, and whatever waits for its answers. A child that sits in the kernel for
// good goes only when that call returns.
func (p *process) kill() {
	p.close.Do(func() {
		_ = p.cmd.Process.Kill() // it may have ended by itself
		_, _, _ = p.calls.Close(), p.answers.Close(), p.life.Close()
	})
}

// ending says how a child ended by itself; it waits for that no longer than the limit.
func (p *process) ending(limit time.Duration) string {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.gone:
		return p.cmd.ProcessState.String()
	case <-timer.C:
		return "it closed its pipe"
	}
}

// noiseLimit is how many lines of a child's output are logged, and lineLimit how much of each.
const noiseLimit, lineLimit = 100, 400

// logNoise drains what the library prints: into the debug log, and never into a result or onto our own output.
func logNoise(noise io.ReadCloser, log *slog.Logger) {
	defer func() { _ = noise.Close() }()
	lines := bufio.NewReaderSize(noise, 4096)
	for n := 0; ; {
		line, more, err := lines.ReadLine()
		if err != nil {
			return
		}
		if n < noiseLimit {
			log.LogAttrs(context.Background(), slog.LevelDebug, "libamd_smi prints",
				slog.String("line", string(line[:min(len(line), lineLimit)])))
		}
		if !more {
			n++
		}
	}
}
