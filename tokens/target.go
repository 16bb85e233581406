package tokens

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxPage bounds a metrics page; those of inference servers are some 100 kB.
const maxPage = 16 << 20

// target is one metrics page. Only one read of it runs at a time.
type target struct {
	url   string
	shown string // without a password
	names *Names // nil: not recognised yet

	series  map[string]float64 // the last value of each, by name and labels
	known   bool               // it was read before
	seen    Names              // of which of its names there are samples
	counted counts             // since the first reading
	resets  int                // a server began anew
	err     error              // of the last read
}

func (t *target) read(ctx context.Context, client *http.Client) {
	page, err := t.fetch(ctx, client)
	if err == nil {
		err = t.count(page)
	}
	t.err = err
}

func (t *target) fetch(ctx context.Context, client *http.Client) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", "text/plain")
	response, err := client.Do(request)
	if err != nil {
		if cause := (*url.Error)(nil); errors.As(err, &cause) {
			err = cause.Err // it repeats the address, with its password
		}
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d", response.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxPage+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxPage {
		return "", fmt.Errorf("the page is longer than %d MB", maxPage>>20)
	}
	return string(text), nil
}

// count adds what the page's counters have advanced. Several engines behind one port are several series. A counter
// that fell began anew at 0, as its server did; a series that is new on a page that is not counts from 0 too.
func (t *target) count(page string) error {
	names, err := t.recognise(page)
	if err != nil {
		return err
	}
	fresh := map[string]float64{}
	var added counts
	resets := 0
	for line := range strings.Lines(page) {
		name, key, value, ok := sample(line)
		if !ok || name != names.Output && name != names.Input && name != names.Requests {
			continue
		}
		fresh[key] = value
		last, seen := t.series[key]
		delta := value - last
		switch {
		case !seen && !t.known:
			delta = 0
		case delta < 0:
			delta = value
			if name == names.Output {
				resets++
			}
		}
		switch name {
		case names.Output:
			added.output += delta
		case names.Input:
			t.seen.Input = name
			added.input += delta
		default:
			t.seen.Requests = name
			added.requests += delta
		}
	}
	for key, value := range t.series { // an engine that is away may come back with its counts
		if _, here := fresh[key]; !here {
			fresh[key] = value
		}
	}
	if len(fresh) > 10_000 {
		return errors.New("more than 10000 series count tokens")
	}
	t.series, t.known = fresh, true
	t.counted, t.resets = t.counted.plus(added), t.resets+resets
	return nil
}

// recognise finds out whose page it is, once.
func (t *target) recognise(page string) (Names, error) {
	if t.names != nil {
		if !t.known && !has(page, t.names.Output) {
			return Names{}, fmt.Errorf("no metric %s on the page", t.names.Output)
		}
		return *t.names, nil
	}
	for _, names := range Engines() {
		if has(page, names.Output) {
			t.names = &names
			return names, nil
		}
	}
	return Names{}, errors.New("no metric of a known inference server on the page; name them with --tokens-metric")
}

// has reports that the page has a sample of that name.
func has(page, name string) bool {
	for line := range strings.Lines(page) {
		if found, _, _, ok := sample(line); ok && found == name {
			return true
		}
	}
	return false
}
