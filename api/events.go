package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// The event stream is bounded: so many viewers, each of whom must take an event within eventWait, or is dropped.
const (
	maxViewers = 16
	eventWait  = 5 * time.Second
	fastest    = 250 * time.Millisecond // between two power events, however short the interval
	resend     = 30 * time.Second       // unchanged state is sent again: a viewer behind a proxy stays connected
)

// The span of the past that the stream begins with.
const (
	defaultSpan = 5 * time.Minute
	maxSpan     = time.Hour
)

// viewers counts those who look; nothing is computed when nobody does. The zero value is ready.
type viewers struct {
	n       atomic.Int32
	once    sync.Once
	stopped chan struct{} // closed when the daemon ends
	left    sync.Once
}

func (v *viewers) stop() chan struct{} {
	v.once.Do(func() { v.stopped = make(chan struct{}) })
	return v.stopped
}

// leave ends all streams, so that the daemon need not wait for them.
func (v *viewers) leave() { v.left.Do(func() { close(v.stop()) }) }

// events streams what the live page and wattmark watch show, as server-sent events: first all of daemon, windows and
// power, then power with each reading and the others when they change.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	f, err := readFields(r, eventsFields())
	if err != nil {
		return err
	}
	span := defaultSpan
	if f.SpanS != nil {
		if *f.SpanS < 10 || *f.SpanS > int64(maxSpan.Seconds()) {
			return fmt.Errorf("%w: span_s is 10 to %.0f", errSyntax, maxSpan.Seconds())
		}
		span = time.Duration(*f.SpanS) * time.Second
	}
	if s.viewers.n.Add(1) > maxViewers {
		s.viewers.n.Add(-1)
		return fmt.Errorf("%w: %d are connected", errViewers, maxViewers)
	}
	defer s.viewers.n.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx
	s.stream(r, &eventWriter{to: w, control: http.NewResponseController(w), last: map[string]sent{}}, newWatched(s, span))
	return nil
}

// stream sends events until the viewer leaves, is too slow, or the daemon ends.
func (s *Server) stream(r *http.Request, out *eventWriter, watched *watched) {
	tick := time.NewTicker(max(s.config.Sampler.Interval(), fastest))
	defer tick.Stop()
	for {
		for _, event := range s.lookInTurn(r.Context(), watched) {
			if err := out.send(event); err != nil {
				if r.Context().Err() == nil {
					s.config.Logger.Info("viewer dropped", "err", err)
				}
				return
			}
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-s.viewers.stop():
			return
		}
	}
}

// lookInTurn looks when it is this viewer's turn to compute; if that does not come, the next tick brings what is new.
func (s *Server) lookInTurn(ctx context.Context, watched *watched) []event {
	end, err := s.load.turn(ctx, readPatience)
	if err != nil {
		return nil
	}
	defer end()
	return watched.look()
}

// event is one server-sent event.
type event struct {
	name   string
	data   any
	always bool // also if it is the same as the last of its name
}

// eventWriter writes events, leaving out those that say nothing new.
type eventWriter struct {
	to      http.ResponseWriter
	control *http.ResponseController
	last    map[string]sent
}

type sent struct {
	text []byte
	at   time.Time
}

func (o *eventWriter) send(e event) error {
	text, err := json.Marshal(e.data)
	if err != nil {
		return fmt.Errorf("encode event %s: %w", e.name, err)
	}
	last := o.last[e.name]
	if !e.always && bytes.Equal(last.text, text) && time.Since(last.at) < resend {
		return nil
	}
	if !e.always {
		o.last[e.name] = sent{text, time.Now()}
	}
	// A recorder of a test and a proxy's writer may have no deadline: then the server's own must do.
	if err := o.control.SetWriteDeadline(time.Now().Add(eventWait)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := fmt.Fprintf(o.to, "event: %s\ndata: %s\n\n", e.name, text); err != nil {
		return err
	}
	return o.control.Flush()
}
