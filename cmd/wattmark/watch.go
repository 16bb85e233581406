package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// watchCmd shows in a terminal what the live page shows.
type watchCmd struct {
	Addr string        `default:"127.0.0.1:9844" help:"Daemon: host:port, a URL, or unix:/path.sock."`
	Span time.Duration `default:"2m" help:"How much of the past the trace shows: 10s to 1h."`
	Once bool          `help:"Show it once and exit."`
	JSON bool          `name:"json" help:"Print the daemon's events instead, as JSON lines."`
	credentialFlags
}

// Validate is called by kong.
func (c *watchCmd) Validate() error {
	if c.Span < 10*time.Second || c.Span > time.Hour {
		return fmt.Errorf("--span is 10s to 1h, not %v", c.Span)
	}
	return nil
}

// reconnectAfter is how long watch waits before it tries a lost daemon again.
const reconnectAfter = 2 * time.Second

// Run shows the daemon's events until ctx ends. A daemon that was there once is waited for.
func (c *watchCmd) Run(ctx context.Context, std streams) error {
	config, err := c.tls()
	if err != nil {
		return err
	}
	daemon := newClient(c.Addr, 0, c.credentialFlags) // a stream has no end
	transport := daemon.http.Transport.(*http.Transport)
	transport.TLSClientConfig, transport.ResponseHeaderTimeout = config, 10*time.Second
	view := c.view(std)
	defer view.close()
	for seen := false; ; {
		err := daemon.events(ctx, c.Span, func(name string, data []byte) error {
			seen = true
			return view.event(name, data)
		})
		switch {
		case errors.Is(err, errShown):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !seen:
			return err
		}
		view.lost(err)
		if err := sleepUntil(ctx, time.Now().Add(reconnectAfter)); err != nil {
			return err
		}
	}
}

// maxEvent bounds an event: an hour of the largest node is some 5 MB.
const maxEvent = 64 << 20

// events calls handle with each event of the stream until it ends.
func (c client) events(ctx context.Context, span time.Duration, handle func(name string, data []byte) error) error {
	query := url.Values{"span_s": {fmt.Sprint(int(span.Seconds()))}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/events?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	if err := c.credentials.authorize(request); err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		if cause := (*url.Error)(nil); errors.As(err, &cause) {
			err = cause.Err
		}
		return fmt.Errorf("no answer from the daemon at %s (is 'wattmark serve' running?): %w", c.addr, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
		return refusal(c.addr, response.StatusCode, text)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxEvent)
	name := ""
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "event: "):
			name = strings.TrimPrefix(line, "event: ")
		case strings.HasPrefix(line, "data: "):
			if err := handle(name, []byte(strings.TrimPrefix(line, "data: "))); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the events of %s: %w", c.addr, err)
	}
	return fmt.Errorf("the daemon at %s has ended the stream", c.addr)
}
