package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

const maxBody = 64 << 10

// member is one field as it came in.
type member struct {
	name string
	text string          // of a form or query
	raw  json.RawMessage // of a JSON object; nil: it is text
}

// json is the member's value as JSON.
func (m member) json() (json.RawMessage, error) {
	switch {
	case m.raw != nil:
		return m.raw, nil
	case !slices.Contains([]string{wholeNumber, number, object}, shape(m.name)):
		return json.Marshal(m.text)
	case json.Valid([]byte(m.text)):
		return json.RawMessage(m.text), nil
	default:
		return nil, fmt.Errorf("%.40s is not %s", m.text, shape(m.name))
	}
}

// readMembers reads what the query and the body say, by name. A name that comes twice is refused, but for gpus in a
// query or form.
func readMembers(r *http.Request) ([]member, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, errTooLarge
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("%w: its body took more than %v", errSlow, requestTime)
	} else if err != nil {
		return nil, fmt.Errorf("%w: read body: %w", errSyntax, err)
	}
	given, err := formMembers(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	more, err := bodyMembers(r.Header.Get("Content-Type"), bytes.TrimSpace(body))
	if err != nil {
		return nil, err
	}
	given = append(given, more...)
	slices.SortStableFunc(given, func(a, b member) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(given); i++ {
		if given[i].name == given[i-1].name {
			return nil, fmt.Errorf("%w: %.40q is given twice", errSyntax, given[i].name)
		}
	}
	return given, nil
}

func bodyMembers(contentType string, body []byte) ([]member, error) {
	switch kind, _, _ := mime.ParseMediaType(contentType); {
	case len(body) == 0:
		return nil, nil
	case kind == "application/json" || body[0] == '{': // curl -d '{…}' sends a form's content type
		return objectMembers(body)
	case kind == "application/x-www-form-urlencoded" || kind == "":
		return formMembers(string(body))
	default:
		return nil, fmt.Errorf("%w: send JSON or form fields, not %.60s", errSyntax, kind)
	}
}

// formMembers reads a=b&c=d. A field without a value is as good as not given.
func formMembers(text string) ([]member, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSyntax, err)
	}
	var given []member
	for name, list := range values {
		if name == "gpus" {
			list = []string{strings.Join(list, ",")}
		}
		for _, value := range list {
			if !utf8.ValidString(name) || !utf8.ValidString(value) {
				return nil, fmt.Errorf("%w: %.40q is not UTF-8", errSyntax, name)
			}
			m := member{name: name, text: strings.TrimSpace(value)}
			if m.text == "" {
				m.raw = json.RawMessage("null")
			}
			given = append(given, m)
		}
	}
	return given, nil
}

// objectMembers reads one JSON object.
func objectMembers(body []byte) ([]member, error) {
	if !utf8.Valid(body) {
		return nil, fmt.Errorf("%w: the body is not UTF-8", errSyntax)
	}
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, fmt.Errorf("%w: %w", errSyntax, err)
	}
	if body[0] != '{' {
		return nil, fmt.Errorf("%w: want one JSON object", errSyntax)
	}
	var given []member
	decoder := json.NewDecoder(bytes.NewReader(body))
	_, err := decoder.Token() // the brace
	for err == nil && decoder.More() {
		var name json.Token
		if name, err = decoder.Token(); err == nil {
			m := member{name: fmt.Sprint(name)}
			err = decoder.Decode(&m.raw)
			given = append(given, m)
		}
	}
	if err != nil { // it was valid as a whole
		return nil, fmt.Errorf("%w: %w", errSyntax, err)
	}
	return given, nil
}
