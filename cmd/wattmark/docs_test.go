package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every block fenced as sh in README.md and docs/ is run as it stands, in an empty folder with a daemon on simulated
// GPUs, so that no page shows a command that does not work.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	fence := regexp.MustCompile("(?s)```sh\n(.*?)```")
	blocks := 0
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range fence.FindAllSubmatch(text, -1) {
			blocks++
			t.Run(filepath.Base(page), func(t *testing.T) {
				t.Parallel() // blocks mostly sleep
				runBlock(t, root, string(match[1]))
			})
		}
	}
	if blocks < 5 {
		t.Errorf("found %d blocks: is the pattern right?", blocks)
	}
}

// runBlock runs one block under bash -e. The page's port becomes a free one, make runs at the repository's root, and
// vllm is a stand-in that leaves what the real one does.
func runBlock(t *testing.T, root, block string) {
	dir, bin := t.TempDir(), t.TempDir()
	if err := os.Symlink(program(t), filepath.Join(bin, "wattmark")); err != nil {
		t.Fatal(err)
	}
	write(t, bin, "vllm", standIn)
	if err := os.Chmod(filepath.Join(bin, "vllm"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "deploy"), filepath.Join(dir, "deploy")); err != nil { // as at the repository's root
		t.Fatal(err)
	}
	env := append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "WATTMARK_BACKEND=sim", "WATTMARK_SIM=4xH200", "WATTMARK_ALLOW_SIMULATED=true")
	port := freePort(t)
	if strings.Contains(block, "9844") && !strings.Contains(block, "wattmark serve") {
		p := serveCommand(t, &served{t: t, log: &logBuffer{}}, "--backend", "sim", "--sim", "4xH200", "--allow-simulated",
			"--results-dir", dir, "--listen", "127.0.0.1:"+port)
		defer func() { _ = p.stop() }()
		if _, errs, code := wattmark(t, dir, nil, "ready", "--addr", "127.0.0.1:"+port); code != 0 {
			t.Fatal(errs)
		}
	}
	block = strings.ReplaceAll(block, "9844", port)
	if strings.Contains(block, "8000") { // where the page has its inference server
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		defer server.Close()
		_, inference, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
		block = strings.ReplaceAll(block, "8000", inference)
	}
	if strings.Contains(block, "wattmark serve") {
		block += "\nkill $(jobs -p) || true\nwait\n"
	}
	env = append(env, "WATTMARK_LISTEN=127.0.0.1:"+port, "WATTMARK_ADDR=127.0.0.1:"+port)
	if strings.Contains(block, "make ") {
		dir = root
	}
	script := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-m", "-c", block)
	script.Dir, script.Env = dir, env
	out, err := script.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s\n--- printed:\n%s", err, block, out)
	}
	if regexp.MustCompile(`"power_valid": ?(false|0)`).Match(out) {
		t.Errorf("a result is not valid:\n%s\n--- printed:\n%s", block, out)
	}
}

// standIn is vllm for a page's commands: serve stays, bench serve leaves a result without stamps, as the real one.
const standIn = `#!/bin/bash
if [ "$1" = serve ]; then exec sleep 60; fi
sleep 1
while [ $# -gt 0 ]; do
  case "$1" in --result-dir) dir=$2;; --result-filename) file=$2;; esac
  shift
done
echo '{"completed": 64, "total_input_tokens": 65536, "total_output_tokens": 16384, "duration": 1.0}' > "$dir/$file"
`

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
