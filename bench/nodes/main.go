// Nodes measures what it takes to mark many nodes with one command: it runs so many daemons' samplers and APIs in this
// process, on ports of their own, and the built wattmark against them. Its figures are in docs/nodes.md.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"wattmark/internal/procstatus"
	"wattmark/window"
)

func main() {
	debug.SetGCPercent(400) // many processes would collect at their own times
	count := flag.Int("nodes", 1000, "how many nodes")
	gpus := flag.Int("gpus", 1, "GPUs of each")
	phase := flag.Duration("phase", 5*time.Second, "from mark to mark")
	rounds := flag.Int("rounds", 3, "how often")
	flag.Parse()
	if err := run(os.Stdout, *count, *gpus, *phase, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "nodes:", err)
		os.Exit(1)
	}
}

// run marks, checks and reports.
func run(out io.Writer, count, gpus int, phase time.Duration, rounds int) error {
	disk := "" // a thousand nodes have a thousand disks; here they must not wait for one
	if _, err := os.Stat("/dev/shm"); err == nil {
		disk = "/dev/shm"
	}
	dir, err := os.MkdirTemp(disk, "wattmark-nodes-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := bench{program: filepath.Join(dir, "wattmark"), dir: filepath.Join(dir, "work")}
	build := exec.Command("go", "build", "-trimpath", "-o", b.program, "wattmark/cmd/wattmark")
	build.Env = append([]string{"CGO_CFLAGS=-O2 -g -Wno-deprecated-declarations"}, os.Environ()...)
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build wattmark: %w\n%s", err, text)
	}
	shared := filepath.Join(dir, "results")
	if err := errors.Join(os.Mkdir(b.dir, 0o755), os.Mkdir(shared, 0o755)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if b.nodes, err = start(ctx, shared, count, gpus); err != nil {
		return err
	}
	b.env = append(os.Environ(), "WATTMARK_ADDR="+addresses(b.nodes))
	if _, err := b.wattmark("ready", "--wait", "60s"); err != nil {
		return err
	}
	time.Sleep(5 * time.Second) // the sampler has found out how the counters tick
	fmt.Fprintf(out, "%d nodes of %d GPU(s)\n", count, gpus)
	for i := range rounds {
		if err := b.round(out, fmt.Sprintf("r%d", i), phase); err != nil {
			return err
		}
	}
	return b.offline(out, shared)
}

// bench is the program under test and what it talks to.
type bench struct {
	program string
	dir     string
	env     []string
	nodes   []*node
}

// ran is one command.
type ran struct {
	stdout []byte
	wall   time.Duration
	cpu    time.Duration
	rss    int64 // bytes
}

func (b bench) wattmark(args ...string) (ran, error) {
	command := exec.Command(b.program, args...)
	command.Dir, command.Env = b.dir, b.env
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	begin := time.Now()
	if err := command.Start(); err != nil {
		return ran{}, err
	}
	ended, peak := make(chan struct{}), make(chan int64)
	go func() { peak <- peakMemory(command.Process.Pid, ended) }()
	err := command.Wait()
	close(ended)
	r := ran{stdout: stdout.Bytes(), wall: time.Since(begin), rss: <-peak}
	if err != nil {
		return r, fmt.Errorf("wattmark %s: %w\n%.2000s", args[0], err, stderr.String())
	}
	r.cpu = command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	return r, nil
}

// peakMemory is the most that a process had resident, as last seen before it ended. What wait4 says of a child begins
// with its parent's.
func peakMemory(pid int, ended <-chan struct{}) (bytes int64) {
	for {
		if status, err := procstatus.Of(pid); err == nil {
			if kilobytes := status.Number("VmHWM"); kilobytes > 0 { // a process that ends has none
				bytes = int64(kilobytes) << 10
			}
		}
		select {
		case <-ended:
			return bytes
		case <-time.After(5 * time.Millisecond):
		}
	}
}

const work = `{"completed": 1000, "total_input_tokens": 1000000, "total_output_tokens": 250000}`

// round is one window at all nodes.
func (b bench) round(out io.Writer, name string, phase time.Duration) error {
	aggregate := filepath.Join(b.dir, "agg_"+name+".json")
	if err := errors.Join(
		os.WriteFile(filepath.Join(b.dir, name+".json"), []byte(work), 0o644), os.WriteFile(aggregate, []byte("{}"), 0o644),
	); err != nil {
		return err
	}
	begun, err := b.wattmark("mark-start", "--run", name)
	if err != nil {
		return err
	}
	time.Sleep(phase)
	total := 0
	for _, n := range b.nodes {
		total += len(n.gpus)
	}
	prefill := len(b.nodes) / 2 * len(b.nodes[0].gpus)
	called := time.Now()
	ended, err := b.wattmark("mark-end", "--run", name, "--benchmark-result", name+".json", "--agg-result", "agg_"+name+".json",
		"--prefill-gpus", fmt.Sprint(prefill), "--decode-gpus", fmt.Sprint(total-prefill), "--timeout", "30s")
	if err != nil {
		return err
	}
	var r window.Result
	if err := json.Unmarshal(ended.stdout, &r); err != nil {
		return err
	}
	want := truth(b.nodes, r.Start.Wall(), r.End.Wall())
	joules, bound := r.Energy().Or(0), r.Bound().Or(0)
	worst := 0.0
	for _, n := range r.Nodes {
		worst = max(worst, n.ClockOffsetBound.Or(math.Inf(1)))
		if n.StartUnix.Or(0) != r.StartUnix() || n.EndUnix.Or(0) != r.EndUnix() {
			err = errors.Join(err, fmt.Errorf("%s: node %s measured %v to %v, not %v to %v", name, n.Name, n.StartUnix, n.EndUnix, r.StartUnix(), r.EndUnix()))
		}
	}
	patched, readErr := os.ReadFile(aggregate)
	switch {
	case readErr != nil:
		return readErr
	case !r.Valid() || len(r.GPUs) != total || len(r.Nodes) != len(b.nodes):
		err = errors.Join(err, fmt.Errorf("%s: %d GPUs on %d nodes, reasons %v", name, len(r.GPUs), len(r.Nodes), r.AllReasons()))
		for _, gpu := range r.GPUs {
			if len(gpu.Reasons) > 0 {
				err = errors.Join(err, fmt.Errorf("%s: %v, %d samples", gpu.Host, gpu.Reasons, gpu.Samples))
			}
		}
	case math.Abs(joules-want) > bound:
		err = errors.Join(err, fmt.Errorf("%s: %.1f J, want %.1f ± %.1f", name, joules, want, bound))
	case !strings.Contains(string(patched), `"decode_joules_per_output_token"`):
		err = errors.Join(err, fmt.Errorf("%s: aggregate %s", name, patched))
	}
	fmt.Fprintf(out, "%s\n", name)
	fmt.Fprintf(out, "  mark-start   %5.2f s, %.2f s CPU, %3d MB; marks reached all nodes within %.3f s\n",
		begun.wall.Seconds(), begun.cpu.Seconds(), begun.rss>>20, spread(b.nodes, "/v1/mark-start").Seconds())
	fmt.Fprintf(out, "  mark-end     %5.2f s, %.2f s CPU, %3d MB; marks reached all nodes within %.3f s; stamped %.3f s after the call\n",
		ended.wall.Seconds(), ended.cpu.Seconds(), ended.rss>>20, spread(b.nodes, "/v1/mark-end").Seconds(), r.End.Wall().Sub(called).Seconds())
	fmt.Fprintf(out, "  result       %d nodes, %d GPUs, edges equal on all; %.1f J, off by %+.1f of ± %.1f J; clocks known to %.2f ms or better\n",
		len(r.Nodes), len(r.GPUs), joules, joules-want, bound, worst*1e3)
	return err
}

// offline merges the nodes' files.
func (b bench) offline(out io.Writer, shared string) error {
	pattern := filepath.Join(shared, "power_window_r0_*.json")
	before, err := os.ReadFile(filepath.Join(b.dir, "agg_r0.json"))
	if err != nil {
		return err
	}
	r, err := b.wattmark("aggregate", "--window", pattern, "--expected-nodes", fmt.Sprint(len(b.nodes)), "--bench-result", "r0.json",
		"--agg-result", "agg_r0.json", "--require-power")
	if err != nil {
		return err
	}
	after, err := os.ReadFile(filepath.Join(b.dir, "agg_r0.json"))
	if err != nil {
		return err
	}
	if !bytes.Equal(before, after) {
		return fmt.Errorf("from the files:\n%s\nwant\n%s", after, before)
	}
	fmt.Fprintf(out, "aggregate from %d window files: %.2f s, %d MB, the same numbers\n", len(b.nodes), r.wall.Seconds(), r.rss>>20)
	return nil
}
