package agg

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"wattmark/sampler"
)

// ReadWindow is UnmarshalJSON for a file that is too large to have in memory: it holds one GPU's readings at a time, and
// of each GPU what kept makes of them.
func ReadWindow(r io.Reader, kept func(sampler.Series) sampler.Series) (file WindowFile, err error) {
	in := json.NewDecoder(r)
	head := map[string]json.RawMessage{}
	if err := delimiter(in, '{'); err != nil {
		return file, err
	}
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return file, err
		}
		if key != "series" {
			var value json.RawMessage
			if err := in.Decode(&value); err != nil {
				return file, err
			}
			head[fmt.Sprint(key)] = value
			continue
		}
		if file.Series, err = readSeries(in, kept); err != nil {
			return file, err
		}
	}
	if err := delimiter(in, '}'); err != nil {
		return file, err
	}
	if after, err := in.Token(); !errors.Is(err, io.EOF) {
		return file, cmp.Or(err, fmt.Errorf("%w: %v after its end", errNoWindowFile, after))
	}
	text, err := json.Marshal(head)
	if err != nil {
		return file, err
	}
	series := file.Series
	err = file.UnmarshalJSON(text) // a file without series
	file.Series = series
	return file, err
}

func readSeries(in *json.Decoder, kept func(sampler.Series) sampler.Series) (all []sampler.Series, err error) {
	if err := delimiter(in, '['); err != nil {
		return nil, err
	}
	for in.More() {
		var s struct {
			Info     sampler.Info `json:"info"`
			Readings columns      `json:"readings"`
		}
		if err := in.Decode(&s); err != nil {
			return nil, err
		}
		readings, err := s.Readings.rows()
		if err != nil {
			return nil, fmt.Errorf("readings of %s: %w", s.Info.ID(), err)
		}
		all = append(all, kept(sampler.Series{Info: s.Info, Readings: readings}))
	}
	return all, delimiter(in, ']')
}

func delimiter(in *json.Decoder, want json.Delim) error {
	token, err := in.Token()
	if err == nil && token != want {
		err = fmt.Errorf("%w: %v where %v should be", errNoWindowFile, token, want)
	}
	return err
}

// CopyWindow writes a window's file without what only the daemon needs of it, piece by piece.
func CopyWindow(w io.Writer, r io.Reader) error {
	head := make([]byte, maxHead)
	n, err := io.ReadFull(r, head)
	if head = head[:n]; n == 0 {
		return err
	}
	if at := bytes.Index(head, []byte(`,"limits":`)); at >= 0 {
		begin := bytes.Index(head[at:], []byte(`,"mark":`))
		end := bytes.Index(head[at:], []byte(`,"series":[`))
		if 0 <= begin && begin < end {
			head = append(head[:at+begin], head[at+end:]...)
		}
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return err
}
