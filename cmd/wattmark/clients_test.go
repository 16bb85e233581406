package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The Python client's own tests, with the built daemon: by python3, and by the oldest Python that it is for where that
// is installed.
func TestPythonClient(t *testing.T) {
	t.Parallel()
	ran := 0
	for _, name := range []string{"python3", "python3.9"} {
		python, err := exec.LookPath(name)
		if err != nil || exec.Command(python, "--version").Run() != nil {
			continue
		}
		ran++
		test := exec.Command(python, "-B", "-m", "unittest")
		test.Dir = filepath.Join("..", "..", "clients", "python")
		test.Env = append(os.Environ(), "WATTMARK_BINARY="+program(t))
		if out, err := test.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if ran == 0 {
		t.Error("there is no python3: the client is not tested")
	}
}

// shell runs a script that has read wattmark.sh, in a folder of its own.
func shell(t *testing.T, name, dir, script string, env ...string) (stdout, stderr string, code int) {
	t.Helper()
	helper, err := filepath.Abs(filepath.Join("..", "..", "clients", "shell", "wattmark.sh"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(name, "-euc", ". '"+helper+"'\n"+script)
	command.Dir, command.Env = dir, append(os.Environ(), env...)
	var out, errs strings.Builder
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), command.ProcessState.ExitCode()
}

func TestShellClient(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "sock")
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tcp := serve(t, nil, "--backend", "sim", "--sim", "2xH200", "--allow-simulated").ready()
	p := serveCommand(t, &served{t: t, log: &logBuffer{}}, "--backend", "sim", "--sim", "2xH200", "--allow-simulated", "--results-dir", t.TempDir(),
		"--listen", "unix:"+socket, "--write-token-file", token)
	defer func() { _ = p.stop() }()
	if _, errs, code := wattmark(t, t.TempDir(), nil, "ready", "--addr", "unix:"+socket); code != 0 {
		t.Fatal(errs)
	}
	shells := 0
	for _, name := range []string{"sh", "dash", "bash", "ksh"} {
		if _, err := exec.LookPath(name); err != nil {
			continue
		}
		shells++
		for address, env := range map[string][]string{
			tcp.base: {"WATTMARK_ADDR=" + strings.TrimPrefix(tcp.base, "http://")},
			socket:   {"WATTMARK_ADDR=unix:" + socket, "WATTMARK_TOKEN_FILE=" + token},
		} {
			dir := t.TempDir()
			out, errs, code := shell(t, name, dir, `
start=$(date +%s.%N)
wattmark_start r1 expected_num_gpus=2 > start.json
sleep 0.2
wattmark_end r1 completed=2 total_input_tokens=10 total_output_tokens=5 > end.json
wattmark_measure r2 "$start" "$(date +%s.%N)" > measured.json
wattmark_window r3 sh -c 'echo of the command; exit 7' || echo "exit $?"
`, env...)
			if code != 0 || out != "of the command\nexit 7\n" || errs != "" {
				t.Errorf("%s at %s: %d\n%s%s", name, address, code, out, errs)
			}
			for file, run := range map[string]string{"end.json": "r1", "measured.json": "r2", "r3_power.json": "r3"} {
				var r struct {
					Run   string  `json:"run"`
					Valid *bool   `json:"power_valid"`
					Per   float64 `json:"joules_per_output_token"`
				}
				if err := json.Unmarshal([]byte(read(t, dir, file)), &r); err != nil || r.Run != run || r.Valid == nil || run == "r1" && r.Per <= 0 {
					t.Errorf("%s at %s: %s: %v %s", name, address, file, err, read(t, dir, file))
				}
			}
		}
	}
	if shells == 0 {
		t.Error("no shell")
	}
}

// What goes wrong is a warning, and an exit code where it is asked for; a hostile value is a value.
func TestShellClientFailures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	nobody := "WATTMARK_ADDR=127.0.0.1:" + freePort(t)
	out, errs, code := shell(t, "sh", dir, "wattmark_start r1; wattmark_end r1; wattmark_window r1 echo done; echo on", nobody)
	if code != 0 || out != "done\non\n" || strings.Count(errs, "wattmark: warning:") != 4 {
		t.Errorf("nobody: %d\n%s%s", code, out, errs)
	}
	if _, _, code := shell(t, "sh", dir, "wattmark_start r1; echo on", nobody, "WATTMARK_STRICT=1"); code == 0 {
		t.Error("strict: no exit code")
	}
	d := serve(t, nil, "--backend", "sim", "--sim", "1xH200", "--allow-simulated").ready()
	both := "WATTMARK_NODES=" + d.base + " " + strings.TrimPrefix(nobody, "WATTMARK_ADDR=")
	out, errs, _ = shell(t, "sh", dir, `wattmark_start 'a&b;$(touch pwned)@/etc/passwd'; wattmark_start r5 'gpus=@/etc/passwd'; wattmark_start r5 '@/etc/passwd'; wattmark_start r6`, both)
	if strings.Count(errs, "status 400:") != 3 || strings.Contains(errs, "root:") || strings.Count(out, `"run":"r6"`) != 1 {
		t.Errorf("hostile values:\n%s%s", out, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
		t.Error("a value was run")
	}
	if path, err := exec.LookPath("shellcheck"); err == nil {
		if text, err := exec.Command(path, filepath.Join("..", "..", "clients", "shell", "wattmark.sh")).CombinedOutput(); err != nil {
			t.Errorf("shellcheck: %v\n%s", err, text)
		}
	}
}
