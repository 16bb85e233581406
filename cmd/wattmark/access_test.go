package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// curl runs curl and returns the status, 000 where there was no answer, and the body.
func curl(t testing.TB, args ...string) (status, body string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "curl", append([]string{"-sS", "-m", "10", "-w", "\n%{http_code}"}, args...)...).Output()
	if failed := (*exec.ExitError)(nil); err != nil && len(out) == 0 {
		t.Fatalf("curl: %v %v", err, failed)
	}
	text := string(out)
	i := strings.LastIndexByte(text, '\n')
	return text[i+1:], text[:i]
}

const testToken = "0123456789abcdef0123456789abcdef"

// Without the token nobody marks; with it curl, the commands and their environment do. Reading stays open. The token
// that counts is the one that the file holds now.
func TestWriteToken(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "token", testToken+"\n")
	write(t, dir, "wrong", strings.Replace(testToken, "0", "1", 1))
	file := filepath.Join(dir, "token")
	d := serve(t, nil, "--backend", "sim", "--sim", "1xH200", "--allow-simulated", "--write-token-file", file).ready()
	bearer := func(token string) []string { return []string{"-H", "Authorization: Bearer " + token} }
	mark := func(run string, more ...string) (status, body string) {
		return curl(t, append(more, "-d", "run="+run, d.base+"/v1/mark-start")...)
	}
	for name, c := range map[string]struct {
		args   []string
		status string
	}{
		"none":           {nil, "401"},
		"empty":          {bearer(""), "401"},
		"wrong":          {bearer(strings.Replace(testToken, "0", "1", 1)), "401"},
		"a beginning":    {bearer(testToken[:31]), "401"},
		"more":           {bearer(testToken + "0"), "401"},
		"other case":     {bearer(strings.ToUpper(testToken)), "401"},
		"basic":          {[]string{"-u", "user:" + testToken}, "401"},
		"in the query":   {[]string{"--get"}, "405"},
		"right":          {bearer(testToken), "201"},
		"another case":   {[]string{"-H", "authorization: bearer " + testToken}, "201"},
		"header":         {[]string{"-H", "X-Wattmark-Token: " + testToken}, "201"},
		"header, wrong":  {[]string{"-H", "X-Wattmark-Token: " + testToken + "0"}, "401"},
		"both, one good": {append(bearer("x"), "-H", "X-Wattmark-Token: "+testToken), "401"},
	} {
		status, body := mark(strings.NewReplacer(" ", "-", ",", "").Replace(name), c.args...)
		if status != c.status || c.status == "401" && !strings.Contains(body, `"code":"token_required"`) {
			t.Errorf("%s: %s %s, want %s", name, status, body, c.status)
		}
		if strings.Contains(body, testToken) || strings.Contains(d.log.String(), testToken) {
			t.Errorf("%s: the token is shown", name)
		}
	}
	for _, path := range []string{"/v1/mark-end", "/v1/measure"} {
		if status, _ := curl(t, "-d", "run=right", d.base+path); status != "401" {
			t.Errorf("%s without token: %s", path, status)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/v1/gpus", "/v1/windows", "/v1/windows/right", "/v1/time", "/openapi.json"} {
		if status, _ := curl(t, d.base+path); status != "200" {
			t.Errorf("%s without token: %s, want 200", path, status)
		}
	}
	if _, errs, code := wattmark(t, dir, nil, "mark-end", "--addr", d.base, "--run", "right"); code != 1 || !strings.Contains(errs, "--token-file") {
		t.Errorf("the command without token: %d %s", code, errs)
	}
	if _, errs, code := wattmark(t, dir, nil, "mark-end", "--addr", d.base, "--run", "right", "--token-file", "wrong"); code != 1 || !strings.Contains(errs, "wrong") {
		t.Errorf("the command with a wrong token: %d %s", code, errs)
	}
	if _, errs, code := wattmark(t, dir, nil, "mark-end", "--addr", d.base, "--run", "right", "--token-file", "token"); code != 0 {
		t.Errorf("the command with the token: %d %s", code, errs)
	}
	if _, errs, code := wattmark(t, dir, []string{"WATTMARK_TOKEN_FILE=" + file}, "mark-end", "--addr", d.base, "--run", "header"); code != 0 {
		t.Errorf("the command with the token in its environment: %d %s", code, errs)
	}

	renewed := strings.Repeat("renewed.", 4)
	write(t, dir, "next", renewed)
	if err := os.Rename(filepath.Join(dir, "next"), file); err != nil {
		t.Fatal(err)
	}
	if status, _ := mark("after", bearer(testToken)...); status != "401" {
		t.Errorf("the old token: %s", status)
	}
	if status, _ := mark("after", bearer(renewed)...); status != "201" {
		t.Errorf("the new token: %s", status)
	}
	write(t, dir, "token", "")
	for _, token := range []string{"", renewed} {
		if status, _ := mark("never", bearer(token)...); status != "401" {
			t.Errorf("token %q while the file is empty: %s", token, status)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if status, body := mark("never", bearer(renewed)...); status != "401" || !strings.Contains(body, "cannot read") {
		t.Errorf("without the file: %s %s", status, body)
	}
}

// TLS, mutual TLS and basic authentication through a web configuration, with certificates made here.
func TestWebConfig(t *testing.T) {
	ours, foreign := newAuthority(t, "ours"), newAuthority(t, "foreign")
	serverCert, serverKey := ours.issue("server")
	clientCert, clientKey := ours.issue("client")
	foreignCert, foreignKey := foreign.issue("client")
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "token", testToken)
	plain := fmt.Sprintf("tls_server_config:\n  cert_file: %s\n  key_file: %s\n", serverCert, serverKey)
	mutual := plain + fmt.Sprintf("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: %s\n", ours.file)
	users := fmt.Sprintf("basic_auth_users:\n  prom: %s\n", hash)
	start := func(config string, args ...string) (d *served, base string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "web.yml")
		write(t, filepath.Dir(file), "web.yml", config)
		d = serve(t, nil, append([]string{"--backend", "sim", "--sim", "1xH200", "--web-config-file", file}, args...)...)
		return d, strings.Replace(d.base, "http:", "https:", 1)
	}
	want := func(what, status string, args ...string) {
		t.Helper()
		if got, body := curl(t, args...); got != status {
			t.Errorf("%s: %s %.200s, want %s", what, got, body, status)
		}
	}
	commands := func(what string, code int, base string, args ...string) {
		t.Helper()
		args = append([]string{"mark-start", "--addr", base}, args...)
		if _, errs, got := wattmark(t, dir, nil, args...); got != code || strings.Contains(errs, "secret") {
			t.Errorf("%s: exit code %d, want %d: %s", what, got, code, errs)
		}
	}

	d, base := start(plain)
	want("TLS", "200", "--cacert", ours.file, base+"/v1/time")
	want("another authority", "000", "--cacert", foreign.file, base+"/v1/time")
	want("an authority of the system's", "000", base+"/v1/time")
	want("without TLS", "400", d.base+"/v1/time")
	want("TLS 1.1", "000", "--cacert", ours.file, "--tls-max", "1.1", base+"/v1/time")
	commands("TLS", 0, base, "--ca-file", ours.file)
	commands("host:port", 0, strings.TrimPrefix(base, "https://"), "--ca-file", ours.file)
	commands("another authority", 1, base, "--ca-file", foreign.file)
	commands("no authority", 1, base)

	_, base = start(mutual)
	want("without a certificate", "000", "--cacert", ours.file, base+"/v1/time")
	want("with one", "200", "--cacert", ours.file, "--cert", clientCert, "--key", clientKey, base+"/v1/time")
	want("with a foreign one", "000", "--cacert", ours.file, "--cert", foreignCert, "--key", foreignKey, base+"/v1/time")
	commands("with one", 0, base, "--ca-file", ours.file, "--cert-file", clientCert, "--key-file", clientKey)
	commands("without one", 1, base, "--ca-file", ours.file)

	d, base = start(plain+users, "--write-token-file", filepath.Join(dir, "token"))
	want("nobody", "401", "--cacert", ours.file, base+"/metrics")
	want("health, nobody", "401", "--cacert", ours.file, base+"/healthz")
	want("a wrong password", "401", "--cacert", ours.file, "-u", "prom:Secret", base+"/metrics")
	want("another user", "401", "--cacert", ours.file, "-u", "root:secret", base+"/metrics")
	want("the user", "200", "--cacert", ours.file, "-u", "prom:secret", base+"/metrics")
	want("the user, marking", "401", "--cacert", ours.file, "-u", "prom:secret", "-d", "run=a", base+"/v1/mark-start")
	want("the token alone", "401", "--cacert", ours.file, "-H", "Authorization: Bearer "+testToken, "-d", "run=a", base+"/v1/mark-start")
	want("user and token", "201", "--cacert", ours.file, "-u", "prom:secret", "-H", "X-Wattmark-Token: "+testToken, "-d", "run=a", base+"/v1/mark-start")
	commands("user and token", 0, strings.Replace(base, "://", "://prom:secret@", 1), "--ca-file", ours.file, "--token-file", "token")
	commands("the user", 1, strings.Replace(base, "://", "://prom:secret@", 1), "--ca-file", ours.file)
	if took, err := d.stop(); err != nil || took.Seconds() > 2 {
		t.Errorf("SIGTERM: %v after %v", err, took)
	}
}

