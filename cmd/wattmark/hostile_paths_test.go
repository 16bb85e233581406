package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"wattmark/internal/treehash"

	"golang.org/x/sys/unix"
)

// What files outside the results folder hold. If any of it shows up in an answer or inside the folder, it was read.
const (
	canaryCount = "7711771177"
	canaryWord  = "canary-of-the-outside"
)

// tree is a hash of all that is below a folder.
func tree(t *testing.T, dir string) string {
	t.Helper()
	hash, err := treehash.Of(dir)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// outside makes a folder beside the results folder with files that every field would take, and traps that lead there.
func outside(t *testing.T, results string) string {
	t.Helper()
	dir := filepath.Join(filepath.Dir(results), "outside")
	at := func(name string) string { return filepath.Join(results, name) }
	text := fmt.Sprintf(`{"completed": %s, "total_input_tokens": %s, "total_output_tokens": %s, "word": %q}`, canaryCount, canaryCount, canaryCount, canaryWord)
	validation := fmt.Sprintf(`{"schema_version": 2, "power_valid": false, "word": %q}`, canaryWord)
	for _, err := range []error{
		os.Mkdir(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "x.json"), []byte(text), 0o644),
		os.WriteFile(filepath.Join(dir, "agg_x.json"), []byte(text), 0o644),
		os.WriteFile(filepath.Join(dir, "y.json"), []byte(text), 0o644), // with one name each
		os.WriteFile(filepath.Join(dir, "agg_y.json"), []byte(text), 0o644),
		os.WriteFile(filepath.Join(dir, "v.json"), []byte(validation), 0o644),
		os.WriteFile(at("r.json"), []byte(`{"completed": 1, "total_input_tokens": 2, "total_output_tokens": 3}`), 0o644),
		os.WriteFile(at("agg_r.json"), []byte(`{"hw": "h200"}`), 0o644),
		os.Mkdir(at("sub"), 0o755),
		os.Symlink(filepath.Join(dir, "x.json"), at("link.json")),
		os.Symlink("../outside/x.json", at("relative.json")),
		os.Symlink("link.json", at("twice.json")),
		os.Symlink("r.json", at("inner.json")),
		os.Symlink("nowhere.json", at("dangling.json")),
		os.Symlink(filepath.Join(dir, "new.json"), at("dangling-out.json")),
		os.Symlink("loop.json", at("loop.json")),
		os.Symlink(dir, at("outdir")),
		os.Symlink("../outside", at("outrel")),
		os.Symlink(".", at("here")),
		os.Symlink("..", at("up")),
		os.Symlink("/", at("slash")),
		os.Symlink("/proc/self/fd", at("fds")),
		os.Symlink("/dev/zero", at("zero.json")),
		os.Link(filepath.Join(dir, "x.json"), at("hard.json")),
		os.Link(filepath.Join(dir, "agg_x.json"), at("sub/hard.json")),
		os.Link(filepath.Join(dir, "v.json"), at("hard-v.json")),
		syscall.Mkfifo(at("fifo.json"), 0o666),
		os.Mkdir(at("dir.json"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mknod(at("device.json"), syscall.S_IFCHR|0o666, 1<<8|5); err != nil { // /dev/zero
		t.Logf("no device of our own (%v): /dev/zero itself and links to it stand for it", err)
		if err := os.Symlink("/dev/full", at("device.json")); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := net.Listen("unix", at("socket.json")); err != nil {
		t.Fatal(err)
	} else {
		t.Cleanup(func() { _ = l.Close() })
	}
	return dir
}

// refusedPaths are what callers try to get out, each of which is a 422.
func refusedPaths(results, outside string) []string {
	up := strings.Repeat("../", 40)
	return []string{
		// traversal
		"../outside/x.json", "./../outside/x.json", "sub/../../outside/x.json", "sub/../sub/../../outside/x.json",
		"r.json/../../outside/x.json", "none/../../outside/x.json", "..", "../", ".", "./", "sub/..", "sub/../..", "../x.json",
		".//..//outside//x.json", up + "etc/passwd", up + outside[1:] + "/x.json", "sub/" + up + "etc/passwd",
		"../" + filepath.Base(results) + "/r.json", "up/outside/x.json", "here/../../outside/x.json",
		// absolute
		outside + "/x.json", "/etc/passwd", "/", "//", "//etc/passwd", "/../etc/passwd", results, results + "/", results + "/..",
		results + "/../outside/x.json", results + "/sub/../../outside/x.json", results + "x/r.json", "/proc/self/environ",
		"/proc/self/root/etc/passwd", "/proc/self/cwd/r.json", "/proc/1/root/etc/shadow", "/dev/zero", "/dev/stdin", "/dev/fd/0", "/dev/tty",
		// NUL and other control characters
		"r.json\x00", "\x00", "../outside/x.json\x00r.json", "r.json\x00/../../outside/x.json", "r.json\n", "r\r\n.json", "\x1b[2Jr.json", "r\t.json", "r\x7f.json", "r\u0085.json",
		// links to files and folders, hard links
		"link.json", "relative.json", "twice.json", "inner.json", "dangling.json", "dangling-out.json", "loop.json", "loop.json/x.json",
		"outdir/x.json", "outdir/new.json", "outdir/none/new.json", "outrel/x.json", "here/r.json", "here/here/r.json", "slash/etc/passwd",
		"slash" + outside + "/x.json", "fds/0", "outdir", "outdir/", "outdir/.", "sub/../outdir/x.json", results + "/outdir/x.json",
		"hard.json", "sub/hard.json", "hard-v.json", "./hard.json", "sub/../hard.json",
		// not a regular file
		"fifo.json", "device.json", "zero.json", "socket.json", "dir.json", "sub", "sub/", "r.json/x.json", "r.json/", "fifo.json/x.json",
		// long and deep
		strings.Repeat("n", 256) + ".json", "sub/" + strings.Repeat("n", 300), strings.Repeat("ä", 128) + ".json", strings.Repeat("a/", 2500) + "x.json",
		strings.Repeat("a/", 65) + "x.json", strings.Repeat("x", 5000),
	}
}

// innerPaths look like an escape to some programs. Here they are odd names inside the folder, or none: whatever happens
// happens there.
func innerPaths() []string {
	return []string{
		"up/../outside/x.json", "%2e%2e/outside/x.json", "..%2foutside%2fx.json", "%252e%252e%252foutside%252fx.json", "..%5coutside%5cx.json", `..\outside\x.json`,
		`..\..\x.json`, "..;/outside/x.json", ".../outside/x.json", "..../x.json", "....//....//outside/x.json", ". ./outside/x.json", "..\u00a0/x.json",
		"\u2024\u2024/outside/x.json", "\uff0e\uff0e/outside/x.json", "..\uff0foutside\uff0fx.json", "..\u2215outside\u2215x.json", "..\u29f8x.json",
		"\u202ex.json", "\ufeffr.json", "R.JSON", "r.JSON", "r.json.", "r.json ", " r.json", "r.json...", "r.json::$DATA", "CON.json", "C:x.json",
		`C:\Windows\x.json`, `\\server\share\x.json`, "file:///etc/passwd", "http://127.0.0.1/x.json", "~/x.json", "~root/x.json", "$HOME/x.json",
		"${HOME}/x.json", "`id`.json", "$(id).json", "|id.json", "-rf.json", "--.json", "*.json", "?.json", "{r,s}.json", "r\u0065\u0301.json", "r\u00e9.json",
	}
}

// A corpus of paths in every field that takes one, over HTTP against the built daemon: what leads outside is refused;
// nothing outside is read or changed, whatever the answer.
func TestHostilePaths(t *testing.T) {
	d := serve(t, nil, "--backend", "sim", "--sim", "1xH200", "--allow-simulated").ready()
	out := outside(t, d.results)
	before := tree(t, out)
	time.Sleep(1100 * time.Millisecond)
	span := []string{"start_unix", fmt.Sprintf("%.3f", float64(time.Now().UnixMilli()-900)/1000), "end_unix", fmt.Sprintf("%.3f", float64(time.Now().UnixMilli())/1000)}
	attempts := 0
	try := func(path, field string, refused bool) {
		attempts++
		fields := append([]string{"run", fmt.Sprintf("h%d", attempts), field, path}, span...)
		if field != "benchmark_result" {
			fields = append(fields, "completed", "1")
		}
		var status int
		var body []byte
		if strings.ContainsAny(path, " \n\r\t\x00") || strings.TrimSpace(path) != path { // form fields are trimmed
			status, body = d.postJSON("/v1/measure", fields)
		} else {
			status, body = d.post("/v1/measure", fields...)
		}
		if bytes.Contains(body, []byte(canaryCount)) || bytes.Contains(body, []byte(canaryWord)) || bytes.Contains(body, []byte("root:")) {
			t.Errorf("%s %.80q: read it: %.300s", field, path, body)
		}
		var answer struct {
			Code string `json:"code"`
			Agg  struct {
				Status string `json:"status"`
			} `json:"agg_result"`
		}
		_ = json.Unmarshal(body, &answer) // no code then
		switch {
		case refused && (status != 422 || answer.Code != "forbidden_path"):
			t.Errorf("%s %.80q: %d %.300s, want it refused", field, path, status, body)
		case !refused && status != 200 && status != 422:
			t.Errorf("%s %.80q: %d %.300s", field, path, status, body)
		case answer.Agg.Status == "patched":
			t.Errorf("%s %.80q: patched something", field, path)
		}
	}
	refused := refusedPaths(d.results, out)
	for _, field := range []string{"agg_result", "benchmark_result", "validation_result"} {
		for _, path := range refused {
			try(path, field, true)
		}
		for _, path := range innerPaths() {
			try(path, field, false)
		}
	}
	for _, run := range []string{"../outside/x", "..%2foutside%2fx", "..", ".", "a/b", `a\b`, "a\x00", "%00", strings.Repeat("r", 201), "r\n", "\u2024\u2024", ""} {
		attempts++
		if status, body := d.postJSON("/v1/mark-start", []string{"run", run}); run != "" && status != 400 {
			t.Errorf("run %.40q: %d %s", run, status, body)
		}
		status, body := curl(t, "--path-as-is", d.base+"/v1/windows/"+strings.NewReplacer("\x00", "%00", "\n", "%0a", `\`, "%5c").Replace(run))
		if status == "200" || strings.Contains(body, canaryWord) {
			t.Errorf("GET window %.40q: %s %s", run, status, body)
		}
	}
	t.Logf("%d paths in 3 fields, %d attempts", len(refused)+len(innerPaths()), attempts)
	d.stillUp()
	if tree(t, out) != before {
		t.Error("something outside has changed")
	}
	checkNoCanary(t, d.results)
}

// A path that is harmless when it is looked at and a link when it is used, and the other way round, as fast as the
// disk allows: nothing outside is read or changed.
func TestPathsThatSwap(t *testing.T) {
	d := serve(t, nil, "--backend", "sim", "--sim", "1xH200", "--allow-simulated").ready()
	out := outside(t, d.results)
	before := tree(t, out)
	at := func(name string) string { return filepath.Join(d.results, name) }
	good := []byte(`{"completed": 1, "total_input_tokens": 2, "total_output_tokens": 3}`)
	for _, dir := range []string{"real", "swap"} {
		if err := os.Mkdir(at(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, at(dir), "agg_y.json", string(good))
		write(t, at(dir), "y.json", string(good))
	}
	var done atomic.Bool
	var swaps atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()
	defer done.Store(true)
	// exchange swaps two names in one step (renameat2 with RENAME_EXCHANGE), so that the path always exists.
	exchange := func(a, b string) {
		for !done.Load() {
			if err := unix.Renameat2(unix.AT_FDCWD, at(a), unix.AT_FDCWD, at(b), unix.RENAME_EXCHANGE); err != nil {
				t.Error(err)
				return
			}
			swaps.Add(1)
		}
	}
	if err := os.Symlink(out, at("swap-link")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"agg_s.json", "s.json"} {
		write(t, d.results, file, string(good))
		if err := os.Symlink(filepath.Join(out, strings.Replace(file, "s.", "y.", 1)), at("link-"+file)); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { exchange(file, "link-"+file) })
	}
	wg.Go(func() { exchange("swap", "swap-link") })
	time.Sleep(1100 * time.Millisecond)
	tried, passed := 0, 0
	for begin := time.Now(); time.Since(begin) < 2*time.Second; {
		for _, fields := range [][]string{
			{"benchmark_result", "s.json", "agg_result", "agg_s.json"},
			{"benchmark_result", "swap/y.json", "agg_result", "swap/agg_y.json"},
			{"completed", "1", "validation_result", "swap/v.json"},
		} {
			tried++
			now := float64(time.Now().UnixMilli()) / 1000
			fields = append(fields, "run", "swap", "start_unix", fmt.Sprintf("%.3f", now-1), "end_unix", fmt.Sprintf("%.3f", now))
			status, body := d.post("/v1/measure", fields...)
			if bytes.Contains(body, []byte(canaryCount)) || bytes.Contains(body, []byte(canaryWord)) {
				t.Fatalf("%v: read it: %.300s", fields, body)
			}
			switch status {
			case 200:
				passed++
			case 422:
			default:
				t.Errorf("%v: %d %.300s", fields, status, body)
			}
		}
	}
	done.Store(true)
	wg.Wait()
	if passed == 0 || passed == tried || swaps.Load() < 1000 {
		t.Errorf("%d of %d requests passed during %d swaps: the race was not run", passed, tried, swaps.Load())
	}
	t.Logf("%d requests, %d of them passed, %d swaps", tried, passed, swaps.Load())
	if tree(t, out) != before {
		t.Error("something outside has changed")
	}
	checkNoCanary(t, d.results)
}

// checkNoCanary looks for what is outside in the files inside.
func checkNoCanary(t *testing.T, results string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(results, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.Sys().(*syscall.Stat_t).Nlink > 1 { // our own trap
			return err
		}
		files++
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(canaryCount)) || bytes.Contains(text, []byte(canaryWord)) {
			t.Errorf("%s holds what is outside", path)
		}
		return err
	})
	if err != nil || files < 3 {
		t.Errorf("%d files: %v", files, err)
	}
}

// postJSON is post for values that a form cannot carry.
func (d *served) postJSON(path string, fields []string) (int, []byte) {
	d.t.Helper()
	object := map[string]any{}
	for i := 0; i+1 < len(fields); i += 2 {
		object[fields[i]] = fields[i+1]
		if fields[i] == "completed" {
			object[fields[i]] = 1
		}
	}
	text, err := json.Marshal(object)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.answered(http.Post(d.base+path, "application/json", bytes.NewReader(text)))
}

// stillUp checks that the daemon answers.
func (d *served) stillUp() {
	d.t.Helper()
	if status := d.status("/healthz"); status != 200 {
		d.t.Errorf("/healthz: %d", status)
	}
}
