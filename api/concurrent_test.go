package api

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Sixteen clients mark at once over real HTTP, while others look: each window is right by itself. One run's mark-end
// comes from all of them: the same bytes, one patch.
func TestSixteenClients(t *testing.T) {
	d := startDaemon(t, options{})
	web := httptest.NewServer(d.handler)
	t.Cleanup(web.Close)
	d.write("r.json", counts)
	d.write("agg_r.json", aggregate)
	send := func(method, path, form string) (int, []byte) {
		r, err := http.NewRequestWithContext(t.Context(), method, web.URL+path, strings.NewReader(form))
		if err != nil {
			t.Error(err)
			return 0, nil
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := web.Client().Do(r)
		if err != nil {
			t.Error(err)
			return 0, nil
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Error(err)
		}
		return response.StatusCode, text
	}
	for status := 0; status != http.StatusOK && !t.Failed(); status, _ = send("GET", "/readyz", "") { // the first readings
		time.Sleep(time.Millisecond)
	}
	if status, text := send("POST", "/v1/mark-start", "run=shared"); status != 201 {
		t.Fatalf("%d %s", status, text)
	}
	const clients = 16
	var wg sync.WaitGroup
	var shared [clients][]byte
	var stamps [clients]string
	for i := range clients {
		wg.Go(func() {
			for k := range 3 {
				run := fmt.Sprintf("r%d-%d", i, k)
				if status, text := send("POST", "/v1/mark-start", "run="+run); status != 201 {
					t.Errorf("%s: %d %s", run, status, text)
				}
				time.Sleep(time.Duration(20+10*i) * time.Millisecond)
				status, text := send("POST", "/v1/mark-end", "run="+run)
				d.wantClose(reply{d, status, nil, text})
				for _, path := range []string{"/v1/windows", "/v1/gpus", "/v1/readings", "/readyz", "/v1/windows/" + run} {
					if status, text := send("GET", path, ""); status != 200 {
						t.Errorf("%s: %d %s", path, status, text)
					}
				}
			}
			_, shared[i] = send("POST", "/v1/mark-end", "run=shared&benchmark_result=r.json&agg_result=agg_r.json")
			stamps[i] = d.stamp("agg_r.json")
		})
	}
	wg.Wait()
	for i := range clients {
		if !bytes.Equal(shared[i], shared[0]) || stamps[i] != stamps[0] || len(shared[i]) == 0 {
			t.Errorf("client %d: %s %s\nwant\n%s %s", i, stamps[i], shared[i], stamps[0], shared[0])
		}
	}
	if d.server.OpenWindows() != 0 || len(d.server.begun.byID) != 0 || len(d.server.ended.locks) != 0 {
		t.Errorf("left: %d windows, %d costs, %d locks", d.server.OpenWindows(), len(d.server.begun.byID), len(d.server.ended.locks))
	}
}

// wantClose checks a window of some tens of milliseconds, during which a busy machine delays marks: the energy is
// that of the time between the marks, within its bound and a tick of the counter.
func (d *daemon) wantClose(r reply) {
	result := r.result()
	truth, joules := d.truth(result), result.Energy().Or(-1)
	if apart := joules - truth; !result.Valid() || apart > 2*result.Bound().Or(0) || apart < -2*result.Bound().Or(0) {
		d.Errorf("%v: %.1f J, want %.1f ± 2 · %.1f; reasons %v", result.Duration(), joules, truth, result.Bound().Or(0), result.AllReasons())
	}
}

// A results folder that may only be read: the marks work, the answer says what was not written. The superuser may
// write anywhere, so the test runs again as nobody.
func TestReadOnlyFolder(t *testing.T) {
	const nobody = 65534
	if os.Geteuid() == 0 {
		if dir := os.Getenv("WATTMARK_TEST_READ_ONLY"); dir != "" {
			t.Fatal("still the superuser")
		}
		dir, err := os.MkdirTemp("", "wattmark-read-only-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		program := filepath.Join(dir, "api.test")
		if text, err := os.ReadFile("/proc/self/exe"); err != nil || os.WriteFile(program, text, 0o755) != nil || os.Chmod(dir, 0o755) != nil {
			t.Fatal("cannot copy the test's program", err)
		}
		again := exec.CommandContext(t.Context(), program, "-test.run=^TestReadOnlyFolder$", "-test.v")
		again.Dir = dir
		again.Env = append(os.Environ(), "WATTMARK_TEST_READ_ONLY="+dir, "TMPDIR=/tmp")
		again.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if text, err := again.CombinedOutput(); err != nil || !bytes.Contains(text, []byte("--- PASS: TestReadOnlyFolder")) {
			t.Fatalf("as nobody: %v\n%s", err, text)
		}
		return
	}
	inBubble(t, options{}, func(d *daemon) {
		d.write("r.json", counts)
		d.write("agg_r.json", aggregate)
		if err := os.Chmod(d.dir, 0o555); err != nil {
			t.Fatal(err)
		}
		before := d.contents(d.dir)
		r := d.marked("r", "benchmark_result=r.json&agg_result=agg_r.json").result()
		d.wantTrue(r)
		if r.Aggregate.Status != "failed" || !strings.Contains(r.Aggregate.Detail, "permission denied") || fmt.Sprint(r.AllNotes()) != "[validation_file_unwritable window_file_unwritable]" {
			t.Errorf("aggregate %+v, notes %v", r.Aggregate, r.AllNotes())
		}
		if d.contents(d.dir) != before {
			t.Error("files have changed")
		}
		d.server.Interrupt()
		if err := os.Chmod(d.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if again := d.post("/v1/mark-end", "run=r&benchmark_result=r.json&agg_result=agg_r.json").result(); again.Aggregate.Status != "patched" {
			t.Errorf("writable again: %+v", again.Aggregate)
		}
	})
}
