package agg

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// MaxWindowFile is the size up to which a window file is read: a day of eight GPUs is 70 MB.
const MaxWindowFile = 256 << 20

// WindowFile is power_window_<run>.json: a result and the readings it was computed from, enough to compute it again
// anywhere. Its JSON is that of the result with three more members: limits, expected and series.
type WindowFile struct {
	Result window.Result
	Limits window.Limits
	Series []sampler.Series
}

// Window is what the file's result measured.
func (f WindowFile) Window() window.Window {
	w := window.Window{Run: f.Result.Run, Start: f.Result.Start, End: f.Result.End, Expected: f.Result.Expected}
	for _, gpu := range f.Result.GPUs {
		w.Role = gpu.Role
	}
	return w
}

type limitsJSON struct {
	MaxGapS        float64 `json:"max_gap_s"`
	AllowSimulated bool    `json:"allow_simulated"`
}

// MarshalJSON is EncodeWindow of a file at hand.
func (f WindowFile) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	err := EncodeWindow(&out, f.Result, f.Limits, slices.Values(f.Series))
	return out.Bytes(), err
}

// EncodeWindow writes a window's file: the result's members, then limits and series. It holds the text of one
// quantity of one GPU at a time: a day of eight GPUs is 60 MB.
func EncodeWindow(w io.Writer, result window.Result, limits window.Limits, all iter.Seq[sampler.Series]) error {
	text, err := json.Marshal(result)
	if err != nil {
		return err
	}
	rules, err := json.Marshal(limitsJSON{limits.MaxGap.Seconds(), limits.AllowSimulated})
	if err != nil {
		return err
	}
	out := append(bytes.TrimSuffix(text, []byte("}")), `,"limits":`...)
	out = append(append(out, rules...), `,"series":[`...)
	between := ""
	for series := range all {
		info, err := json.Marshal(series.Info)
		if err != nil {
			return err
		}
		out = append(append(append(append(out, between...), `{"info":`...), info...), `,"readings":`...)
		if out, err = writeColumns(w, out, series.Readings); err != nil {
			return err
		}
		out = append(out, '}')
		between = ","
	}
	_, err = w.Write(append(out, "]}"...))
	return err
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

// columns are readings by quantity: half the size of a list of objects.
type columns struct {
	UnixNano     []int64         `json:"unix_ns"`
	MonoNano     []int64         `json:"monotonic_ns"`
	CallNano     []int64         `json:"call_ns"`
	Power        []sampler.Value `json:"power_w"`
	Instant      []sampler.Value `json:"instant_power_w"`
	Energy       []sampler.Value `json:"energy_counter_j"`
	Temperature  []sampler.Value `json:"temperature_c"`
	Clock        []sampler.Value `json:"clock_mhz"`
	MemoryClock  []sampler.Value `json:"memory_clock_mhz"`
	Utilization  []sampler.Value `json:"utilization_ratio"`
	ThrottleBits []*uint32       `json:"throttle_bits"` // null: not known
	Stretched    []bool          `json:"stretched"`
}

// writeColumns writes out and then the readings, column by column, and returns what is still to be written.
func writeColumns(w io.Writer, out []byte, readings []sampler.Reading) ([]byte, error) {
	integer := func(of func(sampler.Reading) int64) func([]byte, sampler.Reading) []byte {
		return func(out []byte, r sampler.Reading) []byte { return strconv.AppendInt(out, of(r), 10) }
	}
	value := func(of func(sampler.Reading) sampler.Value) func([]byte, sampler.Reading) []byte {
		return func(out []byte, r sampler.Reading) []byte {
			x, ok := of(r).Known()
			if !ok {
				return append(out, "null"...)
			}
			return strconv.AppendFloat(out, x, 'g', -1, 64)
		}
	}
	for i, column := range []struct {
		name   string
		append func([]byte, sampler.Reading) []byte
	}{
		{"unix_ns", integer(func(r sampler.Reading) int64 { return r.At.UnixNano })},
		{"monotonic_ns", integer(func(r sampler.Reading) int64 { return r.At.MonoNano })},
		{"call_ns", integer(func(r sampler.Reading) int64 { return int64(r.Call) })},
		{"power_w", value(func(r sampler.Reading) sampler.Value { return r.PowerWatts })},
		{"instant_power_w", value(func(r sampler.Reading) sampler.Value { return r.InstantWatts })},
		{"energy_counter_j", value(func(r sampler.Reading) sampler.Value { return r.EnergyJoules })},
		{"temperature_c", value(func(r sampler.Reading) sampler.Value { return r.TemperatureC.Value() })},
		{"clock_mhz", value(func(r sampler.Reading) sampler.Value { return r.ClockMHz.Value() })},
		{"memory_clock_mhz", value(func(r sampler.Reading) sampler.Value { return r.MemoryClockMHz.Value() })},
		{"utilization_ratio", value(func(r sampler.Reading) sampler.Value { return r.Utilization.Value() })},
		{"throttle_bits", appendThrottle},
		{"stretched", func(out []byte, r sampler.Reading) []byte { return strconv.AppendBool(out, r.Stretched) }},
	} {
		out = append(out, "{,"[min(i, 1)])
		out = append(strconv.AppendQuote(out, column.name), ":["...)
		for k, r := range readings {
			if k > 0 {
				out = append(out, ',')
			}
			out = column.append(out, r)
		}
		if _, err := w.Write(append(out, ']')); err != nil {
			return nil, err
		}
		out = out[:0]
	}
	return append(out, '}'), nil
}

func appendThrottle(out []byte, r sampler.Reading) []byte {
	if !r.ThrottleKnown {
		return append(out, "null"...)
	}
	return strconv.AppendUint(out, uint64(r.Throttle), 10)
}

func (c columns) rows() ([]sampler.Reading, error) {
	n := len(c.UnixNano)
	if len(c.MonoNano) != n || len(c.CallNano) != n || len(c.ThrottleBits) != n || len(c.Stretched) != n {
		return nil, fmt.Errorf("columns differ in length")
	}
	for _, column := range [][]sampler.Value{c.Power, c.Instant, c.Energy, c.Temperature, c.Clock, c.MemoryClock, c.Utilization} {
		if len(column) != n {
			return nil, fmt.Errorf("columns differ in length")
		}
	}
	gauge := func(v sampler.Value) sampler.Gauge {
		x, ok := v.Known()
		if !ok {
			return sampler.Gauge{}
		}
		return sampler.SomeGauge(x)
	}
	rows := make([]sampler.Reading, n)
	for i := range rows {
		rows[i] = sampler.Reading{
			At:         sampler.Moment{UnixNano: c.UnixNano[i], MonoNano: c.MonoNano[i]},
			Call:       time.Duration(c.CallNano[i]),
			PowerWatts: c.Power[i], InstantWatts: c.Instant[i], EnergyJoules: c.Energy[i],
			TemperatureC: gauge(c.Temperature[i]), ClockMHz: gauge(c.Clock[i]),
			MemoryClockMHz: gauge(c.MemoryClock[i]), Utilization: gauge(c.Utilization[i]), Stretched: c.Stretched[i],
		}
		if bits := c.ThrottleBits[i]; bits != nil {
			rows[i].Throttle, rows[i].ThrottleKnown = sampler.Throttle(*bits), true
		}
	}
	return rows, nil
}
