package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/window"
)

// Marks come as JSON, form fields or query parameters alike, and each measures eight GPUs within the bound.
func TestMarksInEveryEncoding(t *testing.T) {
	for _, c := range []struct{ name, kind, query, start, end string }{
		{"json", "application/json", "", `{"run":"r1","expected_num_gpus":8}`, `{"run":"r1"}`},
		{"json with charset", "application/json; charset=utf-8", "", `{"run":"r1","expected_num_gpus":8}`, `{"run":"r1"}`},
		{"json as curl -d sends it", "application/x-www-form-urlencoded", "", `{"run":"r1","expected_num_gpus":8}`, ` {"run":"r1"} `},
		{"json with nulls", "application/json", "", `{"run":"r1","expected_num_gpus":8,"role":null,"at_unix":null,"gpus":null}`, `{"run":"r1","benchmark":null,"completed":null}`},
		{"form", "application/x-www-form-urlencoded", "", "run=r1&expected_num_gpus=8", "run=r1"},
		{"form with a trailing newline and empty fields", "application/x-www-form-urlencoded", "", "run=r1&role=&expected_num_gpus=8\n", "run=r1%0A&agg_result="},
		{"form without content type", "", "", "run=r1&expected_num_gpus=8", "run=r1"},
		{"query", "", "?run=r1&expected_num_gpus=8", "", ""},
		{"query and body", "application/json", "?run=r1", `{"expected_num_gpus":8}`, ""},
		{"query and empty json body", "application/json", "?run=r1&expected_num_gpus=8", "{}", "{}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, options{}, func(d *daemon) {
				s := d.do(d.request("POST", "/v1/mark-start"+c.query, c.kind, c.start))
				opened := s.window()
				if opened.Run != "r1" || len(opened.GPUs) != 8 || len(opened.Warnings) != 0 || s.header.Get("Location") != "/v1/windows/r1" {
					t.Errorf("mark-start: %+v, Location %q", opened, s.header.Get("Location"))
				}
				time.Sleep(17300 * time.Millisecond)
				query := strings.TrimSuffix(c.query, "&expected_num_gpus=8")
				r := d.do(d.request("POST", "/v1/mark-end"+query, c.kind, c.end)).result()
				d.wantTrue(r)
				if r.Duration() != 17300*time.Millisecond || r.Start.Unix() != opened.StartUnix || *r.Expected != 8 || r.Observed() != 8 {
					t.Errorf("%v from %.3f, want 17.3 s from %.3f; %d GPUs", r.Duration(), r.Start.Unix(), opened.StartUnix, r.Observed())
				}
			})
		})
	}
}

// Which window mark-end means.
func TestMarkEndFindsItsWindow(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		d.post("/v1/mark-end", "").problem(404, "unknown_run")
		generated := d.post("/v1/mark-start", "").window()
		if !strings.HasPrefix(generated.Run, "run-") || len(generated.ID) != 16 {
			t.Errorf("generated run %q, id %q", generated.Run, generated.ID)
		}
		time.Sleep(3 * time.Second)
		if r := d.post("/v1/mark-end", "").result(); r.Run != generated.Run {
			t.Errorf("the only open window: got %q, want %q", r.Run, generated.Run)
		}
		a, b := d.post("/v1/mark-start", "run=a").window(), d.post("/v1/mark-start", "run=b").window()
		time.Sleep(3 * time.Second)
		d.post("/v1/mark-end", "").problem(409, "ambiguous_run")
		d.post("/v1/mark-end", "run=a&id="+b.ID).problem(404, "unknown_run")
		if r := d.post("/v1/mark-end", "id="+a.ID).result(); r.Run != "a" {
			t.Errorf("by id: got %q", r.Run)
		}
		d.post("/v1/mark-end", "run=a&id="+b.ID).problem(404, "unknown_run")
		if r := d.post("/v1/mark-end", "run=b&id="+b.ID).result(); r.Run != "b" {
			t.Errorf("by run and id: got %q", r.Run)
		}
		// The name is free again; the id of the first window of this name means that one only.
		again := d.post("/v1/mark-start", "run=a").window()
		d.post("/v1/mark-start", "run=a").problem(409, "window_open")
		d.post("/v1/mark-end", "run=a&id="+a.ID).problem(404, "unknown_run")
		time.Sleep(time.Second)
		if r := d.post("/v1/mark-end", "run=a").result(); r.Start.Unix() != again.StartUnix {
			t.Errorf("run used twice: starts at %.3f, want %.3f", r.Start.Unix(), again.StartUnix)
		}
		d.post("/v1/mark-end", "id="+a.ID).problem(404, "unknown_run")
	})
}

