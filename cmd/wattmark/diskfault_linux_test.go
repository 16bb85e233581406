package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wattmark/internal/callfault"
)

const (
	smallAggregate = "{\n  \"hw\": \"h200\",\n  \"big\": 12345678901234567890\n}"
	smallResult    = `{"completed": 64, "total_input_tokens": 65536, "total_output_tokens": 16384}`
)

// overSocket starts a daemon that needs no file to say where it listens. fault may be the zero value.
func overSocket(t *testing.T, fault callfault.Fault, results string, args ...string) *served {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	d := &served{t: t, results: results, log: &logBuffer{}, exited: make(chan error, 1), base: "http://localhost"}
	args = append([]string{
		program(t), "serve", "--backend", "sim", "--sim", "1xH200,load=decode", "--allow-simulated",
		"--listen", "unix:" + socket, "--results-dir", results,
	}, args...)
	d.command = exec.Command(args[0], args[1:]...)
	if fault != (callfault.Fault{}) {
		d.command = exec.Command(os.Args[0], args...)
		d.command.Env = append(os.Environ(), fault.Environment())
	}
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	d.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	waitFor(t, "/readyz", func() bool {
		response, err := d.client.Get(d.base + "/readyz")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == 200
	})
	return d
}

// answer is what a test of files looks at.
type answer struct {
	answerJSON
	status, detail string
	notes          string
}

// end ends window r, with a result and an aggregate in a folder below the results folder ("" or "sub/").
func (d *served) end(run, folder string) answer {
	d.t.Helper()
	values := form("run", run, "benchmark_result", folder+"r.json", "agg_result", folder+"agg_r.json")
	response, err := d.client.PostForm(d.base+"/v1/mark-end", values)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 200 {
		d.t.Fatalf("mark-end: %d %s %v", response.StatusCode, text, err)
	}
	a := answer{answerJSON: decode(d.t, text)}
	aggregate := a.answerJSON["agg_result"].(map[string]any)
	a.status, _ = aggregate["status"].(string)
	a.detail, _ = aggregate["detail"].(string)
	a.notes = fmt.Sprint(a.answerJSON["notes"])
	if a.number(d.t, "total_gpu_energy_j") < 0 || a.answerJSON["power_valid"] != true {
		d.t.Errorf("the measurement itself: %s", text)
	}
	return a
}

func (d *served) begin(run string) {
	d.t.Helper()
	response, err := d.client.PostForm(d.base+"/v1/mark-start", form("run", run))
	if err != nil {
		d.t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != 201 {
		d.t.Fatalf("mark-start: %d", response.StatusCode)
	}
	time.Sleep(50 * time.Millisecond)
}

// untouched checks that a folder's aggregate is what it was, and that no half of a file is left.
func untouched(t *testing.T, dir string) {
	t.Helper()
	if got := read(t, dir, "agg_r.json"); got != smallAggregate {
		t.Errorf("the aggregate is %q", got)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".wattmark-") { // the state's own has one name and is used again
			t.Errorf("%s was left", entry.Name())
		}
	}
}

// patched checks that a folder's aggregate is the old one plus the energy of the answer.
func patched(t *testing.T, dir string, a answer) {
	t.Helper()
	text := read(t, dir, "agg_r.json")
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil || !strings.Contains(text, `"big": 12345678901234567890`) {
		t.Fatalf("%v in %q", err, text)
	}
	energy, want := object["total_gpu_energy_j"].(float64), a.number(t, "total_gpu_energy_j")
	if energy-want > 0.001 || want-energy > 0.001 || object["power_valid"] != 1.0 {
		t.Errorf("the aggregate has %v J, want %v: %s", energy, want, text)
	}
}

func fill(t *testing.T, dir string) {
	t.Helper()
	write(t, dir, "r.json", smallResult)
	write(t, dir, "agg_r.json", smallAggregate)
}

