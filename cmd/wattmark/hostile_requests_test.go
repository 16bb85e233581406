package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode"
)

// raw sends bytes as they are and returns the answer's status line and all that follows; "" if there is none.
func (d *served) raw(t *testing.T, request string) (status, rest string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(conn, request) }() // it may be refused before all of it is sent
	text, _ := io.ReadAll(bufio.NewReader(conn))         // the connection may be reset after the answer
	status, rest, _ = strings.Cut(string(text), "\r\n")
	return strings.TrimPrefix(strings.TrimPrefix(status, "HTTP/1.1 "), "HTTP/1.0 "), rest
}

// Requests that are not as they should be, byte by byte, get the status that curl's users know, and change nothing.
func TestHostileRequests(t *testing.T) {
	d := serve(t, nil, "--backend", "sim", "--sim", "1xH200", "--allow-simulated").ready()
	host := "Host: localhost\r\nConnection: close\r\n"
	post := func(path, headers, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s", path, host, headers, len(body), body)
	}
	get := func(path, headers string) string { return "GET " + path + " HTTP/1.1\r\n" + host + headers + "\r\n" }
	pad := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct{ name, request, status string }{
		{"as it should be", get("/v1/time", ""), "200"},
		{"headers of 12 kB", get("/v1/time", "X: "+pad(12<<10)+"\r\n"), "200"},
		{"headers of 17 kB", get("/v1/time", "X: "+pad(17<<10)+"\r\n"), "431"},
		{"a thousand headers", get("/v1/time", strings.Repeat("X: "+pad(20)+"\r\n", 1000)), "431"},
		{"a path of 20 kB", get("/"+pad(20<<10), ""), "431"},
		{"a query of 20 kB", get("/v1/energy?gpus="+pad(20<<10), ""), "431"},
		{"a body of 64 kB", post("/v1/mark-end", "", "run="+pad(64<<10-4)), "400"},
		{"a body of 64 kB and 1", post("/v1/mark-end", "", "run="+pad(64<<10-3)), "413"},
		{"a body of 10 MB", post("/v1/mark-end", "", pad(10<<20)), "413"},
		{"a chunked body of 65 kB", "POST /v1/mark-end HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n10400\r\n" + pad(0x10400) + "\r\n0\r\n\r\n", "413"},
		{"a body that ends early", "POST /v1/mark-start HTTP/1.1\r\n" + host + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n{}", "100"},
		{"two lengths", "POST /v1/mark-start HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nrun=ab", "400"},
		{"a length below zero", "POST /v1/mark-start HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", "400"},
		{"an unknown encoding", "POST /v1/mark-start HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", "501"},
		{"a bad chunk", "POST /v1/mark-start HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
		{"no Host", "GET /v1/time HTTP/1.1\r\n\r\n", "400"},
		{"two Hosts", "GET /v1/time HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", "400"},
		{"a Host with a newline", "GET /v1/time HTTP/1.1\r\nHost: local\nhost\r\n\r\n", "400"},
		{"a foreign Host in the request line", "GET http://evil.example/v1/time HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "421"},
		{"HTTP/1.0", "GET /v1/time HTTP/1.0\r\n\r\n", "200"},
		{"HTTP/0.9", "GET /v1/time\r\n\r\n", "400"},
		{"HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "404"},
		{"an upgrade to HTTP/2", get("/v1/time", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"), "200"},
		{"CONNECT", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nConnection: close\r\n\r\n", "421"},
		{"TRACE", "TRACE /v1/time HTTP/1.1\r\n" + host + "\r\n", "405"},
		{"a method of its own", "PWN /v1/mark-start HTTP/1.1\r\n" + host + "\r\n", "405"},
		{"a header with a NUL", get("/v1/time", "X: a\x00b\r\n"), "400"},
		{"a header with a space in its name", get("/v1/time", "X Y: a\r\n"), "400"},
		{"a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + pad(500) + "\r\n\r\n", "400"},
		{"noise", string([]byte{0, 1, 2, 0xff, 0xfe}) + "\r\n\r\n", "400"},

		{"a repeated key", post("/v1/mark-start", "", `{"run":"a","run":"b"}`), "400"},
		{"a key and the same in the query", post("/v1/mark-start?run=a", "", `{"run":"b"}`), "400"},
		{"an unknown key", post("/v1/mark-start", "", `{"run":"a","x":1}`), "400"},
		{"a key in another case", post("/v1/mark-start", "", `{"Run":"a"}`), "400"},
		{"two objects", post("/v1/mark-start", "", `{"run":"a"}{"run":"b"}`), "400"},
		{"data behind the object", post("/v1/mark-start", "", `{"run":"a"}]`), "400"},
		{"12 000 levels", post("/v1/mark-end", "", `{"benchmark":{"a":`+strings.Repeat("[", 12000)+strings.Repeat("]", 12000)+"}}"), "400"},
		{"60 000 brackets", post("/v1/mark-end", "", strings.Repeat("[", 60000)), "400"},
		{"a huge number", post("/v1/mark-start", "", `{"run":"a","at_unix":1e999999999}`), "400"},
		{"a long number", post("/v1/mark-start", "", `{"run":"a","expected_num_gpus":`+strings.Repeat("9", 60000)+"}"), "400"},
		{"NaN", post("/v1/mark-start", "", `{"run":"a","at_unix":NaN}`), "400"},
		{"half a surrogate", post("/v1/mark-start", "", `{"run":"\ud800"}`), "400"},
		{"not UTF-8", post("/v1/mark-start", "", "{\"run\":\"\xff\"}"), "400"},
		{"a list", post("/v1/mark-start", "", `[{"run":"a"}]`), "400"},
		{"a multipart form", post("/v1/mark-start", "Content-Type: multipart/form-data; boundary=x\r\n", "--x\r\nContent-Disposition: form-data; name=\"run\"\r\n\r\na\r\n--x--\r\n"), "400"},
		{"20 000 form fields", post("/v1/mark-start", "", strings.Repeat("a=1&", 15000)), "400"},
	} {
		status, rest := d.raw(t, c.request)
		if !strings.HasPrefix(status, c.status) {
			t.Errorf("%s: %q %.200s, want %s", c.name, status, rest, c.status)
		}
	}
	for _, window := range decode(t, d.get("/v1/windows"))["windows"].([]any) {
		if run := window.(map[string]any)["run"].(string); !strings.HasPrefix(run, "run-") {
			t.Errorf("run %s was opened", run)
		}
	}
	d.stillUp()
}

// A slow body is a 408 after 10 s, slow headers are cut off after 5 s; neither holds anything up.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	d := serve(t, nil, "--backend", "sim", "--sim", "1xH200", "--allow-simulated").ready()
	trickle := func(head, each string) (answer string, took time.Duration) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.base, "http://"))
		if err != nil {
			t.Error(err)
			return "", 0
		}
		defer func() { _ = conn.Close() }()
		begin := time.Now()
		_, _ = io.WriteString(conn, head)
		go func() {
			for range 30 {
				if _, err := io.WriteString(conn, each); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		text, _ := io.ReadAll(conn)
		return string(text), time.Since(begin)
	}
	type outcome struct {
		answer string
		took   time.Duration
	}
	body, headers := make(chan outcome, 1), make(chan outcome, 1)
	go func() {
		answer, took := trickle("POST /v1/mark-start HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n", "x")
		body <- outcome{answer, took}
	}()
	go func() {
		answer, took := trickle("GET /v1/time HTTP/1.1\r\nHost: localhost\r\nX: ", "x")
		headers <- outcome{answer, took}
	}()
	for range 20 {
		begin := time.Now()
		d.stillUp()
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("/healthz took %v meanwhile", took)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if got := <-body; !strings.HasPrefix(got.answer, "HTTP/1.1 408 ") || !strings.Contains(got.answer, `"code":"request_timeout"`) || !strings.Contains(got.answer, "Connection: close") || got.took > 13*time.Second {
		t.Errorf("slow body: %q after %v", got.answer, got.took)
	}
	if got := <-headers; got.answer != "" || got.took > 8*time.Second {
		t.Errorf("slow headers: %q after %v", got.answer, got.took)
	}
}

// Nothing of Go's debugging pages or of other daemons' control pages is there, and pprof is not even linked.
func TestNoBackDoors(t *testing.T) {
	d := serve(t, nil, "--backend", "none")
	for _, path := range []string{
		"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/vars", "/debug/requests", "/debug/events", "/debug/", "/quit", "/shutdown", "/stop", "/exit",
		"/-/quit", "/-/reload", "/-/healthy", "/v1/shutdown", "/v1/quit", "/v1/config", "/v1/exec", "/admin", "/config", "/env", "/.env", "/.git/config",
		"/etc/passwd", "/../etc/passwd", "/%2e%2e/etc/passwd", "/v1/../../etc/passwd", "/static/../../etc/passwd", "/r.json", "/results/",
	} {
		for _, args := range [][]string{nil, {"-d", ""}, {"-X", "PUT"}, {"-X", "DELETE"}} {
			status, body := curl(t, append(args, "--path-as-is", d.base+path)...)
			if status != "404" && status != "307" && status != "301" || strings.Contains(body, "root:") {
				t.Errorf("%v %s: %s %.100s", args, path, status, body)
			}
		}
	}
	d.stillUp()
	deps, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil || !strings.Contains(string(deps), "net/http\n") {
		t.Fatalf("go list: %v", err)
	}
	if strings.Contains(string(deps), "net/http/pprof\n") {
		t.Error("net/http/pprof is linked")
	}
}

// The guards against pages in browsers, as curl sees them.
func TestBrowserGuards(t *testing.T) {
	d := serve(t, nil, "--backend", "sim", "--sim", "1xH200", "--allow-simulated", "--allowed-host", "meter.example").ready()
	port := d.base[strings.LastIndexByte(d.base, ':'):]
	for _, c := range []struct {
		status  string
		headers []string
	}{
		{"201", nil},
		{"201", []string{"Origin: " + d.base}},
		{"201", []string{"Sec-Fetch-Site: same-origin"}},
		{"201", []string{"Sec-Fetch-Site: none"}},
		{"201", []string{"Host: localhost" + port}},
		{"201", []string{"Host: [::1]" + port}},
		{"201", []string{"Host: meter.example"}},
		{"403", []string{"Origin: http://evil.example"}},
		{"403", []string{"Origin: null"}},
		{"403", []string{"Origin: http://127.0.0.1:1"}}, // another port is another origin
		{"403", []string{"Sec-Fetch-Site: cross-site"}},
		{"403", []string{"Sec-Fetch-Site: same-site"}},
		{"403", []string{"Sec-Fetch-Site: cross-site", "Origin: " + d.base}},
		{"421", []string{"Host: evil.example"}},
		{"421", []string{"Host: evil.example" + port, "Origin: http://evil.example" + port}},
		{"421", []string{"Host: 127.0.0.1.evil.example"}},
		{"421", []string{"Host: localhost.evil.example"}},
		{"421", []string{"Host: 127.1"}},
		{"421", []string{"Host: 2130706433"}},
		{"421", []string{"Host: localhost."}},
	} {
		var args []string
		for _, header := range c.headers {
			args = append(args, "-H", header)
		}
		if status, body := curl(t, append(args, "-d", "", d.base+"/v1/mark-start")...); status != c.status {
			t.Errorf("%q: %s %s, want %s", c.headers, status, body, c.status)
		}
	}
	for path, want := range map[string]string{"/metrics": "200", "/healthz": "200", "/readyz": "200", "/v1/time": "421", "/v1/windows": "421", "/": "421", "/openapi.json": "421"} {
		if status, _ := curl(t, "-H", "Host: evil.example", d.base+path); status != want {
			t.Errorf("%s of a foreign host: %s, want %s", path, status, want)
		}
	}
	// A page may ask what it may do, and is told nothing: there is no CORS.
	response, err := http.DefaultClient.Do(requested(t)(http.NewRequest("OPTIONS", d.base+"/v1/mark-start", nil)))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	for name := range response.Header {
		if strings.HasPrefix(name, "Access-Control") {
			t.Errorf("header %s", name)
		}
	}
	if got := response.Header.Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("X-Content-Type-Options: %q", got)
	}
}

func requested(t *testing.T) func(*http.Request, error) *http.Request {
	return func(r *http.Request, err error) *http.Request {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

// Whatever callers write, the log has one line per event, without control characters; metrics have no word of it.
func TestLogInjection(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		d := serve(t, nil, "--backend", "sim", "--sim", "1xH200", "--allow-simulated", "--log-level", "debug", "--log-format", format).ready()
		const poison = "evil\nlevel=ERROR msg=forged\r\n\x1b[31mred\x1b]0;title\a\u2028\u202e\x00"
		now := float64(time.Now().UnixMilli()) / 1000
		for i, field := range []string{"run", "id", "gpus", "role", "agg_result", "benchmark_result", "validation_result", "format", poison} {
			_, _ = d.postJSON("/v1/mark-start", []string{field, poison})
			_, _ = d.postJSON("/v1/mark-end", []string{field, poison})
			_, _ = d.postJSON("/v1/measure", []string{
				"run", fmt.Sprint("evil-", i), "start_unix", fmt.Sprint(now - 0.5), "end_unix", fmt.Sprint(now), "completed", "1", field, poison,
			})
		}
		escaped := "%0alevel=ERROR%20msg=forged%0d%0a%1b%5b31m"
		for _, request := range []string{
			"GET /evil" + escaped + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
			"GET /v1/windows/evil" + escaped + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
			"GET /v1/energy?evil" + escaped + "=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
			"GET /v1/time HTTP/1.1\r\nHost: evil\x1b[31m\r\n\r\n",
			"GET /v1/time HTTP/1.1\r\nHost: localhost\r\nUser-Agent: evil\x1b[31m\r\nConnection: close\r\n\r\n",
			"EVIL\x1b[31m /v1/time HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"\x1b[31mevil\r\n\r\n", "evil" + poison,
		} {
			_, _ = d.raw(t, request)
		}
		if scrape := string(d.get("/metrics")); strings.Contains(scrape, "evil") || strings.Contains(scrape, "forged") || strings.Contains(scrape, "EVIL") {
			t.Errorf("%s: a caller's words are in the metrics", format)
		}
		if _, err := d.stop(); err != nil {
			t.Error(err)
		}
		log, lines := d.log.String(), 0
		for line := range strings.Lines(log) {
			lines++
			line = strings.TrimSuffix(line, "\n")
			if format == "json" && !json.Valid([]byte(line)) || format == "text" && !strings.HasPrefix(line, "time=") || strings.Contains(line, "level=ERROR msg=forged") && format == "text" && !strings.Contains(line, `\nlevel=ERROR`) {
				t.Errorf("%s: a line that is not ours: %q", format, line)
			}
			if strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' }) {
				t.Errorf("%s: control characters in %q", format, line)
			}
		}
		if lines < 10 || !strings.Contains(log, "evil") {
			t.Errorf("%s: a log of %d lines has nothing of it", format, lines)
		}
	}
}
