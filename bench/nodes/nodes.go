package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"wattmark/api"
	"wattmark/sampler"
	sim "wattmark/vendor_sim"
	"wattmark/window"
)

// node is a daemon's sampler and API, with simulated GPUs of its own, on a port of its own.
type node struct {
	addr string
	gpus []*sim.GPU
	web  *http.Server

	mu      sync.Mutex
	arrived map[string]time.Time // by path: when the last mark came
}

// start runs so many nodes in this process until ctx ends. All have their files in one folder.
func start(ctx context.Context, dir string, count, gpus int) ([]*node, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	clock := sampler.NewClock()
	nodes := make([]*node, count)
	for i := range nodes {
		name := fmt.Sprintf("n%04d", i)
		n := &node{arrived: map[string]time.Time{}}
		if n.gpus, err = sim.Parse(fmt.Sprintf("%dxH200,seed=%d", gpus, i+1), name, clock); err != nil {
			return nil, err
		}
		devices := make([]sampler.Device, len(n.gpus))
		for k, gpu := range n.gpus {
			devices[k] = gpu
		}
		samples, err := sampler.New(devices, sampler.Config{
			Interval: time.Second, Retention: time.Hour, Calibrate: true, Clock: clock, Logger: log,
			Start: time.Now().Add(-time.Duration(i) * time.Second / time.Duration(count)), // not all in the same instant
		})
		if err != nil {
			return nil, err
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		server := api.New(api.Config{
			Sampler: samples, Backend: func() api.Backend { return api.Backend{Name: "sim"} }, Results: root, ResultsDir: dir,
			Limits: window.Limits{MaxGap: 3 * time.Second, AllowSimulated: true}, Node: name, Version: "bench", Logger: log,
		})
		n.addr, n.web = listener.Addr().String(), api.Web(n.timed(server.Handler()), log)
		go func() { _ = samples.Run(ctx) }()
		go func() { _ = n.web.Serve(listener) }()
		nodes[i] = n
	}
	context.AfterFunc(ctx, func() {
		for _, n := range nodes {
			_ = n.web.Close()
		}
	})
	return nodes, nil
}

// timed notes when a mark comes in.
func (n *node) timed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n.mu.Lock()
			n.arrived[r.URL.Path] = time.Now()
			n.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

// spread is how long it took from the first node that a mark reached to the last.
func spread(nodes []*node, path string) time.Duration {
	var first, last time.Time
	for _, n := range nodes {
		n.mu.Lock()
		at := n.arrived[path]
		n.mu.Unlock()
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	return last.Sub(first)
}

// truth is what all GPUs used between two moments.
func truth(nodes []*node, from, to time.Time) (joules float64) {
	for _, n := range nodes {
		for _, gpu := range n.gpus {
			joules += gpu.TrueJoules(from, to)
		}
	}
	return joules
}

// addresses are the nodes as WATTMARK_ADDR takes them: the first half for prefill.
func addresses(nodes []*node) (list string) {
	for i, n := range nodes {
		role := window.Prefill
		if i >= len(nodes)/2 {
			role = window.Decode
		}
		if i > 0 {
			list += ","
		}
		list += role + "=" + n.addr
	}
	return list
}