// Every step of writing fails in every way that disks know: the measurement stands, the old aggregate is whole, the
// answer names the error, nothing is left behind. After a restart on a sound disk the window's end can be repeated.
func TestFailingCalls(t *testing.T) {
	for step, fails := range map[string]func(syscall.Errno) callfault.Fault{"create": callfault.Create, "chmod": callfault.Chmod, "fsync": callfault.Sync, "rename": callfault.Rename} {
		for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EIO, syscall.EROFS, syscall.EACCES, syscall.EDQUOT} {
			t.Run(step+" "+errno.Error(), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				fill(t, dir)
				d := overSocket(t, fails(errno), dir)
				d.begin("r")
				a := d.end("r", "")
				if a.status != "failed" || !strings.Contains(a.detail, errno.Error()) {
					t.Errorf("aggregate %s: %q, want failed: %v", a.status, a.detail, errno)
				}
				for _, note := range []string{"validation_file_unwritable", "window_file_unwritable"} {
					if !strings.Contains(a.notes, note) {
						t.Errorf("notes %s, want %s", a.notes, note)
					}
				}
				untouched(t, dir)
				if took, err := d.stop(); err != nil || took > 2*time.Second {
					t.Errorf("SIGTERM: %v after %v", err, took)
				}
			})
		}
	}
}

