//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// counting is a command that says when it is ready and names each signal as it comes (a shell would take two that come
// close together for one). It exits with 3 once there is a file stop.
const counting = `
import os, signal, sys, time
for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(s, lambda number, frame: os.write(1, signal.Signals(number).name.encode() + b"\n"))
os.write(1, b"ready\n")
for i in range(400):
    time.sleep(0.05)
    if os.path.exists("stop"): sys.exit(3)
`

// runCounting starts the command and waits until it is ready. Its standard output comes line by line.
func runCounting(t *testing.T, attr *syscall.SysProcAttr, streams func(*exec.Cmd)) (command *exec.Cmd, lines *bufio.Scanner) {
	t.Helper()
	command = exec.Command(program(t), "run", "--addr", "none", "--backend", "none", "--", "python3", "-c", counting)
	command.Dir, command.SysProcAttr = t.TempDir(), attr
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	streams(command)
	command.Stdout = in
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	t.Cleanup(func() { _ = command.Process.Kill() })
	lines = bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("the command said %q", lines.Text())
	}
	return command, lines
}

// finish lets the command end, and returns what it said and its exit code.
func finish(t *testing.T, command *exec.Cmd, lines *bufio.Scanner) (said []string, code int) {
	t.Helper()
	time.Sleep(300 * time.Millisecond) // for a signal that comes twice
	write(t, command.Dir, "stop", "")
	for lines.Scan() {
		said = append(said, lines.Text())
	}
	_ = command.Wait()
	return said, command.ProcessState.ExitCode()
}

// Signals to wattmark alone reach the command, once each, and wattmark waits for how it ends.
func TestRunHandsSignalsOn(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1} {
		command, lines := runCounting(t, &syscall.SysProcAttr{Setsid: true}, func(*exec.Cmd) {})
		if err := command.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		said, code := finish(t, command, lines)
		want := map[syscall.Signal]string{syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM", syscall.SIGHUP: "SIGHUP", syscall.SIGUSR1: "SIGUSR1"}[s]
		if fmt.Sprint(said) != "["+want+"]" || code != 3 {
			t.Errorf("%v: the command got %v, exit code %d; want it once, 3", s, said, code)
		}
	}
}

// ^C at a terminal reaches the command once: the terminal sends it to the whole group, and wattmark adds nothing.
func TestRunAtATerminal(t *testing.T) {
	t.Parallel()
	master, slave := terminal(t)
	attr := &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	command, lines := runCounting(t, attr, func(c *exec.Cmd) { c.Stdin, c.Stderr = slave, slave })
	const times = 5 // two that come close together may count for one
	for range times {
		if _, err := master.Write([]byte{3}); err != nil { // ^C
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	said, code := finish(t, command, lines)
	if len(said) != times || said[0] != "SIGINT" || code != 3 {
		t.Errorf("the command got %v, exit code %d; want SIGINT %d times, 3", said, code, times)
	}
}

// Standard input is the terminal's own: the command may read it as it does without wattmark.
func TestRunLeavesTheTerminalAlone(t *testing.T) {
	t.Parallel()
	master, slave := terminal(t)
	command := exec.Command(program(t), "run", "--addr", "none", "--backend", "none", "--", "sh", "-c", "read line; test -t 0 && echo \"$line\"")
	var out strings.Builder
	command.Stdin, command.Stdout = slave, &out
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if _, err := master.WriteString("typed\n"); err != nil {
		t.Fatal(err)
	}
	if err := command.Run(); err != nil || out.String() != "typed\n" {
		t.Errorf("got %q, %v; want what was typed", out.String(), err)
	}
}

// What nohup makes it ignore the command ignores, too.
func TestRunKeepsIgnoredSignalsIgnored(t *testing.T) {
	t.Parallel()
	script := `trap "" INT HUP; exec "$0" run --addr none --backend none -- sh -c 'kill -INT $$; kill -HUP $$; echo alive'`
	out, err := exec.Command("sh", "-c", script, program(t)).Output()
	if err != nil || string(out) != "alive\n" {
		t.Errorf("got %q, %v; want the command to live on", out, err)
	}
}

// terminal returns the two ends of a pseudo-terminal.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	control := func(request uintptr, value *uint32) {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	var locked, number uint32
	control(syscall.TIOCSPTLCK, &locked)
	control(syscall.TIOCGPTN, &number)
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return master, slave
}
