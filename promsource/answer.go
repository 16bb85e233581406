package promsource

import (
	"encoding/json"
	"fmt"
)

// jsonString is a string as encoding/json reads it.
type jsonString string

// UnmarshalJSON reads a string.
func (s *jsonString) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, (*string)(s)) }

// envelope reads an answer; data reads its data.
func (d *decoder) envelope(data func() error) (a answer, err error) {
	text := func(to *string) (err error) {
		*to, err = d.text()
		return err
	}
	err = d.object(func(key string) error {
		switch key {
		case "status":
			return text(&a.status)
		case "errorType":
			return text(&a.kind)
		case "error":
			return text(&a.message)
		case "warnings":
			if d.peek() != '[' {
				return d.skip() // null
			}
			return d.list(func() error {
				warning, err := d.text()
				a.warnings = append(a.warnings, warning)
				return err
			})
		case "data":
			if d.peek() == '{' || d.peek() == '[' {
				return data()
			}
			return d.skip() // null
		default:
			return d.skip()
		}
	})
	if err == nil && a.status == "" {
		err = fmt.Errorf("%w: it has no status", errMalformed)
	}
	return a, err
}

// matrix reads the data of a query whose answer is vectors of samples or one sample each. begin is called with the labels
// of a series and returns what takes its samples; nil: they are skipped.
func (d *decoder) matrix(begin func(labels map[string]string) func(sample)) error {
	return d.object(func(key string) error {
		if key != "result" {
			return d.skip()
		}
		return d.list(func() error { return d.series(begin) })
	})
}

// series reads one series. Its labels come before its samples, as the API's servers write them.
func (d *decoder) series(begin func(labels map[string]string) func(sample)) error {
	var take func(sample)
	labelled := false
	return d.object(func(key string) error {
		switch key {
		case "metric":
			labels, err := d.labels()
			if err == nil {
				take, labelled = begin(labels), true
			}
			return err
		case "values", "value":
			if !labelled {
				return fmt.Errorf("%w: samples without labels", errMalformed)
			}
			if take == nil {
				return d.skip()
			}
			if key == "values" {
				return d.samples(take)
			}
			s, err := d.sample()
			take(s)
			return err
		default:
			return d.skip()
		}
	})
}
