package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// proxied puts a daemon behind a proxy that changes its answer to /v1/time.
func proxied(t *testing.T, d *served, change func(answer map[string]any)) string {
	t.Helper()
	target, err := url.Parse(d.base)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.URL.Path != "/v1/time" {
			return nil
		}
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		decoder.UseNumber()
		var answer map[string]any
		if err := decoder.Decode(&answer); err != nil {
			return err
		}
		change(answer)
		changed, err := json.Marshal(answer)
		if err != nil {
			return err
		}
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(changed))), int64(len(changed))
		r.Header.Set("Content-Length", strconv.Itoa(len(changed)))
		return nil
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL
}

// A node whose clock is 0.4 s behind ours is found out, and measures from 0.4 s earlier on its clock.
func TestClockOffsetIsFound(t *testing.T) {
	t.Parallel()
	a, b := host(t, "n1"), host(t, "n2")
	behind := proxied(t, b, func(answer map[string]any) {
		ns, _ := answer["unix_ns"].(json.Number).Int64()
		answer["unix_ns"] = ns - 4e8
	})
	dir := t.TempDir()
	time.Sleep(time.Second) // of memory
	nodes := []string{"--addr", addr(a), "--addr", behind}
	if _, errs, code := wattmark(t, dir, nil, append([]string{"mark-start", "--run", "r1"}, nodes...)...); code != 0 {
		t.Fatal(errs)
	}
	time.Sleep(time.Second)
	out, errs, code := wattmark(t, dir, nil, append([]string{"mark-end", "--run", "r1"}, nodes...)...)
	r := decode(t, []byte(out))
	if code != 0 || r["power_valid"] != true {
		t.Fatalf("mark-end: %d %s %s", code, errs, out)
	}
	for _, n := range r.nodes(t) {
		want := 0.0
		if n["node"] == behind {
			want = -0.4
		}
		if offset, bound := n.number(t, "clock_offset_s"), n.number(t, "clock_offset_bound_s"); math.Abs(offset-want) > bound || bound > 0.1 {
			t.Errorf("node %v: ahead by %v ± %v s, want %v", n["node"], offset, bound, want)
		}
	}
	own := decode(t, b.get("/v1/windows/r1"))
	start, _ := own.edges(t)
	told := r.number(t, "start_unix")
	if shift := float64(start.UnixNano())/1e9 - told; math.Abs(shift+0.4) > 0.1 || own["start_unix"] != told {
		t.Errorf("the node measured from %v, %v s after the mark %v; it answers %v", start, shift, told, own["start_unix"])
	}
}

// Over a slow network nobody knows well enough what the node's clock shows.
func TestClockOffsetUncertain(t *testing.T) {
	t.Parallel()
	a, b := host(t, "n1"), host(t, "n2")
	slow := proxied(t, b, func(map[string]any) { time.Sleep(250 * time.Millisecond) })
	dir := t.TempDir()
	nodes := []string{"--addr", addr(a), "--addr", slow}
	if _, errs, code := wattmark(t, dir, nil, append([]string{"mark-start", "--run", "r1"}, nodes...)...); code != 0 {
		t.Fatal(errs)
	}
	out, errs, code := wattmark(t, dir, nil, append([]string{"mark-end", "--run", "r1"}, nodes...)...)
	if r := decode(t, []byte(out)); code != 0 || !slices.Equal(r.reasons(), []string{"clock_offset_uncertain"}) {
		t.Errorf("mark-end: %d %s, reasons %v", code, errs, r["reasons"])
	}
}

// What several --addr cannot mean, and a GPU that two of them lead to.
func TestNodesThatCannotBe(t *testing.T) {
	t.Parallel()
	a := host(t, "n1")
	dir := t.TempDir()
	local := strings.Replace(addr(a), "127.0.0.1", "localhost", 1)
	for _, test := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"twice the same", []string{"mark-start", "--addr", addr(a), "--addr", "decode=" + addr(a)}, 2, "twice"},
		{"an id of which node", []string{"mark-end", "--id", "x", "--addr", addr(a), "--addr", local}, 2, "--run"},
		{"half the roles", []string{"mark-end", "--prefill-gpus", "1"}, 2, "--decode-gpus"},
		{"no counts", []string{"mark-end", "--agg-result", "agg.json", "--addr", addr(a), "--addr", local}, 1, "--benchmark-result"},
	} {
		if out, errs, code := wattmark(t, dir, nil, test.args...); code != test.want || !strings.Contains(errs, test.says) {
			t.Errorf("%s: %d %s %s, want %d and %q", test.name, code, errs, out, test.want, test.says)
		}
	}
	time.Sleep(300 * time.Millisecond)
	now := float64(time.Now().UnixMilli()) / 1e3
	out, _, code := wattmark(t, dir, nil, "measure", "--addr", addr(a), "--addr", local, "--start-unix", fmt.Sprint(now-0.2), "--end-unix", fmt.Sprint(now))
	if r := decode(t, []byte(out)); code != 0 || !slices.Equal(r.reasons(), []string{"gpu_measured_twice"}) || len(r.gpus(t)) != 4 {
		t.Errorf("measure: %d, reasons %v", code, r["reasons"])
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

// A node that takes connections and then says nothing: it is given up and named, and the others are marked.
func TestNodeThatHangs(t *testing.T) {
	t.Parallel()
	a := host(t, "n1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	begin := time.Now()
	out, errs, code := wattmark(t, t.TempDir(), nil, "mark-start", "--run", "r1", "--best-effort", "--addr", addr(a), "--addr", l.Addr().String())
	if took := time.Since(begin); code != 0 || took > 8*time.Second || !strings.Contains(errs, l.Addr().String()) {
		t.Errorf("after %v: %d %s", took, code, errs)
	}
	if r := decode(t, []byte(out)); len(r["gpus"].([]any)) != 2 || r.nodes(t)[1]["error"] == "" || r.nodes(t)[0]["error"] != "" {
		t.Errorf("mark-start: %s", out)
	}
}
