package api

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/window"
)

// A GPU that has not answered since the daemon began is named by /readyz. As long as it may be waking up no window
// begins without it, unless the others are named.
func TestMissingGPU(t *testing.T) {
	missing := "GPU 2: a driver call has not returned for 3.0 s"
	backend := Backend{Name: "nvidia", Problems: []string{missing}, Missing: []string{missing}, Absent: 1, Waking: true}
	config := func(c *Config) { c.Backend = func() Backend { return backend } }
	inBubble(t, options{spec: "2xH200", config: config}, func(d *daemon) {
		time.Sleep(time.Second)
		if got := d.get("/readyz").want(503); strings.Count(string(got.text), missing) != 1 {
			t.Errorf("readyz: %s", got.text)
		}
		for _, got := range []reply{d.post("/v1/mark-start", "run=r"), d.post("/v1/measure", "start_unix=1&end_unix=2")} {
			if p := got.problem(503, "gpu_waking"); !strings.Contains(p.Detail, missing) || got.header.Get("Retry-After") == "" {
				t.Errorf("detail %q, header %v", p.Detail, got.header)
			}
		}
		if p := d.post("/v1/mark-start", "run=other&gpus=0,2").problem(503, "gpu_waking"); !strings.Contains(p.Detail, missing) {
			t.Errorf("named: detail %q", p.Detail)
		}
		d.post("/v1/mark-start", "run=named&gpus=0,1").want(201)
		d.degraded(false)
		backend.Waking = false // it hangs, or a name means no GPU
		if p := d.post("/v1/mark-start", "run=other&gpus=0,2").problem(400, "unknown_gpu"); !strings.Contains(p.Detail, "work too; "+missing) {
			t.Errorf("named: detail %q", p.Detail)
		}
		d.degraded(true)
		for run, want := range map[string]struct {
			form     string
			warnings []string
			expected *int
			reasons  []window.Reason
		}{
			"all":   {"", []string{missing}, new(3), []window.Reason{window.ExpectedGPUCountMismatch}},
			"two":   {"&expected_num_gpus=2", []string{missing}, new(2), nil}, // who says so knows
			"named": {"", nil, nil, nil},
		} {
			if run != "named" { // which is open
				if s := d.post("/v1/mark-start", "run="+run+want.form).window(); !slices.Equal(s.Warnings, want.warnings) {
					t.Errorf("%s: warnings %q, want %q", run, s.Warnings, want.warnings)
				}
			}
			time.Sleep(2 * time.Second)
			r := d.post("/v1/mark-end", "run="+run).result()
			if !slices.Equal(r.AllReasons(), want.reasons) || !reflect.DeepEqual(r.Expected, want.expected) {
				t.Errorf("%s: reasons %v, expected_gpu_count %v; want %v, %v", run, r.AllReasons(), r.Expected, want.reasons, want.expected)
			}
		}
		span := fmt.Sprintf("start_unix=%d&end_unix=%d", time.Now().Unix()-2, time.Now().Unix()-1)
		if r := d.get("/v1/energy?" + strings.ReplaceAll(span, "_unix", "")).result(); !slices.Equal(r.AllReasons(), []window.Reason{window.ExpectedGPUCountMismatch}) {
			t.Errorf("energy: reasons %v", r.AllReasons())
		}
		if r := d.post("/v1/measure", span).result(); !slices.Equal(r.AllReasons(), []window.Reason{window.ExpectedGPUCountMismatch}) {
			t.Errorf("measure: reasons %v", r.AllReasons())
		}
	})
}

// degraded checks what a daemon that is not ready says of waiting on.
func (d *daemon) degraded(want bool) {
	d.Helper()
	var state Readiness
	if d.get("/readyz").want(503).decode(&state); state.Degraded != want || state.Ready || len(state.Reasons) == 0 {
		d.Errorf("%+v, want degraded %v", state, want)
	}
}

// A daemon is degraded when only GPUs are missing whose calls hang, and others are there.
func TestDegraded(t *testing.T) {
	for _, c := range []struct {
		spec string
		at   time.Duration
		want bool
	}{
		{"4xH200,fault=hang:10s-60s@3", 13100 * time.Millisecond, true},
		{"4xH200,fault=hang:10s-60s@3", 12900 * time.Millisecond, false}, // late, but does it hang?
		{"4xH200,fault=hang:0s-60s@3", 10500 * time.Millisecond, true},
		{"1xH200,fault=hang:10s-60s", 15 * time.Second, false}, // nothing to measure with
		{"4xH200,fault=lost:10s@3", 15 * time.Second, false},   // it may come back
	} {
		inBubble(t, options{spec: c.spec}, func(d *daemon) {
			defer func() {
				if t.Failed() {
					t.Logf("%s at %v", c.spec, c.at)
				}
			}()
			time.Sleep(c.at - 10500*time.Millisecond) // the daemon is that old
			d.degraded(c.want)
		})
	}
}
