package metrics

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// requests counts answers. What callers send makes few series: see mostRequests.
type requests struct {
	family *family

	mu   sync.Mutex
	seen []answered // by labels
}

// answered is how many requests there were of a route, a method and a status.
type answered struct {
	labels [3]string
	n      float64
}

// mostRequests is how many series of routes, methods and status there are before the rest is counted by kind of status
// alone: a scanner that tries everything must not fill Prometheus.
const mostRequests = 20

func newRequests(c *catalogue) *requests {
	return &requests{family: c.counter("wattmark_http_requests_total",
		"Requests answered, by route (other: none of ours, or one of very many kinds), method and status.", "handler", "method", "code")}
}

func (q *requests) count(labels [3]string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i, known := q.find(labels)
	if !known && len(q.seen) >= mostRequests {
		labels = [3]string{"other", "other", labels[2][:1] + "xx"}
		i, known = q.find(labels)
	}
	if !known {
		q.seen = slices.Insert(q.seen, i, answered{labels: labels})
	}
	q.seen[i].n++
}

func (q *requests) find(labels [3]string) (int, bool) {
	return slices.BinarySearchFunc(q.seen, labels, func(a answered, b [3]string) int { return slices.Compare(a.labels[:], b[:]) })
}

func (q *requests) tell() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, a := range q.seen {
		q.family.set(a.n, a.labels[:]...)
	}
}

// Count returns next with its requests counted. next must be, or hand its request on to, an [http.ServeMux]: the route's
// pattern is the label, never the path that the caller wrote.
func (m *Metrics) Count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &counted{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			m.requests.count([3]string{route(r.Pattern), method(r.Method), strconv.Itoa(answer.status)})
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

// method is one of those that the API knows: callers can send any word as one. HEAD is GET without the body.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead:
		return http.MethodGet
	case http.MethodPost:
		return name
	default:
		return "other"
	}
}
