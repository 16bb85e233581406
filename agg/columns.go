package agg

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"wattmark/sampler"
)

// columns are readings by quantity: half the size of a list of objects.
type columns struct {
	UnixNano          []int64         `json:"unix_ns"`
	MonoNano          []int64         `json:"monotonic_ns"`
	CallNano          []int64         `json:"call_ns"`
	Power             []sampler.Value `json:"power_w"`
	Instant           []sampler.Value `json:"instant_power_w"`
	Energy            []sampler.Value `json:"energy_counter_j"`
	Temperature       []sampler.Value `json:"temperature_c"`
	Clock             []sampler.Value `json:"clock_mhz"`
	MemoryClock       []sampler.Value `json:"memory_clock_mhz"`
	Utilization       []sampler.Value `json:"utilization_ratio"`
	MemoryUtilization []sampler.Value `json:"memory_utilization_ratio"` // null in files written before there was one
	ThrottleBits      []*uint32       `json:"throttle_bits"`            // null: not known
	Stretched         []bool          `json:"stretched"`
}

// flushAt is how much text an encoder collects before it writes: a call to the system costs as much as some kB of it.
const flushAt = 64 << 10

// encoder writes JSON in pieces. The first error stays; nothing is written after it.
type encoder struct {
	w    io.Writer
	text []byte // still to be written
	err  error
}

func (e *encoder) add(texts ...string) {
	for _, text := range texts {
		e.text = append(e.text, text...)
	}
}

func (e *encoder) flush() error {
	if e.err == nil {
		_, e.err = e.w.Write(e.text)
	}
	e.text = e.text[:0]
	return e.err
}

// columns writes the readings, quantity by quantity. A mark-end waits for it, so it does without encoding/json.
func (e *encoder) columns(readings []sampler.Reading) {
	separator := "{\""
	for _, column := range []struct {
		name   string
		append func([]byte, *sampler.Reading) []byte
	}{
		{"unix_ns", func(out []byte, r *sampler.Reading) []byte { return strconv.AppendInt(out, r.At.UnixNano, 10) }},
		{"monotonic_ns", func(out []byte, r *sampler.Reading) []byte { return strconv.AppendInt(out, r.At.MonoNano, 10) }},
		{"call_ns", func(out []byte, r *sampler.Reading) []byte { return strconv.AppendInt(out, int64(r.Call), 10) }},
		{"power_w", func(out []byte, r *sampler.Reading) []byte { return appendValue(out, r.PowerWatts) }},
		{"instant_power_w", func(out []byte, r *sampler.Reading) []byte { return appendValue(out, r.InstantWatts) }},
		{"energy_counter_j", func(out []byte, r *sampler.Reading) []byte { return appendValue(out, r.EnergyJoules) }},
		{"temperature_c", func(out []byte, r *sampler.Reading) []byte { return appendGauge(out, r.TemperatureC) }},
		{"clock_mhz", func(out []byte, r *sampler.Reading) []byte { return appendGauge(out, r.ClockMHz) }},
		{"memory_clock_mhz", func(out []byte, r *sampler.Reading) []byte { return appendGauge(out, r.MemoryClockMHz) }},
		{"utilization_ratio", func(out []byte, r *sampler.Reading) []byte { return appendGauge(out, r.Utilization) }},
		{"memory_utilization_ratio", func(out []byte, r *sampler.Reading) []byte { return appendGauge(out, r.MemoryUtilization) }},
		{"throttle_bits", appendThrottle},
		{"stretched", func(out []byte, r *sampler.Reading) []byte { return strconv.AppendBool(out, r.Stretched) }},
	} {
		e.add(separator, column.name, `":[`)
		text := e.text
		for i := range readings {
			if i > 0 {
				text = append(text, ',')
			}
			if text = column.append(text, &readings[i]); len(text) >= flushAt {
				e.text = text
				_ = e.flush() // the error stays
				text = e.text
			}
		}
		e.text = text
		separator = `],"`
	}
	e.add("]}")
}

func appendValue(out []byte, v sampler.Value) []byte {
	x, ok := v.Known()
	if !ok {
		return append(out, "null"...)
	}
	if thousandths := math.Round(1000 * x); inThousandths(thousandths, x) && thousandths/1000 == x {
		return appendThousandths(out, int64(thousandths))
	}
	return strconv.AppendFloat(out, x, 'g', -1, 64)
}

// appendGauge writes what gives the gauge again: 0.98, not 0.9800000190734863.
func appendGauge(out []byte, g sampler.Gauge) []byte {
	x, ok := g.Value().Known()
	if !ok {
		return append(out, "null"...)
	}
	if thousandths := math.Round(1000 * x); inThousandths(thousandths, x) && sampler.SomeGauge(thousandths/1000) == g {
		return appendThousandths(out, int64(thousandths))
	}
	return strconv.AppendFloat(out, x, 'g', -1, 64)
}

// inThousandths reports that x may be written as whole thousandths: drivers count mW and mJ, and that is several times
// faster than to look for the shortest decimals of any number. A quotient of two whole numbers below 2⁵³ is rounded as
// the decimals are when they are read, so they give the same number again.
func inThousandths(thousandths, x float64) bool {
	return math.Abs(thousandths) < 1<<53 && (x != 0 || !math.Signbit(x))
}

func appendThousandths(out []byte, n int64) []byte {
	if n < 0 {
		out, n = append(out, '-'), -n
	}
	out = strconv.AppendInt(out, n/1000, 10)
	switch rest := n % 1000; {
	case rest == 0:
		return out
	case rest%100 == 0:
		return append(out, '.', '0'+byte(rest/100))
	case rest%10 == 0:
		return append(out, '.', '0'+byte(rest/100), '0'+byte(rest/10%10))
	default:
		return append(out, '.', '0'+byte(rest/100), '0'+byte(rest/10%10), '0'+byte(rest%10))
	}
}

func appendThrottle(out []byte, r *sampler.Reading) []byte {
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
	if c.MemoryUtilization == nil {
		c.MemoryUtilization = make([]sampler.Value, n)
	}
	for _, column := range [][]sampler.Value{
		c.Power, c.Instant, c.Energy, c.Temperature, c.Clock, c.MemoryClock, c.Utilization,
		c.MemoryUtilization,
	} {
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
			MemoryClockMHz: gauge(c.MemoryClock[i]), Utilization: gauge(c.Utilization[i]),
			MemoryUtilization: gauge(c.MemoryUtilization[i]), Stretched: c.Stretched[i],
		}
		if bits := c.ThrottleBits[i]; bits != nil {
			rows[i].Throttle, rows[i].ThrottleKnown = sampler.Throttle(*bits), true
		}
	}
	return rows, nil
}
