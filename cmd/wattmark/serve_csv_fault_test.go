package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A folder that is not there, a file that is not ours, a full disk: the daemon says so once, measures on, and writes
// from memory what is missing when it can.
func TestCSVFaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "later", "gpu_metrics.csv")
	d := serve(t, nil, "--backend", "sim", "--sim", "2xH200", "--interval", "50ms", "--csv", file).ready()
	d.must("/v1/mark-start", "run", "r")
	time.Sleep(500 * time.Millisecond)
	if r := d.must("/v1/mark-end", "run", "r"); r.number(t, "total_gpu_energy_j") <= 0 {
		t.Error("nothing measured")
	}
	if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	d.must("/v1/mark-start", "run", "r2")
	d.must("/v1/mark-end", "run", "r2") // which does not wait for the next try
	lines := strings.Split(strings.TrimSpace(read(t, filepath.Dir(file), "gpu_metrics.csv")), "\n")
	if len(lines) < 1+2*10 {
		t.Errorf("%d lines, want those of half a second at 20 Hz too", len(lines))
	}
	waitFor(t, "word that the file is written again", func() bool { return strings.Contains(d.log.String(), "csv written again") })
	if n := strings.Count(d.log.String(), "csv not written"); n != 1 || !strings.Contains(d.log.String(), "no such file") {
		t.Errorf("said %d times that the file is not written, want once", n)
	}

	foreign := "not ours\n"
	write(t, dir, "taken.csv", foreign)
	other := serve(t, nil, "--backend", "sim", "--csv", filepath.Join(dir, "taken.csv")).ready()
	waitFor(t, "a warning", func() bool { return strings.Contains(other.log.String(), "it holds something else") })
	if read(t, dir, "taken.csv") != foreign {
		t.Error("a file that is not ours was changed")
	}
}

// A disk of 64 kB in a mount namespace: it fills, the daemon measures on; there is room again, and no row is missing.
func TestCSVOnFullDisk(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	port := filepath.Join(t.TempDir(), "port")
	script := `set -e; mount -t tmpfs -o size=64k none "$1"; head -c 40000 /dev/zero > "$1/big"
		"$2" serve --listen 127.0.0.1:0 --port-file "$3" --results-dir "$4" --backend sim --sim 8xH200 --interval 20ms --csv "$1/gpu_metrics.csv" &
		trap 'kill $!; wait $!' TERM
		while [ ! -e "$4/go" ]; do sleep 0.1; done; rm "$1/big"
		while [ ! -e "$4/copy" ]; do sleep 0.1; done; cp "$1/gpu_metrics.csv" "$4/done"; mv "$4/done" "$4/gpu_metrics.csv"
		kill $!; wait $!`
	d := &served{t: t, results: t.TempDir(), log: &logBuffer{}, exited: make(chan error, 1)}
	d.command = exec.Command("unshare", "-Urm", "sh", "-c", script, "sh", disk, program(t), port, d.results)
	if os.Geteuid() == 0 {
		d.command.Args[1] = "-m"
	}
	d.command.Stdout, d.command.Stderr = d.log, d.log
	if exec.Command("unshare", d.command.Args[1], "true").Run() != nil {
		t.Skip("no mount namespaces here; TestFileOnFullDisk has the rule")
	}
	if err := d.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.exited <- d.command.Wait() }()
	t.Cleanup(func() { _ = d.command.Process.Signal(os.Interrupt) })
	waitFor(t, "the port file", func() bool {
		text, err := os.ReadFile(port)
		d.base = "http://127.0.0.1:" + strings.TrimSpace(string(text))
		return err == nil && len(text) > 0
	})
	d.must("/v1/mark-start", "run", "r")
	waitFor(t, "the disk to be full", func() bool { return strings.Contains(d.log.String(), "no space left") })
	time.Sleep(200 * time.Millisecond)
	r := d.must("/v1/mark-end", "run", "r")
	if gap := r.gpus(t)[0].number(t, "max_gap_s"); gap > 0.5 {
		t.Errorf("the longest gap is %v s: sampling waits for the disk", gap)
	}
	write(t, d.results, "go", "")
	time.Sleep(300 * time.Millisecond)
	d.must("/v1/mark-start", "run", "r2")
	d.must("/v1/mark-end", "run", "r2")
	write(t, d.results, "copy", "")
	waitFor(t, "the copy", func() bool { _, err := os.Stat(filepath.Join(d.results, "gpu_metrics.csv")); return err == nil })
	checkCSVForm(t, read(t, d.results, "gpu_metrics.csv"), "nvidia", true, r.number(t, "start_unix"), r.number(t, "end_unix"),
		0, 1, 2, 3, 4, 5, 6, 7)
	if err := <-d.exited; err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
}

// A daemon that was killed goes on behind its last whole row, and does not write again what it takes over from its state.
func TestCSVAfterCrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	args := []string{
		"--backend", "sim", "--sim", "2xH200", "--interval", "100ms", "--state-dir", dir, "--csv", filepath.Join(dir, "gpu_metrics.csv"),
	}
	d := serve(t, nil, args...).ready()
	waitFor(t, "some rows", func() bool { return strings.Count(read(t, dir, "gpu_metrics.csv"), "\n") > 10 })
	if err := d.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-d.exited; err == nil {
		t.Fatal("the daemon ended before it was killed")
	}
	before := read(t, dir, "gpu_metrics.csv")
	write(t, dir, "gpu_metrics.csv", before+"2026/01/01 00:0")
	d = serve(t, nil, args...).ready()
	waitFor(t, "more rows", func() bool {
		return strings.Count(read(t, dir, "gpu_metrics.csv"), "\n") > strings.Count(before, "\n")+10
	})
	if _, err := d.stop(); err != nil {
		t.Error(err)
	}
	after, ours := strings.CutPrefix(read(t, dir, "gpu_metrics.csv"), before)
	if !ours {
		t.Fatal("the rows of before are not what they were")
	}
	seen := map[string]bool{}
	for row := range strings.Lines(after) {
		cells := strings.SplitN(row, ", ", 3)
		key := strings.Join(cells[:2], " ")
		if seen[key] || strings.Contains(before, cells[0]+", "+cells[1]+",") || strings.Count(row, ",") != 7 {
			t.Errorf("row %q is torn or was there before", row)
		}
		seen[key] = true
	}
}
