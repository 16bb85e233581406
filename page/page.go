// Package page is the live page that the daemon shows in a browser: what its event stream says, as charts and tables.
// It is a few static files; the numbers in them come from GET /v1/events.
package page

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
)

//go:embed assets
var assets embed.FS

// Policy is the page's Content-Security-Policy: its own files and its own daemon, nothing else.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handlers returns the handler of each of the page's routes.
func Handlers() map[string]http.Handler {
	handlers := map[string]http.Handler{}
	for _, name := range []string{"index.html", "style.css", "page.js", "chart.js", "numbers.js", "icon.svg"} {
		route := "GET /page/" + name
		if name == "index.html" {
			route = "GET /{$}"
		}
		handlers[route] = newFile(name)
	}
	return handlers
}

// file is one of the page's files.
type file struct {
	text []byte
	kind string
	etag string
}

func newFile(name string) file {
	text, err := fs.ReadFile(assets, path.Join("assets", name))
	if err != nil {
		panic(err) // it is part of the program
	}
	sum := sha256.Sum256(text)
	return file{text, kinds(path.Ext(name)), `"` + hex.EncodeToString(sum[:8]) + `"`}
}

// kinds gives the content type, which must not depend on the host's tables.
func kinds(extension string) string {
	switch extension {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return "text/html; charset=utf-8"
	}
}

// ServeHTTP answers with the file. A browser asks each time, and gets it anew when the daemon was.
func (f file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", Policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", f.etag)
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", f.kind)
	_, _ = w.Write(f.text)
}
