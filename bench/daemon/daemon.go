// Package daemon runs the built wattmark on the scripted NVML library: the real program through the real driver path,
// for the measurements in bench/.
package daemon

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"wattmark/internal/nvmldouble"
)

// Program is what Build made.
type Program struct {
	Wattmark string   // path of the program
	Library  string   // path of the scripted libnvidia-ml.so.1
	Within   []string // the words before the program's own, of one that executes it; nil: none
	Env      []string // beside this process' own
}

// Build compiles wattmark and the scripted library into dir.
func Build(dir string) (Program, error) {
	p := Program{Wattmark: filepath.Join(dir, "wattmark")}
	build := exec.Command("go", "build", "-trimpath", "-o", p.Wattmark, "wattmark/cmd/wattmark")
	build.Env = append([]string{"CGO_CFLAGS=-O2 -g -Wno-deprecated-declarations"}, os.Environ()...)
	if out, err := build.CombinedOutput(); err != nil {
		return p, fmt.Errorf("build wattmark: %w\n%s", err, out)
	}
	library, err := nvmldouble.Build(dir)
	p.Library = library
	return p, err
}

// Daemon is a `wattmark serve` that runs.
type Daemon struct {
	PID     int
	Results string // its results folder
	client  *http.Client
	base    string
	script  string // file
	command *exec.Cmd
	exited  chan error
}

// Start runs wattmark on the script, with its files under dir, until every GPU has a reading.
func (p Program) Start(dir string, script nvmldouble.Script, log io.Writer, args ...string) (*Daemon, error) {
	d := &Daemon{
		Results: filepath.Join(dir, "results"), script: filepath.Join(dir, "nvml.script"),
		client: &http.Client{Timeout: 10 * time.Second}, exited: make(chan error, 1),
	}
	port := filepath.Join(dir, "port")
	if err := errors.Join(os.MkdirAll(d.Results, 0o755), d.Play(script)); err != nil {
		return nil, err
	}
	words := slices.Concat(p.Within, []string{
		p.Wattmark, "serve", "--backend", "nvidia", "--nvml-library", p.Library, "--listen", "127.0.0.1:0", "--port-file", port,
		"--results-dir", d.Results,
	}, args)
	d.command = exec.Command(words[0], words[1:]...)
	d.command.Env = slices.Concat(os.Environ(), p.Env, []string{nvmldouble.ScriptVariable + "=" + d.script})
	d.command.Stdout, d.command.Stderr = log, log
	if err := d.command.Start(); err != nil {
		return nil, err
	}
	d.PID = d.command.Process.Pid
	go func() { d.exited <- d.command.Wait() }()
	for begin := time.Now(); time.Since(begin) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(port)
		if err != nil || len(text) == 0 {
			continue
		}
		d.base = "http://127.0.0.1:" + strings.TrimSpace(string(text))
		if _, err := d.Get("/readyz"); err == nil {
			return d, nil
		}
	}
	return nil, errors.Join(errors.New("wattmark serve is not ready after 20 s"), d.Stop())
}

// Play changes the script while the daemon runs.
func (d *Daemon) Play(script nvmldouble.Script) error { return script.Write(d.script) }

// Stop ends the daemon as a service manager does.
func (d *Daemon) Stop() error {
	if err := d.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-d.exited:
		return err
	case <-time.After(10 * time.Second):
		return errors.Join(errors.New("wattmark serve runs on after SIGTERM"), d.command.Process.Kill())
	}
}

// Post sends form fields (key, value, …) and returns the answer's body.
func (d *Daemon) Post(path string, fields ...string) ([]byte, error) {
	response, err := d.client.PostForm(d.base+path, form(fields))
	return body("POST "+path, response, err)
}

// Get fetches a page.
func (d *Daemon) Get(path string, query ...string) ([]byte, error) {
	response, err := d.client.Get(d.base + path + "?" + form(query).Encode())
	return body("GET "+path, response, err)
}

// Scrape fetches /metrics as Prometheus 3 does.
func (d *Daemon) Scrape() ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, d.base+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"+
		"application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
	request.Header.Set("Accept-Encoding", "gzip")
	request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "1")
	response, err := d.client.Do(request)
	return body("GET /metrics", response, err)
}

func form(fields []string) url.Values {
	values := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return values
}

func body(what string, response *http.Response, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(response.Body)
	err = errors.Join(err, response.Body.Close())
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s: %s", what, response.Status, text)
	}
	return text, err
}

// Address is where the daemon listens, host:port.
func (d *Daemon) Address() string { return strings.TrimPrefix(d.base, "http://") }
