package main

import (
	"io"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// onATerminal runs a command whose output somebody reads, and returns what they see.
func onATerminal(t *testing.T, args ...string) (seen string, code int) {
	t.Helper()
	master, slave := terminal(t)
	command := exec.Command(program(t), args...)
	command.Stdout, command.Stderr = slave, slave
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close()
	text, _ := io.ReadAll(master) // ends with an error when the command has
	_ = command.Wait()
	return strings.ReplaceAll(string(text), "\r\n", "\n"), command.ProcessState.ExitCode()
}

// People at a terminal get a table and the words of reasons; programs, and --json, the daemon's answer as it is.
func TestMarkEndOnATerminal(t *testing.T) {
	t.Parallel()
	d := serve(t, nil, "--backend", "sim", "--sim", "2xH200,load=constant,watts=500").ready() // without --allow-simulated
	at := "--addr=" + d.base
	if out, errs, code := wattmark(t, t.TempDir(), nil, "mark-start", at, "--run", "r1"); code != 0 {
		t.Fatal(out, errs)
	}
	counts := []string{"--completed", "2", "--total-input-tokens", "100", "--total-output-tokens", "50"}
	end := append([]string{"mark-end", at, "--run", "r1"}, counts...)
	piped, errs, code := wattmark(t, t.TempDir(), nil, end...)
	if code != 0 || errs != "" || decode(t, []byte(piped))["run"] != "r1" {
		t.Fatalf("piped: exit code %d\n%s%.300s", code, errs, piped)
	}
	if seen, code := onATerminal(t, append(end, "--json")...); code != 0 || seen != piped {
		t.Errorf("--json on a terminal: exit code %d\n%.300s\nwant the answer as it is", code, seen)
	}
	r := decode(t, []byte(piped))
	unix := func(r answerJSON, key string) string { return strconv.FormatFloat(r.number(t, key), 'f', 6, 64) }
	span := []string{"measure", at, "--run", "r2", "--start-unix", unix(r, "start_unix"), "--end-unix", unix(r, "end_unix")}
	for _, args := range [][]string{end, append(span, counts...)} {
		seen, code := onATerminal(t, args...)
		for _, want := range []string{
			": not valid\n", "  simulated_power: the GPUs are simulated, and --allow-simulated was not given\n", "NVIDIA H200", "peak W",
			" per output token", "--json prints",
		} {
			if !strings.Contains(seen, want) || code != 0 {
				t.Errorf("%s: exit code %d, no %q:\n%s", args[0], code, want, seen)
			}
		}
		if strings.Contains(seen, "{") || strings.Count(seen, "\n") > 16 {
			t.Errorf("%s: not short:\n%s", args[0], seen)
		}
	}
}
