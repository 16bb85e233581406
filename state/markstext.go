package state

import (
	"encoding/json"
	"fmt"

	"wattmark/window"
)

// marksText puts the marks into words. Each mark writes all that are open: how those read that were written before is
// remembered, for a mark never changes.
type marksText struct {
	open, ended map[string][]byte // by id
	text        []byte            // of the last time, to be used again
}

// of returns the content of a marksFile, a line each. It is valid until the next call.
func (m *marksText) of(config Config, open []window.Mark, ended []Ended) ([]byte, error) {
	head, err := json.Marshal(marksFile{Schema: marksSchema, Boot: config.Boot, Host: config.Host})
	if err != nil {
		return nil, err
	}
	head = head[:len(head)-len(`"open":null,"ended":null}`)]
	m.text = append(append(m.text[:0], head...), `"open":`...)
	if m.open, err = list(&m.text, m.open, open, func(mark window.Mark) string { return mark.ID }); err != nil {
		return nil, err
	}
	m.text = append(m.text, `,"ended":`...)
	if m.ended, err = list(&m.text, m.ended, ended, func(e Ended) string { return e.ID }); err != nil {
		return nil, err
	}
	m.text = append(m.text, "}\n"...)
	return m.text, nil
}

// list appends a JSON array of what reads as known, by id, or is new, and returns how these read.
func list[T any](out *[]byte, known map[string][]byte, all []T, id func(T) string) (map[string][]byte, error) {
	read := make(map[string][]byte, len(all))
	separator := byte('[')
	for _, each := range all {
		text, ok := known[id(each)]
		if !ok {
			var err error
			if text, err = json.Marshal(each); err != nil {
				return nil, fmt.Errorf("put %s into words: %w", id(each), err)
			}
		}
		read[id(each)] = text
		*out = append(append(*out, separator), text...)
		separator = ','
	}
	if len(all) == 0 {
		*out = append(*out, '[')
	}
	*out = append(*out, ']')
	return read, nil
}
