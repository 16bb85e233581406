package api

import (
	"encoding/json"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/window"
)

// viewer is a client of the event stream. While stuck it takes nothing, as one whose connection has stalled.
type viewer struct {
	mu       sync.Mutex
	text     strings.Builder
	header   http.Header
	status   int
	deadline time.Time
	stuck    bool
	done     chan struct{}
}

func (v *viewer) Header() http.Header    { return v.header }
func (v *viewer) WriteHeader(status int) { v.status = status }
func (v *viewer) Flush()                 {}

func (v *viewer) SetWriteDeadline(t time.Time) error {
	v.deadline = t
	return nil
}

func (v *viewer) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.stuck {
		time.Sleep(time.Until(v.deadline))
		return 0, os.ErrDeadlineExceeded
	}
	return v.text.Write(p)
}

// take returns the events of one name since the last call of take.
func (v *viewer) take(t *testing.T) map[string][]json.RawMessage {
	t.Helper()
	synctest.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	events := map[string][]json.RawMessage{}
	for block := range strings.SplitSeq(strings.TrimSpace(v.text.String()), "\n\n") {
		head, data, ok := strings.Cut(block, "\ndata: ")
		name, named := strings.CutPrefix(head, "event: ")
		if block != "" && (!ok || !named || !json.Valid([]byte(data)) || strings.Contains(data, "\n")) {
			t.Errorf("not an event: %.200q", block)
		}
		events[name] = append(events[name], json.RawMessage(data))
	}
	v.text.Reset()
	return events
}

// view connects a viewer.
func (d *daemon) view(query string) *viewer {
	v := &viewer{header: http.Header{}, done: make(chan struct{})}
	go func() {
		defer close(v.done)
		d.handler.ServeHTTP(v, d.request("GET", "/v1/events"+query, "", ""))
	}()
	return v
}

