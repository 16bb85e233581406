package api

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"wattmark/internal/treehash"
)

// contents is a hash of all that is in a folder.
func (d *daemon) contents(dir string) string {
	d.Helper()
	hash, err := treehash.Of(dir)
	if err != nil {
		d.Fatal(err)
	}
	return hash
}

// trapped fills the results folder with files that callers must not reach, and returns a folder outside it.
func (d *daemon) trapped() (outside string) {
	d.Helper()
	outside = d.TempDir()
	d.write("r.json", counts)
	d.write("agg_r.json", aggregate)
	d.write("plain.json", `{"a":1}`)
	at := func(name string) string { return filepath.Join(d.dir, name) }
	for _, err := range []error{
		os.WriteFile(filepath.Join(outside, "agg_r.json"), []byte(aggregate), 0o644),
		os.Symlink(filepath.Join(outside, "agg_r.json"), at("out.json")),
		os.Symlink("agg_r.json", at("in.json")),
		os.Symlink("nowhere.json", at("dangling.json")),
		os.Symlink(outside, at("outdir")),
		os.Symlink(".", at("indir")),
		os.Link(filepath.Join(outside, "agg_r.json"), at("hard.json")),
		syscall.Mkfifo(at("fifo.json"), 0o644),
		os.Mkdir(at("dir.json"), 0o755),
	} {
		if err != nil {
			d.Fatal(err)
		}
	}
	return outside
}

