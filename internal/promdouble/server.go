// Package promdouble is a server for tests that answers as Prometheus' HTTP API does: series, and instant queries of the
// shapes {…}, {…}[time] and count_over_time({…}[time]). It keeps what it is given and interpolates nothing.
package promdouble

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Sample is one scraped value.
type Sample struct {
	Milliseconds int64 // since 1970, of the scrape
	Value        float64
}

// Series is one time series; its name is the label __name__.
type Series struct {
	Labels  map[string]string
	Samples []Sample // oldest first
}

// Server answers. The zero value has no series.
type Server struct {
	Most int // samples that one query may load, as --query.max-samples; 0: any number
	// Fail may answer a request instead of the server; it reports whether it did.
	Fail func(w http.ResponseWriter, r *http.Request) bool
	// Warnings go into each answer.
	Warnings []string

	mu      sync.Mutex
	series  []Series
	queries []string
}

// Add adds series.
func (s *Server) Add(series ...Series) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.series = append(s.series, series...)
}

// Queries are the queries and matchers that came.
func (s *Server) Queries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.queries)
}

// ServeHTTP answers POST /api/v1/series and /api/v1/query.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Fail != nil && s.Fail(w, r) {
		return
	}
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		s.refuse(w, http.StatusBadRequest, "bad_data", "want a form")
		return
	}
	switch r.URL.Path {
	case "/api/v1/series":
		s.listSeries(w, r.PostForm.Get("match[]"), milliseconds(r.PostForm.Get("start")), milliseconds(r.PostForm.Get("end")))
	case "/api/v1/query":
		s.query(w, r.PostForm.Get("query"), milliseconds(r.PostForm.Get("time")))
	default:
		http.NotFound(w, r)
	}
}

func milliseconds(text string) int64 {
	seconds, _ := strconv.ParseFloat(text, 64)
	return int64(seconds*1000 + 0.5)
}

func (s *Server) listSeries(w http.ResponseWriter, match string, start, end int64) {
	s.note(match)
	found := []map[string]string{}
	for _, series := range s.matching(match) {
		if len(between(series.Samples, start-1, end)) > 0 {
			found = append(found, series.Labels)
		}
	}
	s.answer(w, found)
}

func (s *Server) note(query string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = append(s.queries, query)
}

const lookback = 5 * time.Minute

// query answers an instant query.
func (s *Server) query(w http.ResponseWriter, query string, at int64) {
	s.note(query)
	selector, counted := strings.CutPrefix(query, "count_over_time(")
	selector = strings.TrimSuffix(selector, ")")
	selector, span, ranged := strings.Cut(selector, "}[")
	if ranged {
		selector += "}"
	}
	length := lookback
	if ranged {
		var err error
		if length, err = time.ParseDuration(strings.TrimSuffix(span, "]")); err != nil {
			s.refuse(w, http.StatusBadRequest, "bad_data", "invalid parameter \"query\": "+err.Error())
			return
		}
	}
	type one struct {
		Metric map[string]string `json:"metric"`
		Value  *[2]any           `json:"value,omitempty"`
		Values [][2]any          `json:"values,omitempty"`
	}
	found, loaded := []one{}, 0
	for _, series := range s.matching(selector) {
		samples := between(series.Samples, at-length.Milliseconds(), at)
		if len(samples) == 0 {
			continue
		}
		loaded++
		if ranged {
			loaded += len(samples) - 1
		}
		got := one{Metric: series.Labels}
		switch {
		case counted:
			got.Value = &[2]any{seconds(at), strconv.Itoa(len(samples))}
		case ranged:
			for _, sample := range samples {
				got.Values = append(got.Values, [2]any{seconds(sample.Milliseconds), number(sample.Value)})
			}
		default:
			got.Value = &[2]any{seconds(at), number(samples[len(samples)-1].Value)}
		}
		found = append(found, got)
	}
	if s.Most > 0 && loaded > s.Most {
		s.refuse(w, http.StatusUnprocessableEntity, "execution", "query processing would load too many samples into memory in query execution")
		return
	}
	kind := "vector"
	if ranged && !counted {
		kind = "matrix"
	}
	s.answer(w, map[string]any{"resultType": kind, "result": found})
}

func seconds(ms int64) json.RawMessage {
	return json.RawMessage(fmt.Sprintf("%d.%03d", ms/1000, ms%1000))
}

func number(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// between are the samples after from, up to to.
func between(samples []Sample, from, to int64) []Sample {
	var out []Sample
	for _, sample := range samples {
		if sample.Milliseconds > from && sample.Milliseconds <= to {
			out = append(out, sample)
		}
	}
	return out
}

// matching are the series that a selector means.
func (s *Server) matching(selector string) []Series {
	matcher := regexp.MustCompile(`([a-zA-Z_]+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")`)
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Series
	for _, series := range s.series {
		all := true
		for _, m := range matcher.FindAllStringSubmatch(selector, -1) {
			value, err := strconv.Unquote(m[3])
			if err != nil {
				return nil
			}
			same := series.Labels[m[1]] == value
			if strings.HasSuffix(m[2], "~") {
				same = regexp.MustCompile("^(?:" + value + ")$").MatchString(series.Labels[m[1]])
			}
			all = all && same != strings.HasPrefix(m[2], "!")
		}
		if all {
			out = append(out, series)
		}
	}
	return out
}

func (s *Server) answer(w http.ResponseWriter, data any) {
	answer := map[string]any{"status": "success", "data": data}
	if len(s.Warnings) > 0 {
		answer["warnings"] = s.Warnings
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *Server) refuse(w http.ResponseWriter, status int, kind, words string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": kind, "error": words})
}
