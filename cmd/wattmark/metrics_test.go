package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"wattmark/internal/nvmldouble"
)

// The page that Prometheus scrapes, from the built daemon on the scripted driver: few series and no caller's word in any,
// whatever callers send; and what is not known any more is gone.
func TestMetricsPage(t *testing.T) {
	t.Parallel()
	script := decoding(time.Now())
	d, file := nvmlDaemon(t, script, "--interval", "500ms")
	write(t, d.results, "agg_callers.json", `{"hw": "h200"}`)
	d.must("/v1/mark-start", "run", "callers-run")
	time.Sleep(time.Second)
	d.must("/v1/mark-end", "run", "callers-run", "completed", "1", "total_input_tokens", "2", "total_output_tokens", "3", "agg_result", "agg_callers.json")
	d.must("/v1/mark-end", "run", "callers-run", "completed", "1", "total_input_tokens", "2", "total_output_tokens", "3", "agg_result", "agg_callers2.json")
	hostile(t, d)
	page := d.page()
	n := strings.Count(page, "\n") - strings.Count(page, "\n#")
	if t.Logf("%d series", n); n > 300 {
		t.Errorf("%d series of 8 GPUs, want at most 300", n)
	}
	if strings.Contains(strings.ToLower(page), "callers") {
		t.Errorf("a caller's word is in\n%s", page)
	}
	for _, line := range []string{
		`wattmark_windows_total{result="ok"} 1`, `wattmark_last_window_valid 1`, `wattmark_backend_up{backend="nvidia"} 1`,
		`wattmark_result_patches_total{outcome="ok"} 1`, `wattmark_result_patches_total{outcome="missing"} 1`,
		`wattmark_http_requests_total{code="201",handler="/v1/mark-start",method="POST"} 1`,
	} {
		if !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("no %s in\n%s", line, page)
		}
	}
	checkByPromtool(t, page)

	power := func(gpu int) bool {
		return strings.Contains(d.page(), fmt.Sprintf("\nwattmark_gpu_power_watts{gpu=\"%d\",", gpu))
	}
	script.GPUs[3].Faults = []nvmldouble.Fault{nvmldouble.Lost()}
	if err := script.Write(file); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "GPU 3 to lose its power", func() bool { return !power(3) })
	page = d.page()
	if !power(2) || !strings.Contains(page, "\nwattmark_backend_up{backend=\"nvidia\"} 1\n") {
		t.Errorf("GPU 3 took others with it:\n%s", page)
	}
	if strings.Contains(page, "\nwattmark_samples_total{gpu=\"3\",outcome=\"error\"} 0\n") {
		t.Error("the failed reads of GPU 3 are not counted")
	}
	for i := range script.GPUs {
		script.GPUs[i].Faults = []nvmldouble.Fault{nvmldouble.Lost()}
	}
	if err := script.Write(file); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "backend_up to fall", func() bool { return strings.Contains(d.page(), "\nwattmark_backend_up{backend=\"nvidia\"} 0\n") })
	if page := d.page(); strings.Contains(page, "\nwattmark_gpu_power_watts") {
		t.Errorf("power of GPUs that do not answer:\n%s", page)
	}
}

func (d *served) page() string { return string(d.get("/metrics")) }

// hostile asks for every route in ways that callers may, in words of their own.
func hostile(t *testing.T, d *served) {
	t.Helper()
	for _, path := range []string{
		"/v1/mark-start", "/v1/mark-end", "/v1/measure", "/v1/energy", "/v1/windows", "/v1/windows/callers", "/v1/gpus",
		"/v1/readings", "/v1/time", "/openapi.json", "/healthz", "/readyz", "/metrics", "/callers", "/", "/index.html",
		"/v1/windows/callers/report", "/v1/windows/callers-run/report",
	} {
		for _, method := range []string{"GET", "POST", "CALLERS", "HEAD"} {
			request, err := http.NewRequest(method, d.base+path, strings.NewReader("callers=callers"))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
		}
	}
}

// checkByPromtool lints the page as operators do, where promtool is installed; metrics.TestLint does the same everywhere.
func checkByPromtool(t *testing.T, page string) {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		return
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(page)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