// What is wrong with the flags is said at the start, with the exit code of a usage error.
func TestBadAccessFlags(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "short", "hunter2")
	write(t, dir, "two", "0123456789abcdef 0123456789abcdef")
	write(t, dir, "bad.yml", "tls_server_confg: {}\n")
	write(t, dir, "cert.yml", "tls_server_config:\n  cert_file: none.pem\n  key_file: none.key\n")
	write(t, dir, "password.yml", "basic_auth_users:\n  prom: plain\n")
	for _, args := range [][]string{
		{"--write-token-file", "none"},
		{"--write-token-file", "short"},
		{"--write-token-file", "two"},
		{"--web-config-file", "none.yml"},
		{"--web-config-file", "bad.yml"},
		{"--web-config-file", "cert.yml"},
		{"--web-config-file", "password.yml"},
		{"--socket-mode", "0999"},
		{"--socket-mode", "rw-rw----"},
		{"--socket-mode", "04777"},
	} {
		out, errs, code := wattmark(t, dir, nil, append([]string{"serve", "--backend", "none", "--listen", "127.0.0.1:0"}, args...)...)
		if code != 2 || !strings.Contains(errs, args[0]) || strings.Contains(errs, "hunter2") {
			t.Errorf("%v: exit code %d\n%s%s", args, code, out, errs)
		}
	}
	if _, errs, code := wattmark(t, dir, nil, "serve", "--backend", "none", "--listen", "unix:"+dir+"/s", "--socket-group", "no-such-group"); code != 1 || !strings.Contains(errs, "--socket-group") {
		t.Errorf("no such group: %d %s", code, errs)
	}
}

