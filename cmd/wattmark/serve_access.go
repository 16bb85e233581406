package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
)

// accessFlags say who may talk to the daemon.
type accessFlags struct {
	WebConfigFile  string `type:"path" placeholder:"FILE" help:"TLS and authentication: a Prometheus exporter-toolkit web configuration."`
	WriteTokenFile string `type:"path" placeholder:"FILE" help:"Bearer token that POST needs; GET stays open."`
	SocketMode     string `default:"0660" placeholder:"MODE" help:"Permissions of the socket of --listen unix:/path."`
	SocketGroup    string `placeholder:"GROUP" help:"Group of that socket, by name or number."`
}

// check refuses what would only be noticed at the first request.
func (a accessFlags) check() error {
	if mode, err := strconv.ParseUint(a.SocketMode, 8, 32); err != nil || mode > 0o777 {
		return fmt.Errorf("--socket-mode is like 0660, not %q", a.SocketMode)
	}
	if a.WriteTokenFile != "" {
		if _, err := readToken(a.WriteTokenFile); err != nil {
			return fmt.Errorf("--write-token-file: %w", err)
		}
	}
	if err := web.Validate(a.WebConfigFile); err != nil {
		return fmt.Errorf("--web-config-file: %w", err)
	}
	return nil
}

// serveWeb answers on l, with TLS and authentication where they are configured.
func (a accessFlags) serveWeb(server *http.Server, l net.Listener, log *slog.Logger) error {
	if a.WebConfigFile == "" {
		return server.Serve(l)
	}
	return web.Serve(l, server, &web.FlagConfig{WebConfigFile: &a.WebConfigFile}, log)
}

// warn says what is wrong with listening on an address that others can reach.
func (a accessFlags) warn(l net.Listener, log *slog.Logger) {
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok || addr.IP.IsLoopback() {
		return
	}
	encrypted, authenticated := a.protection()
	switch {
	case a.WriteTokenFile == "" && !authenticated:
		log.Warn("whoever reaches this address can open and end windows and have files in the results folder written; "+
			"give --write-token-file or --web-config-file, or listen on 127.0.0.1", "address", addr.String())
	case !encrypted:
		log.Warn("tokens and passwords come unencrypted; give a certificate in --web-config-file, or listen on 127.0.0.1",
			"address", addr.String())
	}
}

// protection is what the web configuration asks for; check has found it valid.
func (a accessFlags) protection() (encrypted, authenticated bool) {
	text, err := os.ReadFile(a.WebConfigFile)
	if a.WebConfigFile == "" || err != nil {
		return false, false
	}
	var config web.Config
	if err := yaml.Unmarshal(text, &config); err != nil {
		return false, false
	}
	config.TLSConfig.SetDirectory(filepath.Dir(a.WebConfigFile))
	encrypted = config.TLSConfig.IsEnabled()
	if t, err := web.ConfigToTLSConfig(&config.TLSConfig); err == nil && t.ClientAuth == tls.RequireAndVerifyClientCert {
		authenticated = true
	}
	return encrypted, authenticated || len(config.Users) > 0
}

// The size of a write token: what openssl rand -hex 16 prints, and more than any.
const (
	minToken = 16
	maxToken = 4096
)

// readToken reads a file that holds a token and maybe a newline.
func readToken(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	switch {
	case len(token) < minToken || len(token) > maxToken:
		return "", fmt.Errorf("%s holds a token of %d characters; it takes %d to %d, as 'openssl rand -hex 32' prints", file, len(token), minToken, maxToken)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", fmt.Errorf("%s: a token is one word of ASCII", file)
	}
	return token, nil
}

// tokenFile is a token that follows its file: a secret that is renewed is the one that counts from then on.
type tokenFile struct {
	path string

	mu    sync.Mutex
	token string
	seen  fileState
}

// fileState tells whether a file is another one than before.
type fileState struct {
	inode   uint64
	size    int64
	changed time.Time
}

// writeToken returns what api.Config.WriteToken wants; nil without --write-token-file.
func (a accessFlags) writeToken() func() (string, error) {
	if a.WriteTokenFile == "" {
		return nil
	}
	return (&tokenFile{path: a.WriteTokenFile}).now
}

// now returns the token, or why there is none: then nobody may write.
func (f *tokenFile) now() (string, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return "", err
	}
	state := fileState{size: info.Size(), changed: info.ModTime()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		state.inode = stat.Ino
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.token == "" || state != f.seen {
		token, err := readToken(f.path)
		if err != nil {
			f.token = ""
			return "", err
		}
		f.token, f.seen = token, state
	}
	return f.token, nil
}

// listen opens host:port or unix:/path. A socket file that nobody listens on any more is replaced.
func (a accessFlags) listen(address string) (net.Listener, error) {
	path, unix := strings.CutPrefix(address, "unix:")
	if !unix {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("%w; choose another with --listen", err)
		}
		return l, nil
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if conn, err := net.Dial("unix", path); err == nil {
			_ = conn.Close()
			return nil, fmt.Errorf("listen on %s: another process does", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("listen on %s: %w", path, err)
		}
	}
	before := syscall.Umask(0o177) // nobody else connects before group and mode are what they should be
	l, err := net.Listen("unix", path)
	syscall.Umask(before)
	if err != nil {
		return nil, err
	}
	if err := a.share(path); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// share gives a socket its group and mode.
func (a accessFlags) share(path string) error {
	if a.SocketGroup != "" {
		id, err := groupID(a.SocketGroup)
		if err != nil {
			return fmt.Errorf("--socket-group: %w", err)
		}
		if err := os.Chown(path, -1, id); err != nil {
			return fmt.Errorf("--socket-group: %w", err)
		}
	}
	mode, err := strconv.ParseUint(a.SocketMode, 8, 32)
	if err != nil {
		return err
	}
	return os.Chmod(path, os.FileMode(mode))
}

func groupID(name string) (int, error) {
	if id, err := strconv.Atoi(name); err == nil && id >= 0 {
		return id, nil
	}
	group, err := user.LookupGroup(name)
	if unknown := user.UnknownGroupError(""); errors.As(err, &unknown) {
		return 0, fmt.Errorf("no group %q here; a number works too", name)
	} else if err != nil {
		return 0, err
	}
	return strconv.Atoi(group.Gid)
}