func decodeAs[T any](t *testing.T, text json.RawMessage) (out T) {
	t.Helper()
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// The stream begins with everything, then tells what is new: each reading once, a window's state when it changes.
func TestEvents(t *testing.T) {
	inBubble(t, options{spec: "4xH200,load=constant,watts=500"}, func(d *daemon) {
		v := d.view("?span_s=60")
		first := v.take(t)
		if kind := v.header.Get("Content-Type"); kind != "text/event-stream" {
			t.Errorf("content type %q", kind)
		}
		state := decodeAs[DaemonEvent](t, first["daemon"][0])
		if !state.Ready || len(state.GPUs) != 4 || state.GPUs[0].Method != window.Counter || state.IntervalS != 1 {
			t.Errorf("daemon %s", first["daemon"][0])
		}
		power := decodeAs[PowerEvent](t, first["power"][0])
		if !power.Fresh || len(power.Total) != 11 || len(power.GPUs[3].Points) != 11 {
			t.Errorf("%d points of all and %d of one GPU, want those of the 10.5 s so far", len(power.Total), len(power.GPUs[3].Points))
		}
		for _, p := range power.Total {
			if watts := p[1].Or(0); math.Abs(watts-2000) > 20 {
				t.Errorf("all GPUs draw %v W, want 2000", watts)
			}
		}
		mean, bound := power.Mean.TotalPower.Or(0), power.Mean.Bound.Or(0)
		if math.Abs(mean-2000) > bound || bound == 0 || bound > 20 {
			t.Errorf("mean %v ± %v W, want 2000", mean, bound)
		}

		time.Sleep(5 * time.Second)
		next := v.take(t)
		points := 0
		for _, text := range next["power"] {
			e := decodeAs[PowerEvent](t, text)
			points += len(e.GPUs[0].Points)
			if e.Fresh {
				t.Error("fresh again")
			}
		}
		if len(next["power"]) != 5 || points != 5 || len(next["daemon"]) != 0 || len(next["windows"]) != 0 {
			t.Errorf("in 5 s: %d power events, %d points, %d daemon, %d windows", len(next["power"]), points, len(next["daemon"]), len(next["windows"]))
		}

		d.post("/v1/mark-start", "run=r1").want(201)
		time.Sleep(4 * time.Second)
		open := decodeAs[WindowsEvent](t, v.take(t)["windows"][0]).Windows[0]
		if open.Run != "r1" || open.State != "open" || open.Valid != nil || open.Energy.OK() {
			t.Errorf("%+v, want it open", open)
		}
		result := d.post("/v1/mark-end", "run=r1&completed=1&total_input_tokens=1000&total_output_tokens=100").result()
		time.Sleep(time.Second)
		ended := decodeAs[WindowsEvent](t, v.take(t)["windows"][0]).Windows[0]
		if ended.State != "ended" || !*ended.Valid || ended.Energy != result.Energy() || ended.PerOutputToken != result.PerOutputToken() {
			t.Errorf("%+v, want what mark-end answered", ended)
		}
		d.server.Interrupt() // the daemon ends: so does the stream
		synctest.Wait()
		<-v.done
	})
}

// A lost GPU: the daemon is not ready, the total is missing rather than smaller, the window says why in words.
func TestEventsOfALostGPU(t *testing.T) {
	inBubble(t, options{spec: "2xH200,load=constant,watts=500,fault=lost:12s@1"}, func(d *daemon) {
		d.post("/v1/mark-start", "run=r").want(201)
		v := d.view("")
		time.Sleep(8 * time.Second)
		d.post("/v1/mark-end", "run=r").want(200)
		time.Sleep(time.Second)
		events := v.take(t)
		state := decodeAs[DaemonEvent](t, events["daemon"][len(events["daemon"])-1])
		if state.Ready || len(state.Reasons) != 1 || state.GPUs[1].Error == nil {
			t.Errorf("daemon %+v", state)
		}
		last := decodeAs[PowerEvent](t, events["power"][len(events["power"])-1])
		if last.GPUs[0].Power.Or(0) < 400 || last.GPUs[1].Power.OK() || last.GPUs[1].AgeS < 5 {
			t.Errorf("GPUs %+v", last.GPUs)
		}
		if total := last.Total[len(last.Total)-1]; total[1].OK() || last.Mean.TotalPower.OK() {
			t.Errorf("total %v, mean %v: one GPU of two is no total", total, last.Mean)
		}
		w := decodeAs[WindowsEvent](t, events["windows"][len(events["windows"])-1]).Windows[0]
		if *w.Valid || !slices.Contains(w.Reasons, Worded{string(window.NotBracketed), window.NotBracketed.Words()}) {
			t.Errorf("window %+v", w)
		}
		d.server.Interrupt()
		<-v.done
	})
}

// So many viewers and no more; one that does not read is dropped; who leaves makes room.
func TestViewersAreBounded(t *testing.T) {
	inBubble(t, options{spec: "1xH200"}, func(d *daemon) {
		var all []*viewer
		for range maxViewers {
			all = append(all, d.view(""))
		}
		synctest.Wait()
		d.get("/v1/events").problem(http.StatusTooManyRequests, "too_many_viewers")
		all[3].mu.Lock()
		all[3].stuck = true
		all[3].mu.Unlock()
		time.Sleep(eventWait + 2*time.Second)
		synctest.Wait()
		select {
		case <-all[3].done:
		default:
			t.Error("a viewer that takes nothing is still connected")
		}
		more := d.view("")
		if len(more.take(t)["power"]) == 0 {
			t.Error("no room after one has left")
		}
		d.server.Interrupt()
		synctest.Wait()
		if n := d.server.viewers.n.Load(); n != 0 {
			t.Errorf("%d viewers left", n)
		}
		for _, query := range []string{"?span_s=9", "?span_s=3601", "?span_s=x", "?x=1"} {
			d.get("/v1/events"+query).problem(http.StatusBadRequest, "malformed")
		}
	})
}
