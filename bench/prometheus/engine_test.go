//go:build real

package prometheus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// tool is a program of Debian's package prometheus. $PROMETHEUS_BIN names a folder with others.
func tool(t *testing.T, name string) string {
	t.Helper()
	if folder := os.Getenv("PROMETHEUS_BIN"); folder != "" {
		return filepath.Join(folder, name)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: apt-get install --no-install-recommends prometheus", err)
	}
	return path
}

// run runs a program that has to succeed and returns what it printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	command := exec.Command(name, args...)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", filepath.Base(name), args, err, &out, &errs)
	}
	return out.String()
}

// wattmark builds the program.
func wattmark(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wattmark")
	run(t, "go", "build", "-trimpath", "-o", path, "wattmark/cmd/wattmark")
	return path
}

// background starts a program that runs until the test ends, or until stop.
func background(t *testing.T, name string, args ...string) (stop func()) {
	t.Helper()
	command := exec.Command(name, args...)
	log, err := os.Create(filepath.Join(t.TempDir(), filepath.Base(name)+".log"))
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = command.Process.Signal(syscall.SIGTERM)
			_ = command.Wait()
		}
	}
	t.Cleanup(func() {
		stop()
		if text, _ := os.ReadFile(log.Name()); t.Failed() && len(text) > 0 {
			t.Logf("%s:\n%s", filepath.Base(name), text[max(0, len(text)-4000):])
		}
	})
	return stop
}

// freeAddress is an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// server is a running Prometheus.
type server struct {
	t   *testing.T
	url string
}

// prometheus starts one on a folder of data and waits until it is ready.
func prometheus(t *testing.T, config, data string, args ...string) server {
	t.Helper()
	address := freeAddress(t)
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	background(t, tool(t, "prometheus"), append([]string{
		"--config.file=" + file, "--storage.tsdb.path=" + data, "--web.listen-address=" + address,
		"--storage.tsdb.retention.time=100y",
	}, args...)...)
	s := server{t, "http://" + address}
	s.until("Prometheus is ready", time.Minute, func() bool {
		response, err := http.Get(s.url + "/-/ready")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return s
}

func (s server) until(what string, limit time.Duration, done func() bool) {
	s.t.Helper()
	for begin := time.Now(); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Since(begin) > limit {
			s.t.Fatalf("waited %v until %s", limit, what)
		}
	}
}

// result is one series of an instant query's answer.
type result struct {
	Metric map[string]string
	Value  [2]any
}

// knows reports that the server can parse an expression.
func (s server) knows(expr string) bool {
	s.t.Helper()
	response, err := http.PostForm(s.url+"/api/v1/query", url.Values{"query": {expr}})
	if err != nil {
		s.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// query asks for an expression now.
func (s server) query(expr string) []result {
	s.t.Helper()
	response, err := http.PostForm(s.url+"/api/v1/query", url.Values{"query": {expr}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Status, Error string
		Data          struct{ Result []result }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Status != "success" {
		s.t.Fatalf("%s: %s %v", expr, answer.Error, err)
	}
	return answer.Data.Result
}

// number is an expression's only value.
func (s server) number(expr string) float64 {
	s.t.Helper()
	results := s.query(expr)
	if len(results) != 1 {
		s.t.Fatalf("%s has %d series, want one", expr, len(results))
	}
	var x float64
	if _, err := fmt.Sscan(fmt.Sprint(results[0].Value[1]), &x); err != nil {
		s.t.Fatalf("%s = %v", expr, results[0].Value)
	}
	return x
}

// decode reads an answer of wattmark.
func decode(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%v in %.300s", err, text)
	}
	return answer
}
