package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The page and its stream by the built daemon, longer than any timeout of a request; who looks does not hold up its end.
func TestViewerOfTheDaemon(t *testing.T) {
	t.Parallel()
	d := serve(t, nil, "--backend", "sim", "--sim", "2xH200", "--allow-simulated").ready()
	page, err := http.Get(d.base + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = page.Body.Close()
	if page.StatusCode != 200 || !strings.HasPrefix(page.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("/: %d, %v", page.StatusCode, page.Header)
	}
	response, err := http.Get(d.base + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	stream := make(chan string)
	go func() {
		text, _ := io.ReadAll(response.Body)
		stream <- string(text)
	}()
	const longer = 11 * time.Second // than a request may take
	select {
	case text := <-stream:
		t.Fatalf("the stream ended early: %.300s", text)
	case <-time.After(longer):
	}
	took, err := d.stop()
	if err != nil || took > 2*time.Second {
		t.Errorf("the daemon took %v to end: %v", took, err)
	}
	select {
	case text := <-stream:
		if n := strings.Count(text, "event: power\n"); n < 5 || n > 14 {
			t.Errorf("%d power events in %v", n, longer)
		}
	case <-time.After(2 * time.Second):
		t.Error("the stream outlives the daemon")
	}
}
