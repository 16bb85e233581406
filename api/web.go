package api

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What one client may use, and all of them together.
const (
	maxHeader   = 16 << 10         // bytes of request line and headers; more is a 431
	maxConns    = 256              // connections that are served; further ones are answered with 429
	maxRefused  = 256              // further ones at the same time; above that they are closed at once
	headerTime  = 5 * time.Second  // for the headers; who takes longer is cut off
	requestTime = 10 * time.Second // for headers and body; who takes longer gets a 408
	answerTime  = 30 * time.Second // for reading the answer; who takes longer is cut off
	idleTime    = time.Minute      // between two requests on a connection
)

// Web returns the HTTP server for a handler, with limits on what its clients can take up in time, bytes and connections.
// It speaks HTTP/1.1 only: of a few requests a second HTTP/2 makes nothing better, and its streams would have to be bounded too.
func Web(handler http.Handler, log *slog.Logger) *http.Server {
	const slack = 4096 // net/http reads so much more than it is told
	conns := &connections{}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler: conns.guard(handler), Protocols: protocols,
		ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader - slack,
		ConnContext:    conns.opened, ConnState: conns.changed,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// connections counts a server's connections. When they become too many it closes the one that has been idle for the
// longest time, so that who keeps many open without using them does not lock others out.
type connections struct {
	open atomic.Int64

	mu   sync.Mutex
	idle []net.Conn // longest first
}

// extra is the key under which a connection's context says that it came when the server was full.
type extra struct{}

// opened is http.Server.ConnContext.
func (c *connections) opened(ctx context.Context, conn net.Conn) context.Context {
	open := c.open.Add(1)
	if open <= maxConns {
		return ctx
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) > 0 {
		_ = c.idle[0].Close() // it is in nobody's use
		c.idle = slices.Delete(c.idle, 0, 1)
		return ctx
	}
	if open > maxConns+maxRefused {
		_ = conn.Close() // nothing has come over it
	}
	return context.WithValue(ctx, extra{}, true)
}

// changed is http.Server.ConnState.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.idle, conn); i >= 0 {
		c.idle = slices.Delete(c.idle, i, i+1)
	}
	switch state {
	case http.StateIdle:
		c.idle = append(c.idle, conn)
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	default:
	}
}

// guard answers 429 on connections that are too many.
func (c *connections) guard(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(extra{}) != nil && c.open.Load() > maxConns {
			w.Header().Set("Connection", "close")
			refuse(w, fmt.Errorf("%w: %d connections; come again in a second", errBusy, maxConns))
			return
		}
		handler.ServeHTTP(w, r)
	})
}
