package main

import (
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// execute runs a command on this process's own streams and in its process group, so that fg, bg, ^Z and ^C do to it what
// they do without wattmark. It returns the exit code as a shell has it: 128 + n for a command that a signal ended.
//
// Signals to this process are handed on, but for those of the keyboard: the terminal sends them to the whole foreground
// group, so the command has them already. started is called once it runs.
func execute(path string, args []string, std streams, started func()) (code int, err error) {
	command := exec.Command(path, args[1:]...)
	command.Args[0] = args[0]
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, std.out, std.err

	signals := make(chan os.Signal, 16)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2} {
		if !signal.Ignored(s) { // what nohup ignores the command must go on ignoring
			signal.Notify(signals, s)
		}
	}
	defer signal.Stop(signals)
	if err := command.Start(); err != nil {
		return 0, err
	}
	started()
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			select {
			case s := <-signals:
				keyboard := s == syscall.SIGINT || s == syscall.SIGQUIT
				if !keyboard || !inForeground() {
					_ = command.Process.Signal(s) // it may be gone already
				}
			case <-over:
				return
			}
		}
	}()
	_ = command.Wait() // its state says it all; the streams are files, so there is nothing to copy
	state := command.ProcessState
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignal + int(status.Signal()), nil
	}
	return state.ExitCode(), nil
}

// inForeground reports that this process's group is the foreground group of a terminal: what is typed there as ^C goes
// to the group.
func inForeground() bool {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before may hold anything but ends so
	fields := strings.Fields(rest)
	const group, foreground = 2, 5 // state ppid pgrp session tty_nr tpgid
	if len(fields) <= foreground {
		return false
	}
	terminal, err := strconv.Atoi(fields[foreground])
	return err == nil && terminal > 0 && fields[group] == fields[foreground]
}
