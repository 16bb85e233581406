package api

import (
	"os"
	"strings"
	"testing"
	"time"
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
		if err := os.Remove(d.dir + "/power_window_r1.json"); err != nil {
			t.Fatal(err)
		}
		if again := d.get("/v1/windows/r1/report").want(200); string(again.text) != string(page.text) {
			t.Error("from memory it is another page")
		}
		d.get("/v1/windows/r2/report").problem(404, "unknown_run")
		d.get("/v1/windows/..%2Fr2/report").problem(404, "unknown_run")
		d.get("/v1/windows/r1/report?format=csv").problem(400, "malformed")
	})
}
