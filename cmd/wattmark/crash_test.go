package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wattmark/internal/nvmldouble"
)

// lives are daemons that follow each other on the same folder and the same scripted driver.
type lives struct {
	*testing.T
	dir    string
	script nvmldouble.Script
	env    []string
	args   []string

	limitFiles int64 // bytes; 0: files may be as large as they like
}

func newLives(t *testing.T, script nvmldouble.Script, args ...string) *lives {
	t.Helper()
	library, err := nvmldouble.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := &lives{T: t, dir: t.TempDir(), script: script}
	file := filepath.Join(t.TempDir(), "nvml.script")
	if err := script.Write(file); err != nil {
		t.Fatal(err)
	}
	l.env = []string{nvmldouble.ScriptVariable + "=" + file}
	l.args = append([]string{"--backend", "nvidia", "--nvml-library", library, "--results-dir", l.dir}, args...)
	return l
}

// next starts a daemon.
func (l *lives) next(more ...string) *served {
	l.Helper()
	d := serve(l, l.env, slices.Concat(l.args, more)...)
	d.results = l.dir
	if l.limitFiles > 0 { // as a disk that is full: each file is, from there on
		limitFiles(l, d.command.Process.Pid, l.limitFiles)
	}
	return d
}

// kill ends a daemon as kill -9 does.
func (d *served) kill() {
	d.t.Helper()
	if err := d.command.Process.Signal(syscall.SIGKILL); err != nil {
		d.t.Fatal(err)
	}
	if err := <-d.exited; err == nil {
		d.t.Error("the daemon ended well before it was killed")
	}
}

// marker marks small windows as fast as it can until the daemon is gone, and remembers what it was told.
type marker struct {
	open  map[string]string // id by run, of windows that are open for sure
	ended map[string][]byte // the answer, of windows that have ended for sure
	n     int
}

