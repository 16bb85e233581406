package metrics

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

func newRequests() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wattmark_http_requests_total",
		Help: "Requests answered, by route (other: none of ours), method and status.",
	}, []string{"handler", "method", "code"})
}

// Count returns next with its requests counted. next must be, or hand its request on to, an [http.ServeMux]: the route's
// pattern is the label, never the path that the caller wrote.
func (m *Metrics) Count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &counted{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			m.requests.WithLabelValues(route(r.Pattern), method(r.Method), strconv.Itoa(answer.status)).Inc()
		}()
		next.ServeHTTP(answer, r)
	})
}

// counted remembers the status of an answer.
type counted struct {
	http.ResponseWriter
	status int
}

func (c *counted) WriteHeader(status int) {
	if status >= 200 { // those before are not the answer
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// route is a pattern without its method.
func route(pattern string) string {
	if pattern == "" {
		return "other"
	}
	return pattern[strings.IndexByte(pattern, '/'):]
}

// method is one of those that the API knows: callers can send any word as one.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		return name
	default:
		return "other"
	}
}