// A unix socket has the mode and group of the flags from its first moment on.
func TestSocket(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "w.sock")
	args := []string{"serve", "--backend", "sim", "--listen", "unix:" + socket, "--results-dir", dir}
	group := os.Getgid()
	if os.Geteuid() == 0 {
		group = 54321
	}
	log := &logBuffer{}
	d := &served{t: t, log: log}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("daemon's log:\n%s", log)
		}
	})
	p := serveCommand(t, d, append(args[1:len(args):len(args)], "--socket-mode", "0620", "--socket-group", fmt.Sprint(group))...)
	most := os.FileMode(0)
	waitFor(t, "the socket", func() bool {
		if info, err := os.Lstat(socket); err == nil {
			most |= info.Mode().Perm()
		}
		status, _ := curl(t, "--unix-socket", socket, "http://localhost/healthz")
		return status == "200"
	})
	info, err := os.Lstat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); info.Mode().Perm() != 0o620 || int(stat.Gid) != group {
		t.Errorf("%v of group %d, want 0620 of %d", info.Mode(), stat.Gid, group)
	}
	if most&0o157 != 0 {
		t.Errorf("it was %v at times", most)
	}
	if status, body := curl(t, "--unix-socket", socket, "-H", "Host: evil.example", "-d", "run=s", "http://localhost/v1/mark-start"); status != "201" {
		t.Errorf("mark: %s %s", status, body)
	}
	if _, errs, code := wattmark(t, dir, nil, "mark-end", "--addr", "unix:"+socket, "--run", "s"); code != 0 {
		t.Errorf("mark-end by the command: %d %s", code, errs)
	}
	if _, errs, code := wattmark(t, dir, nil, args...); code != 1 || !strings.Contains(errs, "another process does") {
		t.Errorf("a second daemon: %d %s", code, errs)
	}
	if err := p.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-p.exited; err == nil {
		t.Error("the killed daemon ended by itself")
	}
	// What the killed daemon left is replaced; what is no socket is not.
	p = serveCommand(t, d, args[1:]...)
	waitFor(t, "the socket again", func() bool {
		status, _ := curl(t, "--unix-socket", socket, "http://localhost/healthz")
		return status == "200"
	})
	if err := p.stop(); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, log)
	}
	if err := os.WriteFile(socket, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, code := wattmark(t, dir, nil, args...); code != 1 || read(t, dir, "w.sock") != "precious" {
		t.Errorf("over a file: exit code %d, it holds %q", code, read(t, dir, "w.sock"))
	}
}