func (m *marker) run(d *served, name string) {
	m.open, m.ended = map[string]string{}, map[string][]byte{}
	for {
		run := fmt.Sprintf("%s-%d", name, m.n)
		m.n++
		response, err := http.PostForm(d.base+"/v1/mark-start", form("run", run, "gpus", "0"))
		if err != nil {
			return
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != 201 {
			return
		}
		m.open[run], _ = decode(d.t, body)["id"].(string)
		if m.n%3 == 0 {
			continue // this one stays open
		}
		id := m.open[run]
		delete(m.open, run) // from here on nobody knows
		response, err = http.PostForm(d.base+"/v1/mark-end", form("id", id))
		if err != nil {
			return
		}
		body, err = io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != 200 {
			return
		}
		m.ended[id] = body
	}
}

// restless are four GPUs whose power moves all the time, each in its own way. It has no steps: these daemons live less
// than the 2.5 s after which a step at an edge is followed, and this is about restarts (docs/accuracy.md is about steps).
func restless(origin time.Time) nvmldouble.Script {
	script := nvmldouble.Script{Origin: origin}
	for i, power := range []nvmldouble.Trace{
		nvmldouble.Constant(512),
		{Sine: nvmldouble.Sine{Mean: 400, Amplitude: 150, Period: 1700 * time.Millisecond}},
		{Sine: nvmldouble.Sine{Mean: 450, Amplitude: 220, Period: 3100 * time.Millisecond}},
		{Sine: nvmldouble.Sine{Mean: 300, Amplitude: 100, Period: 610 * time.Millisecond}},
	} {
		gpu := nvmldouble.H200(power)
		gpu.CounterPhase = time.Duration(i) * 23 * time.Millisecond
		script.GPUs = append(script.GPUs, gpu)
	}
	return script
}

// The daemon is killed the moment that mark-start has answered: the reading at the start is there all the same.
func TestKilledAfterMarkStart(t *testing.T) {
	script := restless(time.Now())
	l := newLives(t, script)
	d := l.next().ready()
	for i := range 6 {
		time.Sleep(time.Duration(100*i) * time.Millisecond)
		run := fmt.Sprintf("r%d", i)
		d.must("/v1/mark-start", "run", run)
		d.kill()
		d = l.next().ready()
		r := d.must("/v1/mark-end", "run", run)
		if notes := fmt.Sprint(r["notes"]); r["power_valid"] != true || strings.Contains(notes, "edge_interpolated") {
			t.Errorf("%s: reasons %v, notes %s: the reading at its start is lost", run, r["reasons"], notes)
		}
	}
}

// crashes is how many times the daemon is killed: make endurance asks for more.
func crashes() int {
	if n, err := strconv.Atoi(os.Getenv("WATTMARK_CRASHES")); err == nil {
		return n
	}
	return 12
}

// kill -9 at random points, while readings at 100 Hz and marks are written: the next daemon has every window that the
// one before answered for, under the same id, and its energy is the truth within its bound.
func TestKilledAtRandomPoints(t *testing.T) {
	script := restless(time.Now())
	l := newLives(t, script, "--interval", "10ms")
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	d := l.next().ready()
	var windows, outside, again, resumed int
	worst, longest := 0.0, 0.0
	for i := range crashes() {
		run := fmt.Sprintf("r%d", i)
		id := d.must("/v1/mark-start", "run", run)["id"]
		var m marker
		var marking sync.WaitGroup
		marking.Go(func() { m.run(d, fmt.Sprintf("m%d", i)) })
		time.Sleep(time.Duration(random.IntN(250_000)) * time.Microsecond)
		d.kill()
		marking.Wait()

		d = l.next()
		for run, id := range m.open {
			if got := decode(t, d.get("/v1/windows/"+run)); got["state"] != "open" || got["id"] != id {
				t.Errorf("crash %d: window %s: %v %v, want it open as %s", i, run, got["state"], got["id"], id)
			}
			d.must("/v1/mark-end", "run", run)
			resumed++
		}
		for id, answer := range m.ended {
			if status, body := d.post("/v1/mark-end", "id", id); status != 200 || !bytes.Equal(body, answer) {
				t.Errorf("crash %d: mark-end again: %d, not the same bytes", i, status)
			}
			again++
		}
		if got := decode(t, d.get("/v1/windows/"+run)); got["id"] != id || got["state"] != "open" {
			t.Fatalf("crash %d: window %v", i, got)
		}
		d.ready()
		r := d.must("/v1/mark-end", "run", run)
		if r["power_valid"] != true || !slices.Contains(r["notes"].([]any), any("daemon_restarted")) {
			t.Errorf("crash %d: reasons %v, notes %v", i, r["reasons"], r["notes"])
		}
		start, end := r.edges(t)
		for _, gpu := range r.gpus(t) {
			truth := script.TrueJoules(int(gpu.number(t, "index")), start, end)
			off := math.Abs(gpu.number(t, "energy_j")-truth) / gpu.number(t, "bound_j")
			worst = max(worst, off)
			if windows++; off > 1 {
				outside++
			}
			if off > 3 || gpu["method"] != "counter" {
				t.Errorf("crash %d: GPU %v by %v: %v J ± %v, truth %.1f", i, gpu["index"], gpu["method"], gpu["energy_j"], gpu["bound_j"], truth)
			}
		}
		gaps, _ := r["interruptions"].([]any)
		if len(gaps) != 1 {
			t.Fatalf("crash %d: interruptions %v, want one", i, gaps)
		}
		gap := answerJSON(gaps[0].(map[string]any))
		seconds := gap.number(t, "gap_s")
		longest = max(longest, seconds)
		if span := gap.number(t, "end_unix") - gap.number(t, "start_unix"); math.Abs(span-seconds) > 0.01 || seconds <= 0 {
			t.Errorf("crash %d: gap of %v s from %v to %v", i, seconds, gap["start_unix"], gap["end_unix"])
		}
	}
	if outside > windows/10+1 {
		t.Errorf("the truth lies outside the bound in %d of %d windows", outside, windows)
	}
	if again == 0 || resumed == 0 {
		t.Error("no marks were made meanwhile")
	}
	t.Logf("%d crashes: %d GPU windows, truth outside the bound in %d (of 2 sigma), worst %.2f bounds; %d other windows resumed, %d answered again; longest gap %.2f s",
		crashes(), windows, outside, worst, resumed, again, longest)
	if _, err := d.stop(); err != nil {
		t.Error(err)
	}
}
