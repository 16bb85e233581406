package api

import (
	"errors"
	"fmt"
	"net/http"

	"wattmark/sampler"
	"wattmark/window"
)

// problemPath is where the pages of the problems are.
const problemPath = "/problems/"

// problemKind is what all problems of a code have in common.
type problemKind struct {
	err    error // its text is the title
	status int
	code   string // for programs
	advice string // what to do, as docs/api.md says it
}

// problemKinds are all problems that a handler can answer with.
func problemKinds() []problemKind {
	return []problemKind{
		{
			errSyntax, http.StatusBadRequest, "malformed",
			"the request is not JSON or form fields, has an unknown or repeated field, or a field of the wrong type: see `detail`",
		},
		{
			errRunName, http.StatusBadRequest, "invalid_run",
			"choose another name: 1 to 200 of `A-Z a-z 0-9 . _ -`, and not only dots",
		},
		{
			errSpan, http.StatusBadRequest, "invalid_span",
			"the end is not after the start, lies more than 1 s ahead, or one of them is missing",
		},
		{
			sampler.ErrUnknownGPU, http.StatusBadRequest, "unknown_gpu",
			"no GPU of that name, or more than one; `GET /v1/gpus` lists them",
		},
		{
			errToken, http.StatusUnauthorized, "token_required",
			"POST needs the token of `--write-token-file`: header `Authorization: Bearer TOKEN`, or `X-Wattmark-Token: TOKEN` beside basic authentication",
		},
		{
			errOrigin, http.StatusForbidden, "cross_origin",
			"a page of another site sent this; use curl or a page of the daemon's own",
		},
		{
			window.ErrUnknownRun, http.StatusNotFound, "unknown_run",
			"no such window; `GET /v1/windows` lists them",
		},
		{
			errNoSuchPage, http.StatusNotFound, "not_found",
			"no such path",
		},
		{
			errExpired, http.StatusNotFound, "window_expired",
			"readings do not go back that far; raise `--retention` (or the memory limit, where it is what bounds them), or mark live",
		},
		{
			errMethod, http.StatusMethodNotAllowed, "method_not_allowed",
			"the header `Allow` says what the path takes",
		},
		{
			errSlow, http.StatusRequestTimeout, "request_timeout",
			"the body was not complete within 10 s",
		},
		{
			window.ErrOpen, http.StatusConflict, "window_open",
			"a window of that name is open; end it, or choose another name",
		},
		{
			window.ErrAmbiguous, http.StatusConflict, "ambiguous_run",
			"several windows are open: name one",
		},
		{
			errTooLarge, http.StatusRequestEntityTooLarge, "body_too_large",
			"more than 64 kB; write the benchmark's result to a file and name that",
		},
		{
			errHost, http.StatusMisdirectedRequest, "foreign_host",
			"the Host is not an IP address, `localhost` or this host's name; add it with `--allowed-host`",
		},
		{
			errPath, http.StatusUnprocessableEntity, "forbidden_path",
			"the path leaves the results folder, is a link or no regular file, or is not a name for a validation file",
		},
		{
			errNoWork, http.StatusUnprocessableEntity, "benchmark_data_required",
			"`agg_result` needs `benchmark_result`, `benchmark` or the counts",
		},
		{
			window.ErrTooManyOpen, http.StatusTooManyRequests, "too_many_windows",
			"256 windows are open; end some",
		},
		{
			errBusy, http.StatusTooManyRequests, "busy",
			"more is being asked at once than the daemon takes on (256 connections, and so much to compute): try again in a second. It waits 2 s before it says so, and 10 s with a mark-end, whose window stays open; give the end as `at_unix` then",
		},
		{
			errViewers, http.StatusTooManyRequests, "too_many_viewers",
			"16 viewers listen to the event stream; close a page",
		},
		{
			errInternal, http.StatusInternalServerError, "internal",
			"a bug, or a full disk; the daemon's log has it",
		},
		{
			errNoGPU, http.StatusServiceUnavailable, "no_gpu",
			"there is nothing to measure; `detail` says why",
		},
		{
			errWaking, http.StatusServiceUnavailable, "gpu_waking",
			"a GPU has not answered since the daemon began, less than 20 s ago: it may be waking up. Wait for `/readyz`, or name the GPUs to measure",
		},
	}
}

// problemOf maps every error that a handler can return to its problem. What is none of those known is internal.
func problemOf(err error) problemKind {
	for _, kind := range problemKinds() {
		if errors.Is(err, kind.err) {
			return kind
		}
	}
	return problemOf(errInternal)
}

// problem is the page to which a problem's type leads, for people.
func (s *Server) problem(w http.ResponseWriter, r *http.Request) error {
	for _, kind := range problemKinds() {
		if kind.code == r.PathValue("code") {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = fmt.Fprintf(w, "%s: %s (HTTP status %d)\n\n%s\n", kind.code, kind.err, kind.status, kind.advice)
			return nil
		}
	}
	return fmt.Errorf("%w: there is no problem %.100q", errNoSuchPage, r.PathValue("code"))
}
