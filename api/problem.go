package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Problem is an answer that says what is wrong, as RFC 9457 problem+json.
type Problem struct {
	Type   string `json:"type"` // the page of the code, /problems/CODE: a relative reference, for the daemon serves it
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"` // one word for programs
}

// What else can be wrong with a request.
var (
	errInternal   = errors.New("internal error")
	errSyntax     = errors.New("malformed request")
	errSpan       = errors.New("impossible span of time")
	errExpired    = errors.New("older than memory")
	errNoGPU      = errors.New("no GPU to measure")
	errPath       = errors.New("unusable path")
	errWaking     = errors.New("GPUs wake up")
	errNoWork     = errors.New("agg_result needs benchmark data")
	errTooLarge   = errors.New("body over 64 kB")
	errSlow       = errors.New("request not complete in time")
	errBusy       = errors.New("too much at once")
	errHost       = errors.New("foreign Host")
	errOrigin     = errors.New("cross-origin request")
	errToken      = errors.New("token needed")
	errRunName    = errors.New("bad run name")
	errNoSuchPage = errors.New("no such page")
	errMethod     = errors.New("method not allowed")
	errViewers    = errors.New("too many viewers")
)

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	kind := problemOf(err)
	status, code := kind.status, kind.code
	s.config.Logger.Debug("request refused", "method", r.Method, "path", r.URL.Path, "from", r.RemoteAddr, "code", code, "err", err)
	if status == http.StatusInternalServerError && r.Context().Err() == nil { // else the client is gone
		s.config.Logger.Error("request failed", "path", r.URL.Path, "err", err)
	}
	refuse(w, err)
}

// refuse answers with the problem that an error is.
func refuse(w http.ResponseWriter, err error) {
	kind := problemOf(err)
	status, code, title := kind.status, kind.code, kind.err.Error()
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="wattmark"`)
	case http.StatusRequestTimeout:
		w.Header().Set("Connection", "close") // the rest of the body may still come
	}
	if errors.Is(err, errBusy) || errors.Is(err, errWaking) {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	writeJSON(w, Problem{Type: problemPath + code, Title: title, Status: status, Detail: err.Error(), Code: code})
}

// writeJSON writes v and a newline. The client may be gone: that is no error of ours.
func writeJSON(w http.ResponseWriter, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		text = fmt.Appendf(nil, `{"error":%q}`, err.Error())
	}
	_, _ = w.Write(append(text, '\n'))
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	writeJSON(w, v)
}
