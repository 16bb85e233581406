package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// node is one of several daemons that a command talks to at once.
type node struct {
	addr   string
	role   string // "": as --role says
	client client
	skew   window.Skew // of its clock against ours
	answer []byte
	err    error // why it has none

	degraded error // which of its GPUs hang, where wattmark ready does without them
}

// fleet are the daemons of one benchmark.
type fleet []*node

// How clocks are compared.
const (
	probes     = 8                      // the quickest of them counts
	probesOnce = 8                      // nodes that are asked at the same time: our own queue is not the network's delay
	connecting = 2 * time.Second        // until a node that does not answer is given up
	asking     = 5 * time.Second        // until one that answers too slowly is
	few        = 64                     // nodes whose clocks a mark-end looks at before it marks them
	patience   = 100 * time.Millisecond // of such a mark-end: what is not known by then is found out after it
)

// fleet returns the daemons that --addr names, each with a role where it has one: prefill=host:port.
func (a addrFlags) fleet() (nodes fleet, err error) {
	seen := map[string]bool{}
	for _, text := range a.Addr {
		n, addr := &node{}, text
		for _, role := range []string{window.Prefill, window.Decode} {
			if after, ok := strings.CutPrefix(text, role+"="); ok {
				addr, n.role = after, role
			}
		}
		if n.client, err = a.client(addr); err != nil {
			return nil, err
		}
		if n.addr = n.client.addr; seen[addr] {
			return nil, usageError{fmt.Errorf("--addr %s is given twice", n.addr)}
		}
		seen[addr] = true
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// each does something for all nodes that have not failed, at once.
func (f fleet) each(do func(*node) error) {
	var all sync.WaitGroup
	for _, n := range f {
		if n.err == nil {
			all.Go(func() { n.err = do(n) })
		}
	}
	all.Wait()
}

// post sends each node the form, with what is its own: role and clock.
func (f fleet) post(ctx context.Context, path string, shared url.Values, withRole bool) {
	f.each(func(n *node) (err error) {
		form := maps.Clone(shared)
		if offset, ok := n.skew.Offset.Known(); ok {
			form.Set("clock_offset_s", strconv.FormatFloat(offset, 'f', 9, 64))
			form.Set("clock_offset_bound_s", strconv.FormatFloat(n.skew.Bound.Or(0), 'f', 9, 64))
		}
		if withRole && n.role != "" {
			form.Set("role", n.role)
		}
		n.answer, err = n.client.post(ctx, path, form)
		return err
	})
}

// compare connects to all nodes and compares their clocks with ours: the first question to each opens its connection
// and does not count. Where a mark waits for it, that is until when; what has not come about by then is left out. The
// zero time: nothing waits.
func (f fleet) compare(ctx context.Context, until time.Time) {
	places := make(chan struct{}, probesOnce)
	limit, cancel := ctx, context.CancelFunc(func() {})
	if !until.IsZero() {
		limit, cancel = context.WithDeadline(ctx, until)
	}
	defer cancel()
	f.each(func(n *node) error {
		opening, cancel := context.WithTimeout(limit, connecting)
		defer cancel()
		_, err := n.client.probe(opening)
		if err == nil {
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
				asking, cancel := context.WithTimeout(limit, asking)
				defer cancel()
				err = n.compare(asking)
			case <-limit.Done():
			}
		}
		if limit.Err() != nil && ctx.Err() == nil { // the mark goes out, and says whether the node is there
			return nil
		}
		return err
	})
}

// compare asks the node for its time; the quickest answer counts. Fewer than all questions may all have been slow, and
// count for nothing.
func (n *node) compare(ctx context.Context) error {
	var best window.Skew
	for range probes {
		seen, err := n.client.probe(ctx)
		if err != nil {
			return err
		}
		if bound, known := best.Bound.Known(); !known || seen.Bound.Or(bound) < bound {
			best = seen
		}
	}
	n.skew = best
	return nil
}

// probe asks a daemon for its time. Wherever between question and answer it looked at its clock, that clock is ahead of
// ours by its time less the middle of the two, give or take half the time that it all took.
func (c client) probe(ctx context.Context) (window.Skew, error) {
	asked := time.Now()
	text, err := c.do(ctx, http.MethodGet, "/v1/time", nil)
	took := time.Since(asked)
	if err != nil {
		return window.Skew{}, err
	}
	var clock struct {
		UnixNano int64 `json:"unix_ns"`
	}
	if err := json.Unmarshal(text, &clock); err != nil || clock.UnixNano == 0 {
		return window.Skew{}, fmt.Errorf("%s: no time in %.80q", c.addr, text)
	}
	middle := asked.UnixNano() + int64(took/2)
	return window.Skew{
		Offset: sampler.Some(time.Duration(clock.UnixNano - middle).Seconds()), Bound: sampler.Some((took / 2).Seconds()),
	}, nil
}

// uncompared are the nodes that answered a mark, and whose clocks there was no time to look at before it.
func (f fleet) uncompared() (late fleet) {
	for _, n := range f {
		if n.err == nil && !n.skew.Offset.OK() {
			late = append(late, n)
		}
	}
	return late
}

// failed is why nodes gave no answer, each by its name.
func (f fleet) failed() error {
	var errs []error
	for _, n := range f {
		if n.err != nil {
			errs = append(errs, n.err)
		}
	}
	return errors.Join(errs...)
}

// lost are the nodes that gave no answer, as the result names them.
func (f fleet) lost() (nodes []window.Node) {
	for _, n := range f {
		if n.err != nil {
			nodes = append(nodes, window.Node{
				Name: n.addr, Role: n.role, ClockOffset: n.skew.Offset, ClockOffsetBound: n.skew.Bound, Error: n.err.Error(),
			})
		}
	}
	return nodes
}
