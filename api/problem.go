package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"wattmark/sampler"
	"wattmark/window"
)

// Problem is an answer that says what is wrong, as RFC 9457 problem+json.
type Problem struct {
	Type   string `json:"type"` // a section of docs/api.md, the same for each code
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"` // one word for programs
}

// What else can be wrong with a request.
var (
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

// problemOf maps every error that a handler can return to its status, its code for programs and its title.
func problemOf(err error) (status int, code, title string) {
	for _, known := range []struct {
		err    error
		status int
		code   string
	}{
		{errSyntax, http.StatusBadRequest, "malformed"},
		{errRunName, http.StatusBadRequest, "invalid_run"},
		{errSpan, http.StatusBadRequest, "invalid_span"},
		{sampler.ErrUnknownGPU, http.StatusBadRequest, "unknown_gpu"},
		{errToken, http.StatusUnauthorized, "token_required"},
		{errOrigin, http.StatusForbidden, "cross_origin"},
		{window.ErrUnknownRun, http.StatusNotFound, "unknown_run"},
		{errNoSuchPage, http.StatusNotFound, "not_found"},
		{errExpired, http.StatusNotFound, "window_expired"},
		{errMethod, http.StatusMethodNotAllowed, "method_not_allowed"},
		{errSlow, http.StatusRequestTimeout, "request_timeout"},
		{window.ErrOpen, http.StatusConflict, "window_open"},
		{window.ErrAmbiguous, http.StatusConflict, "ambiguous_run"},
		{errTooLarge, http.StatusRequestEntityTooLarge, "body_too_large"},
		{errHost, http.StatusMisdirectedRequest, "foreign_host"},
		{errPath, http.StatusUnprocessableEntity, "forbidden_path"},
		{errNoWork, http.StatusUnprocessableEntity, "benchmark_data_required"},
		{window.ErrTooManyOpen, http.StatusTooManyRequests, "too_many_windows"},
		{errBusy, http.StatusTooManyRequests, "busy"},
		{errViewers, http.StatusTooManyRequests, "too_many_viewers"},
		{errNoGPU, http.StatusServiceUnavailable, "no_gpu"},
		{errWaking, http.StatusServiceUnavailable, "gpu_waking"},
	} {
		if errors.Is(err, known.err) {
			return known.status, known.code, known.err.Error()
		}
	}
	return http.StatusInternalServerError, "internal", "internal error"
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, code, _ := problemOf(err)
	s.config.Logger.Debug("request refused", "method", r.Method, "path", r.URL.Path, "from", r.RemoteAddr, "code", code, "err", err)
	if status == http.StatusInternalServerError && r.Context().Err() == nil { // else the client is gone
		s.config.Logger.Error("request failed", "path", r.URL.Path, "err", err)
	}
	refuse(w, err)
}

// refuse answers with the problem that an error is.
func refuse(w http.ResponseWriter, err error) {
	status, code, title := problemOf(err)
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
	writeJSON(w, Problem{Type: "/docs/api#" + code, Title: title, Status: status, Detail: err.Error(), Code: code})
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
