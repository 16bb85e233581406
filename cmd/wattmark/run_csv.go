package main

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"wattmark/internal/atomicfile"
	"wattmark/recording"
	"wattmark/sampler"
)

// asRecorded makes of a daemon's /v1/readings the CSV that nvidia-smi or amd-smi would have printed, oldest first, which
// aggregate --csv and InferenceX's script read. Times are Unix seconds: they mean the same in every zone.
func asRecorded(answer []byte, dialect recording.Dialect) ([]byte, error) {
	lines, err := csv.NewReader(bytes.NewReader(answer)).ReadAll()
	if err != nil || len(lines) == 0 {
		return nil, fmt.Errorf("the daemon's readings: %w", cmp.Or(err, errors.New("none")))
	}
	column := map[string]int{}
	for i, name := range lines[0] {
		column[name] = i
	}
	rows := make([]recording.Row, 0, len(lines)-1)
	for _, line := range lines[1:] {
		number := func(name string) sampler.Value {
			i, ok := column[name]
			if !ok {
				return sampler.Value{}
			}
			x, err := strconv.ParseFloat(line[i], 64)
			if err != nil { // an empty cell is a missing value
				return sampler.Value{}
			}
			return sampler.Some(x)
		}
		gauge := func(name string) sampler.Gauge {
			if x, ok := number(name).Known(); ok {
				return sampler.SomeGauge(x)
			}
			return sampler.Gauge{}
		}
		at, ok := number("unix").Known()
		index, okIndex := number("index").Known()
		if !ok || !okIndex {
			return nil, fmt.Errorf("the daemon's readings: %q has no time or index", line)
		}
		rows = append(rows, recording.Row{Index: int(index), Reading: sampler.Reading{
			At: sampler.UnixMoment(at), PowerWatts: number("power_w"), TemperatureC: gauge("temperature_c"),
			ClockMHz: gauge("clock_mhz"), MemoryClockMHz: gauge("memory_clock_mhz"),
			Utilization: gauge("utilization_ratio"), MemoryUtilization: gauge("memory_utilization_ratio"),
		}})
	}
	slices.SortStableFunc(rows, func(a, b recording.Row) int {
		return cmp.Or(cmp.Compare(a.Reading.At.UnixNano, b.Reading.At.UnixNano), cmp.Compare(a.Index, b.Index))
	})
	var out bytes.Buffer
	w := recording.NewWriter(&out, dialect, recording.Epoch)
	if err := errors.Join(w.Header(), w.Write(rows)); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// writeRecorded writes the CSV to a file.
func writeRecorded(path string, answer []byte, dialect recording.Dialect) error {
	text, err := asRecorded(answer, dialect)
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(path, text)
}
