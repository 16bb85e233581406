package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"wattmark/api"
	"wattmark/window"
)

// defaultAddr is where the daemon listens unless it is told otherwise.
const defaultAddr = "127.0.0.1:9844"

// addrFlags name the daemons that a client command talks to.
type addrFlags struct {
	Addr    []string      `default:"127.0.0.1:9844" sep:"," help:"Daemon: host:port, a URL, or unix:/path.sock. Repeat for several nodes; prefill=ADDR and decode=ADDR give them roles."`
	Timeout time.Duration `default:"10s" help:"How long to wait for an answer."`
	credentialFlags
	BestEffort bool `help:"Never fail: say what went wrong and exit 0."`
}

// client talks to one daemon.
type client struct {
	addr string
	base string
	http *http.Client

	credentials credentialFlags
}

// client returns a client for one of the daemons, with the credentials of the flags.
func (a addrFlags) client(addr string) (client, error) {
	config, err := a.tls()
	c := newClient(addr, a.Timeout, a.credentialFlags)
	c.http.Transport.(*http.Transport).TLSClientConfig = config
	return c, err
}

func newClient(addr string, timeout time.Duration, credentials credentialFlags) client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	c := client{
		addr: redacted(addr), base: addr, credentials: credentials,
		http: &http.Client{Timeout: timeout, Transport: transport},
	}
	if path, unix := strings.CutPrefix(addr, "unix:"); unix {
		c.base = credentials.scheme() + "localhost"
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	} else if !strings.Contains(addr, "://") {
		c.base = credentials.scheme() + addr
	}
	c.base = strings.TrimSuffix(c.base, "/")
	return c
}

// post sends form fields and returns the answer's bytes.
func (c client) post(ctx context.Context, path string, form url.Values) ([]byte, error) {
	body := strings.NewReader(form.Encode())
	return c.do(ctx, http.MethodPost, path, body)
}

func (c client) do(ctx context.Context, method, path string, body io.Reader) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.addr, err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if err := c.credentials.authorize(request); err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		if cause := (*url.Error)(nil); errors.As(err, &cause) {
			err = cause.Err // it repeats the address
		}
		return nil, fmt.Errorf("no answer from the daemon at %s (is 'wattmark serve' running?): %w", c.addr, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.addr, err)
	}
	if response.StatusCode >= 300 {
		return text, refusal(c.addr, response.StatusCode, text)
	}
	return text, nil
}

// refusal is the daemon's problem+json in words.
func refusal(addr string, status int, text []byte) error {
	var problem api.Problem
	if json.Unmarshal(text, &problem) == nil && problem.Detail != "" {
		return fmt.Errorf("%s: %s (%d %s)", addr, problem.Detail, status, problem.Code)
	}
	var state api.Readiness
	if json.Unmarshal(text, &state) == nil && len(state.Reasons) > 0 {
		return fmt.Errorf("%s is not ready: %s", addr, strings.Join(state.Reasons, "; "))
	}
	return fmt.Errorf("%s: status %d: %s", addr, status, bytes.TrimSpace(text))
}

// one calls the only daemon of the flags and prints its answer as it is.
func (a addrFlags) one(ctx context.Context, std streams, n *node, path string, form url.Values) error {
	text, err := n.client.post(ctx, path, form)
	if err == nil {
		_, err = std.out.Write(text)
	}
	return a.soften(std, err)
}

// ended calls the only daemon of the flags for a result: as it is, or for people where they read it.
func (a addrFlags) ended(ctx context.Context, std streams, n *node, path string, form url.Values, asJSON bool) error {
	if asJSON || !onTerminal(std.out) {
		return a.one(ctx, std, n, path, form)
	}
	text, err := n.client.post(ctx, path, form)
	if err != nil {
		return a.soften(std, err)
	}
	var result window.Result
	if json.Unmarshal(text, &result) != nil { // of another version
		_, err = std.out.Write(text)
		return a.soften(std, err)
	}
	printEnded(std.out, result)
	return nil
}

// onTerminal reports that a person reads this.
func onTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if ok {
		_, _, ok = size(file)
	}
	return ok
}

// soften makes a failure a warning where --best-effort asks for it.
func (a addrFlags) soften(std streams, err error) error {
	if err != nil && a.BestEffort {
		_, _ = fmt.Fprintln(std.err, "wattmark: warning:", err)
		return nil
	}
	return err
}
