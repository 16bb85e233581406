package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// built is the program under test, compiled once as a user would.
type built struct {
	once sync.Once
	path string
	err  error
}

var binary built // one build for all tests

func TestMain(m *testing.M) {
	if os.Getenv("GORACE") == "" { // a program with the race detector sleeps for 1 s before it exits: half of what serve may take
		_ = os.Setenv("GORACE", "atexit_sleep_ms=50")
	}
	faultyMain()
	code := m.Run()
	if binary.path != "" {
		_ = os.RemoveAll(filepath.Dir(binary.path))
	}
	os.Exit(code)
}

// program returns the path of the built binary.
func program(t testing.TB) string {
	t.Helper()
	binary.once.Do(func() {
		dir, err := os.MkdirTemp("", "wattmark-test-")
		if err != nil {
			binary.err = err
			return
		}
		binary.path = filepath.Join(dir, "wattmark")
		args := []string{"build", "-o", binary.path}
		if raceEnabled { // the same objects as the test's own: nothing is compiled twice
			args = append(args, "-race")
		}
		build := exec.Command("go", append(args, ".")...)
		build.Env = append(os.Environ(), "CGO_CFLAGS=-O2 -g -Wno-deprecated-declarations")
		if out, err := build.CombinedOutput(); err != nil {
			binary.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}

// served is a running daemon.
type served struct {
	t       testing.TB
	base    string // http://127.0.0.1:port
	results string
	command *exec.Cmd
	log     *logBuffer
	exited  chan error
	client  *http.Client // of a daemon on a unix socket
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serve starts the daemon on a free port and waits until it answers.
func serve(t testing.TB, env []string, args ...string) *served {
	t.Helper()
	return serveWithin(t, nil, env, args...)
}

// serveWithin is serve, by the words of a program that executes it.
func serveWithin(t testing.TB, within, env []string, args ...string) *served {
	t.Helper()
	d := &served{t: t, results: t.TempDir(), log: &logBuffer{}, exited: make(chan error, 1)}
	port := filepath.Join(t.TempDir(), "port")
	words := slices.Concat(within, []string{
		program(t), "serve", "--listen", "127.0.0.1:0", "--port-file", port, "--results-dir", d.results,
	}, args)
	d.command = exec.Command(words[0], words[1:]...)
	d.command.Env = append(os.Environ(), env...)
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the port file", func() bool {
		text, err := os.ReadFile(port)
		d.base = "http://127.0.0.1:" + strings.TrimSpace(string(text))
		return err == nil && len(text) > 0
	})
	return d
}

// start starts the command. At the end of the test it is killed, and what it logged is shown if the test has failed.
func (d *served) start() error {
	d.command.Stdout, d.command.Stderr = d.log, d.log
	if err := d.command.Start(); err != nil {
		return err
	}
	go func() { d.exited <- d.command.Wait() }()
	d.t.Cleanup(func() {
		_ = d.command.Process.Kill()
		if d.t.Failed() {
			d.t.Logf("daemon's log:\n%s", d.log)
		}
	})
	return nil
}

// ready waits until every GPU has a reading.
func (d *served) ready() *served {
	d.t.Helper()
	waitFor(d.t, "/readyz", func() bool { return d.status("/readyz") == 200 })
	return d
}

// stop sends SIGTERM and returns how the daemon ended and how long it took.
func (d *served) stop() (time.Duration, error) {
	d.t.Helper()
	begin := time.Now()
	if err := d.command.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	select {
	case err := <-d.exited:
		return time.Since(begin), err
	case <-time.After(10 * time.Second):
		d.t.Fatalf("the daemon still runs 10 s after SIGTERM\n%s", d.log)
		return 0, nil
	}
}

func (d *served) status(path string) int {
	response, err := http.Get(d.base + path)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// fetch gets a page, whatever its status; empty if nobody answers.
func (d *served) fetch(path string) string {
	response, err := http.Get(d.base + path)
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	return string(body)
}

// post sends form fields as curl -d does and returns status and body.
func (d *served) post(path string, fields ...string) (int, []byte) {
	d.t.Helper()
	return d.answered(http.PostForm(d.base+path, form(fields...)))
}

// answered reads a whole answer.
func (d *served) answered(response *http.Response, err error) (status int, body []byte) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, err = io.ReadAll(response.Body); err != nil {
		d.t.Fatal(err)
	}
	return response.StatusCode, body
}

// must is post that has to succeed, decoded.
func (d *served) must(path string, fields ...string) answerJSON {
	d.t.Helper()
	status, body := d.post(path, fields...)
	if status >= 300 {
		d.t.Fatalf("POST %s %q = %d %s", path, fields, status, body)
	}
	return decode(d.t, body)
}

// get fetches a page that has to be there.
func (d *served) get(path string, query ...string) []byte {
	d.t.Helper()
	response, err := http.Get(d.base + path + "?" + form(query...).Encode())
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 200 {
		d.t.Fatalf("GET %s = %d %s %v", path, response.StatusCode, body, err)
	}
	return body
}

// wattmark runs a command to its end.
func wattmark(t testing.TB, dir string, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program(t), args...)
	command.Dir, command.Env = dir, append(os.Environ(), env...)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	err := command.Run()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return out.String(), errs.String(), exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), 0
}

// waitFor polls: other processes have no fake clock.
func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for begin := time.Now(); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

func write(t testing.TB, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// daemon is one started with flags of its own.
type process struct {
	command *exec.Cmd
	exited  chan error
}

func serveCommand(t *testing.T, d *served, args ...string) *process {
	t.Helper()
	p := &process{exec.Command(program(t), append([]string{"serve"}, args...)...), make(chan error, 1)}
	p.command.Stdout, p.command.Stderr = d.log, d.log
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.exited <- p.command.Wait() }()
	t.Cleanup(func() { _ = p.command.Process.Kill() })
	return p
}

func (p *process) stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-p.exited:
		return err
	case <-time.After(10 * time.Second):
		return errors.New("still running after 10 s")
	}
}