func TestExpectedGPUs(t *testing.T) {
	for _, c := range []struct {
		start, end string
		want       []window.Reason
	}{
		{"", "", nil},
		{"8", "", nil},
		{"", "8", nil},
		{"4", "8", nil}, // mark-end wins
		{"8", "4", []window.Reason{window.ExpectedGPUCountMismatch}},
		{"16", "", []window.Reason{window.ExpectedGPUCountMismatch}},
		{"0", "", []window.Reason{window.InvalidExpectedGPUCount}},
		{"", "-1", []window.Reason{window.InvalidExpectedGPUCount}},
	} {
		inBubble(t, options{}, func(d *daemon) {
			d.post("/v1/mark-start", "run=r&expected_num_gpus="+c.start).window()
			time.Sleep(2 * time.Second)
			r := d.post("/v1/mark-end", "run=r&expected_num_gpus="+c.end).result()
			if !slices.Equal(r.AllReasons(), c.want) || !r.Energy().OK() {
				t.Errorf("expected %q at start and %q at end: reasons %v, want %v; energy %v", c.start, c.end, r.AllReasons(), c.want, r.Energy())
			}
		})
	}
}

// GPUs are named by index, UUID, a beginning of it, or bus id.
func TestGPUsSubset(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		six, seven := d.gpus[6].Info(), d.gpus[7].Info()
		for _, gpus := range []string{
			`[6,7]`, `["6","7"]`, `"6,7"`, `"7, 6"`, `["` + six.UUID + `","` + strings.ToUpper(seven.UUID) + `"]`,
			`"` + six.BusID + `,00000000:07:00.0"`, `["6",7,"6"]`,
		} {
			s := d.post("/v1/mark-start", `{"run":"r","role":"decode","gpus":`+gpus+`}`).window()
			if len(s.GPUs) != 2 || s.GPUs[0].Index != 6 || s.GPUs[1].UUID != seven.UUID || s.GPUs[1].BusID != seven.BusID {
				t.Fatalf("gpus %s: chose %+v", gpus, s.GPUs)
			}
			time.Sleep(10 * time.Second)
			r := d.post("/v1/mark-end", "run=r").result()
			d.wantTrue(r)
			if len(r.GPUs) != 2 || r.GPUs[0].Index != 6 || r.GPUs[1].Index != 7 || r.GPUs[0].Role != "decode" {
				t.Errorf("gpus %s: measured %+v", gpus, r.GPUs)
			}
		}
		if s := d.post("/v1/mark-start?gpus=6&gpus=7&run=q", "").window(); len(s.GPUs) != 2 {
			t.Errorf("repeated query parameter: %d GPUs, want 2", len(s.GPUs))
		}
		if s := d.post("/v1/mark-start", `{"run":"one","gpus":3}`).window(); len(s.GPUs) != 1 || s.GPUs[0].Index != 3 {
			t.Errorf("one number: %+v", s.GPUs)
		}
	})
}

// A mark never waits for the schedule: in fake time it takes none, for the simulated driver answers at once. Where it
// is known how the counters tick, mark-end waits for the next tick of each: that makes the bound small.
func TestMarksAnswerAtOnce(t *testing.T) {
	bounds := map[bool]float64{}
	for calibrate, most := range map[bool]time.Duration{false: 0, true: 120 * time.Millisecond} {
		inBubble(t, options{calibrate: calibrate}, func(d *daemon) {
			bounds[calibrate] = d.marksTake(most)
		})
	}
	if bounds[true] > 0.7*bounds[false] {
		t.Errorf("bounds with and without knowing the counters: %v", bounds)
	}
}

func (d *daemon) marksTake(most time.Duration) (bound float64) {
	d.Helper()
	d.within(0, func() reply { return d.post("/v1/mark-start", "run=r") }).window()
	time.Sleep(4321 * time.Millisecond)
	r := d.within(most, func() reply { return d.post("/v1/mark-end", "run=r") }).result()
	d.wantTrue(r)
	if len(r.AllNotes()) != 0 || r.Duration() != 4321*time.Millisecond {
		d.Errorf("%v, notes %v, want 4.321 s and none: both edges lie on readings made for them", r.Duration(), r.AllNotes())
	}
	return r.Bound().Or(0)
}

// A window of no length is answered, with its reason and nothing else.
func TestWindowOfNoLength(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		d.post("/v1/mark-start", "run=r").window()
		r := d.post("/v1/mark-end", "run=r").result()
		if !slices.Equal(r.AllReasons(), []window.Reason{window.InvalidBenchmarkWindow}) || r.Energy().OK() || r.AvgPower().OK() {
			t.Errorf("reasons %v, %v J, %v W", r.AllReasons(), r.Energy(), r.AvgPower())
		}
	})
}

func TestTooManyWindows(t *testing.T) {
	inBubble(t, options{spec: "1xH200"}, func(d *daemon) {
		for range window.MaxOpen {
			d.post("/v1/mark-start", "").want(http.StatusCreated)
		}
		d.post("/v1/mark-start", "run=last").problem(429, "too_many_windows")
		if n := d.server.OpenWindows(); n != window.MaxOpen {
			t.Errorf("%d windows are open, want %d", n, window.MaxOpen)
		}
		d.get("/v1/windows/last").problem(404, "unknown_run")
	})
}
