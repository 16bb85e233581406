package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Foreign Host names are refused, but for what Prometheus and probes ask.
func TestHost(t *testing.T) {
	inBubble(t, options{spec: "1xH200", config: func(c *Config) { c.AllowedHosts = []string{"Meter.example"} }}, func(d *daemon) {
		d.server.Mount("GET /metrics", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = w.Write([]byte("# metrics\n"))
		}))
		for host, allowed := range map[string]bool{
			"localhost": true, "LocalHost:9844": true, "127.0.0.1:9844": true, "10.1.2.3": true, "[::1]:9844": true, "[fe80::1]": true,
			"meter.example:80": true, "": true,
			"evil.example": false, "evil.example:9844": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
			"example.com": false, "0x7f000001": false, "localhost:9844:1": false,
		} {
			for path, open := range map[string]bool{"/v1/time": false, "/v1/nothing": false, "/healthz": true, "/readyz": true, "/metrics": true} {
				r := d.request("GET", path, "", "")
				r.Host = host
				switch got := d.do(r); {
				case allowed || open:
					if got.status == http.StatusMisdirectedRequest {
						t.Errorf("Host %q, %s: refused", host, path)
					}
				default:
					got.problem(421, "foreign_host")
				}
			}
		}
	})
}

// A page in a browser cannot mark; curl and pages of our own can.
func TestCrossOrigin(t *testing.T) {
	inBubble(t, options{spec: "1xH200"}, func(d *daemon) {
		for _, c := range []struct {
			key, value string
			allowed    bool
		}{
			{"User-Agent", "curl/8", true},
			{"Sec-Fetch-Site", "same-origin", true},
			{"Sec-Fetch-Site", "none", true},
			{"Origin", "http://127.0.0.1:9844", true},
			{"Sec-Fetch-Site", "cross-site", false},
			{"Sec-Fetch-Site", "same-site", false},
			{"Origin", "http://evil.example", false},
			{"Origin", "null", false},
		} {
			r := d.request("POST", "/v1/mark-start", "", "")
			r.Header.Set(c.key, c.value)
			if got := d.do(r); c.allowed {
				got.want(201)
			} else {
				got.problem(403, "cross_origin")
			}
		}
		// DNS rebinding: Host and Origin agree, but are not ours.
		r := d.request("POST", "/v1/mark-start", "", "")
		r.Host = "evil.example"
		r.Header.Set("Origin", "http://evil.example")
		d.do(r).problem(421, "foreign_host")
		if n := d.server.OpenWindows(); n != 4 {
			t.Errorf("%d windows are open, want 4", n)
		}
	})
}

func TestMethodsAndPaths(t *testing.T) {
	inBubble(t, options{spec: "1xH200"}, func(d *daemon) {
		for _, c := range []struct{ method, path, allow string }{
			{"GET", "/v1/mark-start", "POST"},
			{"HEAD", "/v1/mark-end", "POST"},
			{"PUT", "/v1/measure", "POST"},
			{"OPTIONS", "/v1/mark-start", "POST"},
			{"POST", "/v1/energy", "GET, HEAD"},
			{"DELETE", "/v1/windows/r", "GET, HEAD"},
			{"POST", "/healthz", "GET, HEAD"},
		} {
			got := d.do(d.request(c.method, c.path, "", ""))
			got.problem(405, "method_not_allowed")
			if got.header.Get("Allow") != c.allow {
				t.Errorf("%s %s: Allow %q, want %q", c.method, c.path, got.header.Get("Allow"), c.allow)
			}
		}
		for _, path := range []string{"/", "/v1", "/v1/", "/v1/windows/", "/v1/windows/a/b", "/v2/time", "/docs/api", "/favicon.ico", "/" + strings.Repeat("x", 9000)} {
			if p := d.get(path).problem(404, "not_found"); len(p.Detail) > 200 {
				t.Errorf("%.20s: a detail of %d bytes", path, len(p.Detail))
			}
		}
		// HEAD is GET without the body, which net/http leaves out.
		head := d.do(d.request("HEAD", "/v1/gpus", "", "")).want(200)
		if head.header.Get("Content-Type") != "application/json" {
			t.Errorf("HEAD: %v", head.header)
		}
		// A path with a double slash is redirected, as any server does.
		r := httptest.NewRequest("GET", "/v1//time", nil)
		r.Host = "localhost"
		recorder := httptest.NewRecorder()
		if d.handler.ServeHTTP(recorder, r); recorder.Header().Get("Location") != "/v1/time" {
			t.Errorf("%d to %q", recorder.Code, recorder.Header().Get("Location"))
		}
	})
}

// What a body may be.
func TestContentTypes(t *testing.T) {
	inBubble(t, options{spec: "1xH200"}, func(d *daemon) {
		const multipart = "--x\r\nContent-Disposition: form-data; name=\"run\"\r\n\r\nr\r\n--x--\r\n"
		for _, c := range []struct {
			kind, body string
			status     int
			run        string
		}{
			{"application/json", `{"run":"a"}`, 201, "a"},
			{"Application/JSON", " \n{\"run\":\"b\"}\n", 201, "b"},
			{"text/plain", `{"run":"c"}`, 201, "c"},
			{"application/json", "", 201, ""},
			{"multipart/form-data; boundary=x", "", 201, ""},
			{"multipart/form-data; boundary=x", multipart, 400, ""}, // curl -F
			{"text/plain", "run=r", 400, ""},
			{"application/xml", "<run>r</run>", 400, ""},
			{"application/json", "null", 400, ""},
			{"application/json", "true", 400, ""},
			{"application/json", `"run"`, 400, ""},
			{"application/json", `[{"run":"r"}]`, 400, ""},
			{"application/json", "run=r", 400, ""},
			{"application/json", strings.Repeat("[", 60000), 400, ""},
			{"application/json", `{"gpus":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}", 400, ""},
			{"application/x-www-form-urlencoded", strings.Repeat("a=1&", 15000), 400, ""},
			{"garbage;;", "run=r", 400, ""},
		} {
			got := d.do(d.request("POST", "/v1/mark-start", c.kind, c.body))
			if got.status != c.status {
				t.Errorf("%s %.40q: %d %s, want %d", c.kind, c.body, got.status, got.text, c.status)
				continue
			}
			if c.status == 400 {
				got.problem(400, "malformed")
			} else if s := got.window(); c.run != "" && s.Run != c.run {
				t.Errorf("%s %.40q: run %q, want %q", c.kind, c.body, s.Run, c.run)
			}
		}
		// A very long query is only long.
		d.do(d.request("POST", "/v1/mark-end?run="+strings.Repeat("x", 1<<20), "", "")).problem(400, "invalid_run")
		d.get("/v1/energy?start=1&end=2&gpus="+strings.Repeat("0,", 1<<18)).problem(404, "window_expired")
		time.Sleep(time.Second)
	})
}