// Listening wider than loopback without authentication warns and says what to do; curl works there.
func TestWideListening(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "token", testToken)
	authority := newAuthority(t, "ours")
	cert, key := authority.issue("server")
	write(t, dir, "tls.yml", fmt.Sprintf("tls_server_config:\n  cert_file: %s\n  key_file: %s\n", cert, key))
	write(t, dir, "mutual.yml", fmt.Sprintf("tls_server_config:\n  cert_file: %s\n  key_file: %s\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: %s\n", cert, key, authority.file))
	tls, mutual, token := filepath.Join(dir, "tls.yml"), filepath.Join(dir, "mutual.yml"), filepath.Join(dir, "token")
	const open, readable = "give --write-token-file or --web-config-file", "unencrypted"
	for _, c := range []struct {
		listen string
		args   []string
		want   string
	}{
		{"127.0.0.1:0", nil, ""},
		{"[::1]:0", nil, ""},
		{"0.0.0.0:0", nil, open},
		{":0", nil, open},
		{"0.0.0.0:0", []string{"--web-config-file", tls}, open},
		{"0.0.0.0:0", []string{"--write-token-file", token}, readable},
		{"0.0.0.0:0", []string{"--write-token-file", token, "--web-config-file", tls}, ""},
		{"0.0.0.0:0", []string{"--web-config-file", mutual}, ""},
	} {
		if c.listen == "[::1]:0" {
			l, err := net.Listen("tcp", c.listen)
			if err != nil {
				continue // no IPv6 here; 127.0.0.1 is tested
			}
			_ = l.Close()
		}
		d := serve(t, nil, append([]string{"--backend", "none", "--listen", c.listen}, c.args...)...)
		waitFor(t, "the log", func() bool { return strings.Contains(d.log.String(), "level=WARN msg=backend") })
		log := d.log.String()
		for _, text := range []string{open, readable} {
			if strings.Contains(log, text) != (text == c.want) {
				t.Errorf("%s %v: want %q in\n%s", c.listen, c.args, c.want, log)
			}
		}
		if _, err := d.stop(); err != nil {
			t.Error(err)
		}
	}
}