// Each is refused in clear words, changes nothing on disk, and leaves the window open.
func TestRefused(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		outside := d.trapped()
		d.post("/v1/mark-start", "run=r").window()
		time.Sleep(5 * time.Second)
		before, around := d.contents(d.dir), d.contents(outside)
		now := d.samples.Now().Unix()
		end := func(field, value string) string { return fmt.Sprintf(`{"run":"r","benchmark":{},%q:%q}`, field, value) }
		long := strings.Repeat("x", 201)

		type row struct {
			path, body string
			status     int
			code       string
		}
		rows := []row{
			{"mark-end", `run=nobody`, 404, "unknown_run"},
			{"mark-end", `id=0123456789abcdef`, 404, "unknown_run"},
			{"mark-start", `run=r`, 409, "window_open"},
			{"measure", fmt.Sprintf(`run=r&start_unix=%f&end_unix=%f`, now-3, now-1), 409, "window_open"},
			{"mark-end", fmt.Sprintf(`run=r&at_unix=%f`, now-7), 400, "invalid_span"},
			{"mark-end", fmt.Sprintf(`run=r&at_unix=%f`, now+3), 400, "invalid_span"},
			{"mark-start", fmt.Sprintf(`run=s&at_unix=%f`, now+3), 400, "invalid_span"},
			{"measure", fmt.Sprintf(`run=s&start_unix=%f&end_unix=%f`, now-1, now-3), 400, "invalid_span"},
			{"measure", fmt.Sprintf(`run=s&start_unix=%f`, now-3), 400, "invalid_span"},
			{"measure", `run=s`, 400, "invalid_span"},
			{"measure", `run=s&benchmark_result=r.json`, 400, "invalid_span"}, // it has no stamps
			{"mark-start", fmt.Sprintf(`run=s&at_unix=%f`, now-3600), 404, "window_expired"},

			{"mark-start", `{"run":"s"`, 400, "malformed"},
			{"mark-start", `{"run":"s"} {}`, 400, "malformed"},
			{"mark-start", `{"run":"s"}x`, 400, "malformed"},
			{"mark-start", `{"run":"s",}`, 400, "malformed"},
			{"mark-start", `{"run":"s","run":"t"}`, 400, "malformed"},
			{"mark-start", `run=s&run=t`, 400, "malformed"},
			{"mark-start?run=s", `run=t`, 400, "malformed"},
			{"mark-start", `{"runn":"s"}`, 400, "malformed"},
			{"mark-start", `{"RUN":"s"}`, 400, "malformed"},
			{"mark-start", `runn=s`, 400, "malformed"},
			{"mark-start", `{"run":"s","completed":1}`, 400, "malformed"}, // of mark-end
			{"mark-start", `%zz=1`, 400, "malformed"},
			{"mark-start", "run=\xff", 400, "malformed"},
			{"mark-start", "{\"run\":\"\xff\"}", 400, "malformed"},
			{"mark-end", `{"run":7}`, 400, "malformed"},
			{"mark-end", `{"run":["r"]}`, 400, "malformed"},
			{"mark-end", `{"run":"r","at_unix":true}`, 400, "malformed"},
			{"mark-end", `{"run":"r","at_unix":"soon"}`, 400, "malformed"},
			{"mark-end", `{"run":"r","at_unix":1e400}`, 400, "malformed"},
			{"mark-end", fmt.Sprintf(`{"run":"r","at_unix":%f}`, now*1000), 400, "malformed"},
			{"mark-end", `run=r&completed=many`, 400, "malformed"},
			{"mark-end", `{"run":"r","completed":"7"}`, 400, "malformed"},
			{"mark-end", `{"run":"r","completed":1.5}`, 400, "malformed"},
			{"mark-end", `{"run":"r","completed":1e400}`, 400, "malformed"},
			{"mark-end", `{"run":"r","total_input_tokens":9223372036854775808}`, 400, "malformed"},
			{"mark-end", `{"run":"r","expected_num_gpus":8.5}`, 400, "malformed"},
			{"mark-end", `{"run":"r","benchmark":[]}`, 400, "malformed"},
			{"mark-end", `{"run":"r","benchmark":"r.json"}`, 400, "malformed"},
			{"mark-end", `run=r&benchmark={`, 400, "malformed"},
			{"mark-end", `{"run":"r","agg_result":7}`, 400, "malformed"},
			{"mark-start", `{"run":"s","gpus":{}}`, 400, "malformed"},
			{"mark-start", `{"run":"s","gpus":[[0]]}`, 400, "malformed"},
			{"mark-start", `{"run":"s","gpus":[null]}`, 400, "malformed"},
			{"mark-start", `{"run":"s","role":"both"}`, 400, "malformed"},
			{"mark-start", `gpus=8`, 400, "unknown_gpu"},
			{"mark-start", `gpus=0,8`, 400, "unknown_gpu"},
			{"mark-start", `gpus=GPU-nothing`, 400, "unknown_gpu"},
			{"mark-start", `gpus=GPU-5156d3a7`, 400, "unknown_gpu"}, // the beginning of eight
			{"mark-start", `gpus=-1`, 400, "unknown_gpu"},
			{"mark-start", `{"gpus":[1e400]}`, 400, "unknown_gpu"},

			{"mark-start", `{"run":".."}`, 400, "invalid_run"},
			{"mark-start", `{"run":"."}`, 400, "invalid_run"},
			{"mark-start", `{"run":"` + long + `"}`, 400, "invalid_run"},
			{"mark-start", `{"run":"a/b"}`, 400, "invalid_run"},
			{"mark-start", `{"run":"a\u0000b"}`, 400, "invalid_run"},
			{"mark-start", `{"run":"a\n"}`, 400, "invalid_run"},
			{"mark-start", `{"run":"a b"}`, 400, "invalid_run"},
			{"mark-start", `{"run":"ä"}`, 400, "invalid_run"},
			{"mark-start", `run=a%00b`, 400, "invalid_run"},
			{"mark-end", `{"id":"../x"}`, 400, "invalid_run"},
			{"measure", `{"run":"../x"}`, 400, "invalid_run"},

			{"mark-end", `run=r&agg_result=agg_r.json`, 422, "benchmark_data_required"},
			{"mark-end", `{"run":"r","agg_result":"agg_r.json","benchmark":null}`, 422, "benchmark_data_required"},
			{"measure", fmt.Sprintf(`start_unix=%f&end_unix=%f&agg_result=agg_r.json`, now-3, now-1), 422, "benchmark_data_required"},
			{"mark-end", `{"run":"r","benchmark":{},"agg_result":"v.json","validation_result":"./v.json"}`, 422, "forbidden_path"},
			{"mark-end", `run=r&completed=` + strings.Repeat("1", 65<<10), 413, "body_too_large"},
			{"mark-end", `{"run":"r","benchmark":{"x":"` + strings.Repeat("1", 65<<10) + `"}}`, 413, "body_too_large"},
		}
		for _, field := range []string{"agg_result", "benchmark_result", "validation_result"} {
			for _, path := range []string{
				"../x.json", "a/../../x.json", "/etc/passwd", outside + "/agg_r.json", d.dir + "/../x.json", d.dir, ".", "..",
				"out.json", "in.json", "dangling.json", "outdir/agg_r.json", "indir/agg_r.json", "hard.json", "fifo.json",
				"dir.json", "r.json/x.json", "a\x00b.json", strings.Repeat("n", 256) + ".json",
			} {
				body := end(field, path)
				if field == "benchmark_result" {
					body = strings.Replace(body, `"benchmark":{},`, "", 1)
				}
				body = strings.ReplaceAll(body, `\x00`, `\u0000`)
				rows = append(rows, row{"mark-end", body, 422, "forbidden_path"})
			}
		}
		for _, name := range []string{"agg_r.json", "agg_new.json", "results.json", "v.txt", "v", ".json", "plain.json", "r.json", "power_window_q.json", "wattmark_marks.json"} {
			rows = append(rows, row{"mark-end", end("validation_result", name), 422, "forbidden_path"})
		}
		for _, c := range rows {
			got := d.post("/v1/"+c.path, c.body)
			if got.status != c.status {
				t.Errorf("%s %.200q: %d %s, want %d", c.path, c.body, got.status, got.text, c.status)
				continue
			}
			p := got.problem(c.status, c.code)
			for _, jargon := range []string{"json: ", "Go value", "Go struct", "strconv", "api."} {
				if strings.Contains(strings.ReplaceAll(p.Detail, ".json: ", ""), jargon) {
					t.Errorf("%s %.100q: %q is not in the caller's words", c.path, c.body, p.Detail)
				}
			}
			if len(p.Detail) > 700 {
				t.Errorf("%s %.100q: a detail of %d bytes", c.path, c.body, len(p.Detail))
			}
		}
		if d.contents(d.dir) != before || d.contents(outside) != around {
			t.Error("files have changed")
		}
		d.wantTrue(d.post("/v1/mark-end", "run=r").result()) // it is still open
		if n := d.server.OpenWindows(); n != 0 {
			t.Errorf("%d windows are open, want none", n)
		}
	})
}
