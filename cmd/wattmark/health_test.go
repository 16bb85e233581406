package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// The health check of a container: its environment says where the daemon listens.
func TestHealth(t *testing.T) {
	t.Parallel()
	d := serve(t, nil, "--backend", "none")
	address := strings.TrimPrefix(d.base, "http://")
	_, port, _ := strings.Cut(address, ":")
	dir := t.TempDir()
	socket := "unix:" + filepath.Join(dir, "s")
	p := serveCommand(t, d, "--backend", "none", "--listen", socket, "--results-dir", dir)
	waitFor(t, "the socket", func() bool { _, _, code := wattmark(t, dir, nil, "health", "--addr", socket); return code == 0 })
	for _, test := range []struct {
		env  []string
		args []string
		want int
	}{
		{nil, []string{"--addr", address}, 0},
		{[]string{"WATTMARK_ADDR=" + address}, nil, 0},
		{[]string{"WATTMARK_LISTEN=:" + port}, nil, 0},
		{[]string{"WATTMARK_LISTEN=0.0.0.0:" + port}, nil, 0},
		{[]string{"WATTMARK_LISTEN=[::]:" + port}, nil, 0},
		{[]string{"WATTMARK_LISTEN=" + socket}, nil, 0},
		{[]string{"WATTMARK_LISTEN=127.0.0.1:1", "WATTMARK_ADDR=" + address}, nil, 0},
		{[]string{"WATTMARK_LISTEN=127.0.0.1:1"}, nil, 1},
		{nil, []string{"--addr", "127.0.0.1:1"}, 1},
		{nil, []string{"--addr", "127.0.0.1:1", "--best-effort"}, 0},
	} {
		if _, errs, code := wattmark(t, dir, test.env, append([]string{"health"}, test.args...)...); code != test.want {
			t.Errorf("%q health %q: exit %d, want %d; %s", test.env, test.args, code, test.want, errs)
		}
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if _, _, code := wattmark(t, dir, []string{"WATTMARK_LISTEN=" + socket}, "health"); code != 1 {
		t.Errorf("a daemon that has ended: exit %d", code)
	}
}
