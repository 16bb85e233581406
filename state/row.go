package state

import (
	"bytes"
	"errors"
	"strconv"
	"time"
	"unsafe"

	"wattmark/sampler"
)

// columns is the first line of a recording, and its schema. Times are nanoseconds on the wall clock and on the
// monotonic clock; gpu is the index that the vendor's tool prints; extra is 1 for a reading made on request, beside the
// schedule's, step 1 for one that was made to see the counter step. An empty cell is missing. Lines that begin with # say who the GPUs are and when a daemon started.
const columns = "unix_ns,monotonic_ns,call_ns,gpu,extra,power_w,instant_power_w,energy_counter_j," +
	"temperature_c,clock_mhz,memory_clock_mhz,utilization_ratio,memory_utilization_ratio,throttle_bits,stretched,step"

const fieldCount = 16

var errRow = errors.New("not a row of a recording")

// appendRow appends a reading as a row.
func appendRow(out []byte, index int, extra bool, r sampler.Reading) []byte {
	out = strconv.AppendInt(out, r.At.UnixNano, 10)
	out = strconv.AppendInt(append(out, ','), r.At.MonoNano, 10)
	out = strconv.AppendInt(append(out, ','), int64(r.Call), 10)
	out = strconv.AppendInt(append(out, ','), int64(index), 10)
	out = appendBit(append(out, ','), extra)
	for _, v := range [...]sampler.Value{r.PowerWatts, r.InstantWatts, r.EnergyJoules} {
		out = append(out, ',')
		if x, ok := v.Known(); ok {
			out = strconv.AppendFloat(out, x, 'g', -1, 64)
		}
	}
	for _, g := range [...]sampler.Gauge{r.TemperatureC, r.ClockMHz, r.MemoryClockMHz, r.Utilization, r.MemoryUtilization} {
		out = append(out, ',')
		if x, ok := g.Value().Known(); ok {
			out = strconv.AppendFloat(out, x, 'g', -1, 32)
		}
	}
	out = append(out, ',')
	if r.ThrottleKnown || r.Throttle != 0 {
		out = strconv.AppendUint(out, uint64(r.Throttle), 10)
	}
	out = appendBit(append(out, ','), r.Stretched)
	return append(appendBit(append(out, ','), r.Step), '\n')
}

func appendBit(out []byte, set bool) []byte {
	if set {
		return append(out, '1')
	}
	return append(out, '0')
}

// readRow reads what appendRow wrote, without its newline.
func readRow(line []byte) (index int, extra bool, r sampler.Reading, err error) {
	p := rowParser{rest: line}
	r.At.UnixNano = p.integer()
	r.At.MonoNano = p.integer()
	r.Call = time.Duration(p.integer())
	index = int(p.integer())
	extra = p.bit()
	r.PowerWatts, r.InstantWatts, r.EnergyJoules = p.value(), p.value(), p.value()
	r.TemperatureC, r.ClockMHz, r.MemoryClockMHz, r.Utilization = p.gauge(), p.gauge(), p.gauge(), p.gauge()
	r.MemoryUtilization = p.gauge()
	if text := p.next(); len(text) > 0 {
		bits := p.parse(text)
		r.Throttle, r.ThrottleKnown = sampler.Throttle(bits), true
		p.bad = p.bad || bits < 0 || bits > 1<<32-1
	}
	r.Stretched, r.Step = p.bit(), p.bit()
	if p.bad || p.fields != fieldCount || p.rest != nil || r.At.UnixNano <= 0 || r.At.MonoNano <= 0 || r.Call < 0 || index < 0 {
		return 0, false, sampler.Reading{}, errRow
	}
	return index, extra, r, nil
}

// rowParser takes a row apart. What cannot be read sets bad.
type rowParser struct {
	rest   []byte // nil: the last field was taken
	fields int
	bad    bool
}

func (p *rowParser) next() []byte {
	if p.rest == nil {
		p.bad = true
		return nil
	}
	p.fields++
	field, rest, more := bytes.Cut(p.rest, []byte{','})
	p.rest = nil
	if more {
		p.rest = rest
		if rest == nil {
			p.rest = []byte{}
		}
	}
	return field
}

func (p *rowParser) integer() int64 { return p.parse(p.next()) }

func (p *rowParser) parse(text []byte) int64 {
	n, err := strconv.ParseInt(asString(text), 10, 64)
	p.bad = p.bad || err != nil
	return n
}

func (p *rowParser) bit() bool {
	switch asString(p.next()) {
	case "0":
	case "1":
		return true
	default:
		p.bad = true
	}
	return false
}

func (p *rowParser) float() (x float64, ok bool) {
	text := p.next()
	if len(text) == 0 {
		return 0, false
	}
	x, err := strconv.ParseFloat(asString(text), 64)
	p.bad = p.bad || err != nil
	return x, err == nil
}

func (p *rowParser) value() sampler.Value {
	if x, ok := p.float(); ok {
		return sampler.Some(x)
	}
	return sampler.Value{}
}

func (p *rowParser) gauge() sampler.Gauge {
	if x, ok := p.float(); ok {
		return sampler.SomeGauge(x)
	}
	return sampler.Gauge{}
}

// asString is the text without a copy: a day of eight GPUs has nine million numbers. It is valid as long as text is not
// changed, and nobody keeps it.
func asString(text []byte) string { return unsafe.String(unsafe.SliceData(text), len(text)) }
