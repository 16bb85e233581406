package agg

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// MaxWindowFile is the size up to which a window file is read: a day of eight GPUs is 65 MB, and ten times as much where
// GPUs without a counter are read ten times a second.
const MaxWindowFile = 1 << 30

// WindowFile is power_window_<run>.json: a result and the readings it was computed from, enough to compute it again
// anywhere. Its JSON is that of the result with three more members: limits, expected and series.
type WindowFile struct {
	Result window.Result
	Limits window.Limits
	Series []sampler.Series
}

// Window is what the file's result measured.
func (f WindowFile) Window() window.Window {
	w := window.Window{
		Run: f.Result.Run, Start: f.Result.Start, End: f.Result.End, Expected: f.Result.Expected, Skew: f.Result.Skew,
	}
	for _, gpu := range f.Result.GPUs {
		w.Role = gpu.Role
	}
	return w
}

type limitsJSON struct {
	MaxGapS        float64 `json:"max_gap_s"`
	IntervalS      float64 `json:"interval_s"`
	AllowSimulated bool    `json:"allow_simulated"`
}

// MarshalJSON is EncodeWindow of a file at hand.
func (f WindowFile) MarshalJSON() ([]byte, error) {
	result, err := json.Marshal(f.Result)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = EncodeWindow(&out, result, f.Limits, nil, slices.Values(f.Series))
	return out.Bytes(), err
}

// EncodeWindow writes a window's file: the members of the result (JSON), then limits, mark (JSON, unless it is nil) and series.
// It holds some 64 kB of text at a time: a day of eight GPUs is 60 MB.
func EncodeWindow(w io.Writer, result []byte, limits window.Limits, mark []byte, all iter.Seq[sampler.Series]) error {
	rules, err := json.Marshal(limitsJSON{limits.MaxGap.Seconds(), limits.Interval.Seconds(), limits.AllowSimulated})
	if err != nil {
		return err
	}
	if mark != nil {
		rules = append(append(rules, `,"mark":`...), mark...)
	}
	out := encoder{w: w, text: make([]byte, 0, flushAt+1024)}
	out.text = append(out.text, bytes.TrimSuffix(result, []byte("}"))...)
	out.text = append(append(out.text, `,"limits":`...), rules...)
	out.add(`,"series":[`)
	between := ""
	for series := range all {
		info, err := json.Marshal(series.Info)
		if err != nil {
			return err
		}
		out.add(between, `{"info":`, string(info), `,"readings":`)
		out.columns(series.Readings)
		out.add("}")
		between = ","
	}
	out.add("]}")
	return out.flush()
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (f *WindowFile) UnmarshalJSON(text []byte) error {
	var rest struct {
		Limits limitsJSON `json:"limits"`
		Series []struct {
			Info     sampler.Info `json:"info"`
			Readings columns      `json:"readings"`
		} `json:"series"`
	}
	if err := json.Unmarshal(text, &f.Result); err != nil {
		return err
	}
	if err := json.Unmarshal(text, &rest); err != nil {
		return err
	}
	f.Limits = window.Limits{
		MaxGap:         time.Duration(rest.Limits.MaxGapS * float64(time.Second)),
		Interval:       time.Duration(rest.Limits.IntervalS * float64(time.Second)),
		AllowSimulated: rest.Limits.AllowSimulated,
	}
	f.Series = nil
	for _, s := range rest.Series {
		readings, err := s.Readings.rows()
		if err != nil {
			return fmt.Errorf("readings of %s: %w", s.Info.ID(), err)
		}
		f.Series = append(f.Series, sampler.Series{Info: s.Info, Readings: readings})
	}
	return nil
}
