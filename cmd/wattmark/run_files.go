package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"wattmark/agg"
	"wattmark/internal/atomicfile"
	"wattmark/recording"
	"wattmark/window"
)

// readings writes those of the result's window to a file.
func (m *meter) readings(path string, result window.Result) error {
	if m.client == nil {
		return errors.New("there are no readings")
	}
	var gpus []string
	dialect := recording.NVIDIA
	for _, gpu := range result.GPUs {
		gpus = append(gpus, gpu.ID())
		if gpu.Vendor == "amd" {
			dialect = recording.AMD
		}
	}
	query := url.Values{"format": {"csv"}, "gpus": {strings.Join(gpus, ",")}}
	query.Set("start", fmt.Sprintf("%.6f", result.Start.Unix()))
	query.Set("end", fmt.Sprintf("%.6f", result.End.Unix()))
	text, err := m.client.do(context.Background(), "GET", "/v1/readings?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	return writeRecorded(path, text, dialect)
}

// keep writes the window's file: the result, and the readings that the daemon measured it from. Where it does not give
// them (one of before report?format=json), the result is written alone.
func (m *meter) keep(path string, result window.Result) error {
	file := agg.WindowFile{Limits: window.Limits{MaxGap: m.cmd.MaxGap, Interval: m.cmd.Interval, AllowSimulated: m.cmd.AllowSimulated}}
	if m.client != nil {
		text, err := m.client.do(context.Background(), "GET", "/v1/windows/"+url.PathEscape(m.run)+"/report?format=json", nil)
		if err == nil {
			err = file.UnmarshalJSON(text)
		}
		if err != nil {
			m.say("--json: without readings, so report cannot show it: %v", err)
			return writeJSON(path, result)
		}
	}
	file.Result = result // with what the daemon could not know of the benchmark's result
	return writeJSON(path, file)
}

func writeJSON(path string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(path, append(text, '\n'))
}
