package promsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// mostSamples is how many samples of one answer are taken: 128 MB of them.
const mostSamples = 8 << 20

// tooMuch means that the server refuses a query for its size; a smaller one may pass.
type tooMuch struct{ error }

func (e tooMuch) Unwrap() error { return e.error }

// call asks the API and has data read the answer's data. What may pass by itself is tried three times.
func (s *Source) call(ctx context.Context, path string, form url.Values, data func(d *decoder) error) error {
	const tries = 3
	for try := 1; ; try++ {
		again, err := s.once(ctx, path, form, data)
		if err == nil || !again || try == tries || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 500 * time.Millisecond):
		}
	}
}

func (s *Source) once(ctx context.Context, path string, form url.Values, data func(d *decoder) error) (again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base.JoinPath(path).String(), strings.NewReader(form.Encode()))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept-Encoding", "identity") // compressing takes the server longer than sending
	response, err := s.config.Client.Do(request)
	if err != nil {
		if cause := (*url.Error)(nil); errors.As(err, &cause) {
			err = cause.Err // it repeats the URL, which may hold a password
		}
		return true, fmt.Errorf("%s: %w", s.base.Redacted(), err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		busy := response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= 502
		return busy, s.refusal(response)
	}
	d := newDecoder(response.Body, mostSamples)
	a, err := d.envelope(func() error { return data(d) })
	switch {
	case errors.Is(err, errTooMany):
		return false, tooMuch{err}
	case err != nil:
		return false, fmt.Errorf("%s: %w", s.base.Redacted(), err)
	case a.status != "success":
		return false, fmt.Errorf("%s: %s: %s", s.base.Redacted(), a.kind, a.message)
	}
	for _, warning := range a.warnings {
		s.warn(warning)
	}
	return false, nil
}

// refusal is an answer with another status, in the server's words.
func (s *Source) refusal(response *http.Response) error {
	const most = 4 << 10
	text, _ := io.ReadAll(io.LimitReader(response.Body, most)) // what cannot be read is not shown
	words := strings.TrimSpace(string(text))
	if a, err := newDecoder(strings.NewReader(words), 0).envelope(func() error { return errMalformed }); err == nil && a.message != "" {
		words = a.kind + ": " + a.message
	}
	err := fmt.Errorf("%s: status %d: %.500s", s.base.Redacted(), response.StatusCode, words)
	// Prometheus: 422 "query processing would load too many samples into memory"; Mimir and Thanos: "exceeded … limit",
	// 413 or 422; VictoriaMetrics: 422 "cannot select more than … samples".
	for _, word := range []string{"too many samples", "exceed", "cannot select more than", "limit"} {
		if strings.Contains(strings.ToLower(words), word) && response.StatusCode >= 400 && response.StatusCode < 500 && response.StatusCode != 429 {
			return tooMuch{err}
		}
	}
	return err
}
