package api

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"wattmark/agg"
)

// The report of an ended window, from its file or, where there is none, from memory.
func TestReport(t *testing.T) {
	inBubble(t, options{spec: "2xH200,load=constant,watts=500"}, func(d *daemon) {
		d.post("/v1/mark-start", "run=r1").want(201)
		d.get("/v1/windows/r1/report").problem(409, "window_open")
		time.Sleep(10 * time.Second)
		d.post("/v1/mark-end", "run=r1&completed=4&total_input_tokens=1000&total_output_tokens=100").want(200)
		page := d.get("/v1/windows/r1/report").want(200)
		policy := page.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'") || !strings.Contains(policy, "sandbox") {
			t.Errorf("policy %q", policy)
		}
		for format, want := range map[string]string{"html": "<h1>r1</h1>", "svg": "<svg xmlns=", "md": "## r1: valid"} {
			if text := string(d.get("/v1/windows/r1/report?format=" + format).want(200).text); !strings.Contains(text, want) {
				t.Errorf("%s: %.300s", format, text)
			}
		}
		file := d.get("/v1/windows/r1/report?format=json").want(200)
		checkWindowFile(t, d, file.text)
		if err := os.Remove(d.dir + "/power_window_r1.json"); err != nil {
			t.Fatal(err)
		}
		if again := d.get("/v1/windows/r1/report").want(200); string(again.text) != string(page.text) {
			t.Error("from memory it is another page")
		}
		if again := d.get("/v1/windows/r1/report?format=json").want(200); string(again.text) != string(file.text) {
			t.Error("from memory it is another file")
		}
		d.get("/v1/windows/r2/report").problem(404, "unknown_run")
		d.get("/v1/windows/..%2Fr2/report").problem(404, "unknown_run")
		d.get("/v1/windows/r1/report?format=csv").problem(400, "malformed")
	})
}

// checkWindowFile holds a window's file as the daemon gives it to the one that it wrote.
func checkWindowFile(t *testing.T, d *daemon, text []byte) {
	t.Helper()
	var got, want agg.WindowFile
	written, err := os.ReadFile(d.dir + "/power_window_r1.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(json.Unmarshal(text, &got), json.Unmarshal(written, &want)); err != nil {
		t.Fatal(err)
	}
	if len(got.Series) != 2 || len(got.Series[1].Readings) < 10 || !reflect.DeepEqual(got, want) {
		t.Errorf("the file given is not the file written:\n%.600s", text)
	}
}

// idle_run names an ended window of the same GPUs; its share of the energy is then known.
func TestIdleRun(t *testing.T) {
	inBubble(t, options{spec: "2xH200,load=step,watts=500,start=40s"}, func(d *daemon) {
		d.post("/v1/mark-start", "run=idle").want(201)
		time.Sleep(20 * time.Second)
		d.post("/v1/mark-end", "run=idle").want(200)
		time.Sleep(15 * time.Second)
		d.post("/v1/mark-start", "run=work").want(201)
		time.Sleep(20 * time.Second)
		d.post("/v1/mark-end", "run=work&idle_run=nobody").problem(404, "unknown_run")
		r := d.post("/v1/mark-end", "run=work&idle_run=idle").result()
		idle, _ := r.Stats.IdlePower.Known()
		above, ok := r.Stats.AboveIdle.Known()
		want := d.truth(r) - idle*r.Duration().Seconds()
		if !ok || idle < 100 || idle > 300 || above < want-r.Stats.AboveIdleBound.Or(0) || above > want+r.Stats.AboveIdleBound.Or(0) {
			t.Errorf("%+v, want %v J above idle", r.Stats, want)
		}
		if r.Stats.P50.Or(0) < 900 || r.Stats.Peak.Or(0) > 1100 {
			t.Errorf("%+v, want 1000 W", r.Stats)
		}
	})
}