// A disk that is really full, and one that becomes read-only: the window file, on another disk, finishes the job.
// Where mounting is not allowed, a limit on file sizes stands for it in TestFileSizeLimit.
func TestFullResultsDisk(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", sub, "tmpfs", 0, "size=16k"); err != nil { // four pages
		t.Logf("no mount here (%v): see TestFileSizeLimit and TestFailingCalls", err)
		return
	}
	t.Cleanup(func() { _ = syscall.Unmount(sub, syscall.MNT_DETACH) })
	fill(t, sub)
	write(t, sub, "filler", "")
	d := overSocket(t, callfault.Fault{}, dir)
	full := func() {
		file, err := os.OpenFile(filepath.Join(sub, "filler"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		for err == nil {
			_, err = file.Write(make([]byte, 4096))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("filling the disk: %v", err)
		}
	}
	full()
	d.begin("r")
	a := d.end("r", "sub/")
	if a.status != "failed" || !strings.Contains(a.detail, "no space left on device") || strings.Contains(a.notes, "window_file_unwritable") {
		t.Errorf("full: %s %q, notes %s", a.status, a.detail, a.notes)
	}
	untouched(t, sub)

	// The window file finishes the job once there is room, with no daemon.
	if err := os.Truncate(filepath.Join(sub, "filler"), 0); err != nil {
		t.Fatal(err)
	}
	out, errs, code := wattmark(t, dir, nil, "aggregate", "--allow-simulated", "--window", "power_window_r.json", "--bench-result", "sub/r.json", "--agg-result", "sub/agg_r.json")
	if code != 0 {
		t.Errorf("aggregate: %d %s%s", code, out, errs)
	}
	patched(t, sub, a)

	// So does the daemon, asked again.
	write(t, sub, "agg_r.json", smallAggregate)
	full()
	d.begin("s")
	if a := d.end("s", "sub/"); a.status != "failed" {
		t.Errorf("full again: %s %q", a.status, a.detail)
	}
	untouched(t, sub)
	if err := os.Truncate(filepath.Join(sub, "filler"), 0); err != nil {
		t.Fatal(err)
	}
	a = d.end("s", "sub/")
	if a.status != "patched" || strings.Contains(a.notes, "unwritable") {
		t.Errorf("with room again: %s %q, notes %s", a.status, a.detail, a.notes)
	}
	patched(t, sub, a)

	// Read-only.
	write(t, sub, "agg_r.json", smallAggregate)
	if err := syscall.Mount("none", sub, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	d.begin("u")
	if a := d.end("u", "sub/"); a.status != "failed" || !strings.Contains(a.detail, "read-only file system") {
		t.Errorf("read-only: %s %q", a.status, a.detail)
	}
	untouched(t, sub)
	if err := syscall.Mount("none", sub, "tmpfs", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	if a = d.end("u", "sub/"); a.status != "patched" {
		t.Errorf("writable again: %s %q", a.status, a.detail)
	}
	patched(t, sub, a)
}

// A limit on the size of files breaks a write in its middle, as a full disk does, and can be lifted: what failed is
// made up for by the next mark-end. The daemon survives the signal that comes with it.
func TestFileSizeLimit(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	d := overSocket(t, callfault.Fault{}, dir)
	limit := func(bytes uint64) {
		if err := unix.Prlimit(d.command.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil); err != nil {
			t.Fatal(err)
		}
	}
	d.begin("r")
	limit(16)
	a := d.end("r", "")
	if a.status != "failed" || !strings.Contains(a.detail, "file too large") || !strings.Contains(a.notes, "window_file_unwritable") || !strings.Contains(a.notes, "validation_file_unwritable") {
		t.Errorf("limited: %s %q, notes %s", a.status, a.detail, a.notes)
	}
	untouched(t, dir)
	limit(unix.RLIM_INFINITY)
	a = d.end("r", "")
	if a.status != "patched" || strings.Contains(a.notes, "unwritable") {
		t.Errorf("without limit: %s %q, notes %s", a.status, a.detail, a.notes)
	}
	patched(t, dir, a)
	for _, file := range []string{"power_window_r.json", "power_validation_r.json"} {
		if text := read(t, dir, file); !json.Valid([]byte(text)) {
			t.Errorf("%s: %.100s", file, text)
		}
	}
}

// The results folder vanishes in mid-window: the answer has the measurement and says that nothing could be written.
// Made anew, the folder is used without a restart.
func TestVanishedFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fill(t, dir)
	d := overSocket(t, callfault.Fault{}, dir)
	d.begin("r")
	if err := os.Rename(dir, dir+".gone"); err != nil {
		t.Fatal(err)
	}
	values := form("run", "r", "completed", "64", "total_input_tokens", "65536", "total_output_tokens", "16384", "agg_result", "agg_r.json")
	response, err := d.client.PostForm(d.base+"/v1/mark-end", values)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if response.StatusCode != 200 || !strings.Contains(string(text), `"status":"failed"`) && !strings.Contains(string(text), `"status":"patched"`) {
		t.Errorf("without the folder: %d %s", response.StatusCode, text)
	}
	waitFor(t, "the folder to be gone", func() bool { return os.RemoveAll(dir+".gone") == nil }) // the daemon still writes there
	d.begin("s")
	a := d.lost("s")
	if a.status != "failed" || !strings.Contains(a.detail, "no such file or directory") || !strings.Contains(a.notes, "window_file_unwritable") {
		t.Errorf("removed: %s %q, notes %s", a.status, a.detail, a.notes)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fill(t, dir)
	a = d.end("s", "")
	if a.status != "patched" || strings.Contains(a.notes, "unwritable") {
		t.Errorf("made anew: %s %q, notes %s", a.status, a.detail, a.notes)
	}
	patched(t, dir, a)
	d.begin("u")
	if a := d.end("u", ""); a.status != "patched" || strings.Contains(a.notes, "unwritable") {
		t.Errorf("the next window: %s %q, notes %s", a.status, a.detail, a.notes)
	}
}

// lost is end by counts, for there is no result to read.
func (d *served) lost(run string) answer {
	d.t.Helper()
	response, err := d.client.PostForm(d.base+"/v1/mark-end", form("run", run, "completed", "64", "total_input_tokens", "65536",
		"total_output_tokens", "16384", "agg_result", "agg_r.json"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	if response.StatusCode != 200 {
		d.t.Fatalf("mark-end: %d %s", response.StatusCode, text)
	}
	a := answer{answerJSON: decode(d.t, text)}
	aggregate := a.answerJSON["agg_result"].(map[string]any)
	a.status, _ = aggregate["status"].(string)
	a.detail, _ = aggregate["detail"].(string)
	a.notes = fmt.Sprint(a.answerJSON["notes"])
	return a
}
