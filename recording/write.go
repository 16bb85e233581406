package recording

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"wattmark/sampler"
)

// Dialect is whose CSV is written.
type Dialect int

// The dialects.
const (
	// NVIDIA is what nvidia-smi --query-gpu=timestamp,index,power.draw,temperature.gpu,clocks.current.sm,
	// clocks.current.memory,utilization.gpu,utilization.memory --format=csv prints.
	NVIDIA Dialect = iota
	// AMD is what amd-smi metric -p -c -t -u -w 1 --csv of ROCm 7.1 prints for an MI300, with one header at the top, as
	// InferenceX's monitor keeps it. Times are Unix seconds as amd-smi's are, but with milliseconds.
	AMD
)

// Times is how NVIDIA's dialect shows times.
type Times int

// The ways to show times. amd-smi knows Epoch only.
const (
	UTC   Times = iota // 2025/01/15 12:34:56.789, in UTC: what InferenceX's dashboard assumes
	Local              // the same in the host's zone: what InferenceX's aggregator assumes
	Epoch              // Unix seconds, which the aggregator reads everywhere alike
)

// Row is one GPU's reading.
type Row struct {
	Index   int // what the vendor's tool prints
	Reading sampler.Reading
}

// Writer writes readings as the vendor's tool prints them: whole rows only, one Write for all rows of a tick, so that a
// reader and a crash see whole ticks. It is not safe for concurrent use.
type Writer struct {
	w       io.Writer
	dialect Dialect
	times   Times
	zone    *time.Location
	columns []string // of AMD
	buf     []byte
}

// NewWriter returns a Writer to w, which has to take each Write whole: a file opened with O_APPEND.
func NewWriter(w io.Writer, dialect Dialect, times Times) *Writer {
	zone := time.UTC
	if times == Local {
		zone = time.Local
	}
	return &Writer{w: w, dialect: dialect, times: times, zone: zone, columns: amdColumns()}
}

// header is the first line.
func (w *Writer) header() string {
	if w.dialect == AMD {
		return strings.Join(amdColumns(), ",") + "\n"
	}
	return "timestamp, index, power.draw [W], temperature.gpu, clocks.current.sm [MHz], clocks.current.memory [MHz], " +
		"utilization.gpu [%], utilization.memory [%]\n"
}

// Header writes the header: once, at the start of a new file.
func (w *Writer) Header() error {
	if _, err := w.w.Write([]byte(w.header())); err != nil {
		return fmt.Errorf("write header: %w", err)
	}
	return nil
}

// Write writes one tick. Rows without power are left out: the benchmark's aggregator would void the run for them.
func (w *Writer) Write(rows []Row) error {
	w.buf = w.buf[:0]
	w.append(rows)
	if len(w.buf) == 0 {
		return nil
	}
	if _, err := w.w.Write(w.buf); err != nil {
		return fmt.Errorf("write %d readings: %w", len(rows), err)
	}
	return nil
}

func (w *Writer) append(rows []Row) {
	for _, row := range rows {
		watts, ok := row.Reading.PowerWatts.Known()
		switch {
		case !ok:
		case w.dialect == AMD:
			w.amd(row, watts)
		default:
			w.nvidia(row, watts)
		}
	}
}

func (w *Writer) nvidia(row Row, watts float64) {
	r := row.Reading
	if w.times == Epoch {
		w.epoch(r.At, 6)
	} else {
		w.buf = r.At.Wall().In(w.zone).AppendFormat(w.buf, "2006/01/02 15:04:05.000")
	}
	w.buf = strconv.AppendInt(append(w.buf, ", "...), int64(row.Index), 10)
	w.buf = strconv.AppendFloat(append(w.buf, ", "...), watts, 'f', 2, 64)
	w.buf = append(w.buf, " W"...)
	for _, c := range []struct {
		value sampler.Value
		unit  string
	}{
		{r.TemperatureC.Value(), ""},
		{r.ClockMHz.Value(), " MHz"},
		{r.MemoryClockMHz.Value(), " MHz"},
		{percent(r.Utilization), " %"},
		{percent(r.MemoryUtilization), " %"},
	} {
		w.buf = append(w.buf, ", "...)
		if x, ok := c.value.Known(); ok {
			w.buf = append(strconv.AppendFloat(w.buf, x, 'f', 0, 64), c.unit...)
		} else {
			w.buf = append(w.buf, "[N/A]"...)
		}
	}
	w.buf = append(w.buf, '\n')
}

func (w *Writer) amd(row Row, watts float64) {
	r := row.Reading
	w.epoch(r.At, 3)
	w.buf = strconv.AppendInt(append(w.buf, ','), int64(row.Index), 10)
	for _, name := range w.columns[2:] {
		w.buf = append(w.buf, ',')
		value, decimals := sampler.Value{}, 0
		switch name {
		case "gfx_activity":
			value = percent(r.Utilization)
		case "umc_activity":
			value = percent(r.MemoryUtilization)
		case "socket_power":
			value, decimals = sampler.Some(watts), -1
		case "gfx_0_clk":
			value = r.ClockMHz.Value()
		case "mem_0_clk":
			value = r.MemoryClockMHz.Value()
		case "hotspot":
			value = r.TemperatureC.Value()
		}
		if x, ok := value.Known(); ok {
			w.buf = strconv.AppendFloat(w.buf, x, 'f', decimals, 64)
		} else {
			w.buf = append(w.buf, "N/A"...)
		}
	}
	w.buf = append(w.buf, '\n')
}

// amdColumns are the columns of amd-smi.
func amdColumns() []string {
	names := strings.Fields("timestamp gpu gfx_activity umc_activity mm_activity vcn_activity jpeg_activity " +
		"gfx_busy_inst_xcp_0 jpeg_busy_xcp_0 vcn_busy_xcp_0 socket_power gfx_voltage soc_voltage mem_voltage " +
		"throttle_status power_management")
	for _, clocks := range []struct {
		name string
		n    int
	}{{"gfx", 8}, {"mem", 1}, {"vclk", 4}, {"dclk", 4}, {"fclk", 1}, {"socclk", 1}} {
		for i := range clocks.n {
			for _, what := range []string{"clk", "min_clk", "max_clk", "clk_locked", "deep_sleep"} {
				names = append(names, fmt.Sprintf("%s_%d_%s", clocks.name, i, what))
			}
		}
	}
	return append(names, "edge", "hotspot", "mem")
}

// epoch writes Unix seconds with that many decimals.
func (w *Writer) epoch(at sampler.Moment, decimals int) {
	unit := int64(1e9)
	for range decimals {
		unit /= 10
	}
	n := at.Wall().Round(time.Duration(unit)).UnixNano() / unit
	scale := int64(1e9) / unit
	w.buf = append(strconv.AppendInt(w.buf, n/scale, 10), '.')
	fraction := strconv.FormatInt(n%scale+scale, 10) // with leading zeros
	w.buf = append(w.buf, fraction[1:]...)
}

// percent returns a share of 0 to 1 in percent.
func percent(share sampler.Gauge) sampler.Value {
	x, ok := share.Value().Known()
	if !ok {
		return sampler.Value{}
	}
	return sampler.Some(100 * x)
}
