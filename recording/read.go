package recording

import (
	"bytes"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// Options say how to read a file.
type Options struct {
	// Zone is that of times that name none; nil: the host's.
	Zone *time.Location
	// From and To, in Unix seconds, confine what is kept: power is read and judged between them only, both included.
	// Zero: everything is.
	From, To float64
	// Lenient reads what the reference refuses or misreads, if the meaning is clear, and makes notes instead of
	// faults of rows that do not matter. See docs/inferencex.md.
	Lenient bool
}

// ReadFile reads a recording. What is wrong with the file is in its Faults.
func ReadFile(path string, o Options) *Recording {
	whole := func(code Code, text string) *Recording {
		return &Recording{Faults: []Fault{{Code: code, Text: text, Count: 1}}}
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return whole(FileMissing, err.Error())
	case !info.Mode().IsRegular():
		return whole(FileMissing, "not a regular file")
	case info.Size() == 0:
		return whole(FileEmpty, "")
	}
	file, err := os.Open(path)
	if err != nil {
		return whole(FileUnreadable, err.Error())
	}
	defer func() { _ = file.Close() }() // only read from
	return Read(file, o)
}

// Read reads a recording. What is wrong with it is in its Faults.
func Read(r io.Reader, o Options) *Recording {
	if o.Zone == nil {
		o.Zone = time.Local
	}
	if o.From == 0 && o.To == 0 {
		o.From, o.To = -farthest, farthest
	}
	p := reader{rows: newRows(r), stamps: newStamps(o.Zone, o.Lenient), options: o, ids: map[string]int{}}
	if p.found.Opened = p.header(); p.found.Opened {
		p.body()
	}
	p.finish()
	return &p.found
}

// farthest is the latest Unix time in seconds that a Moment can hold.
const farthest = 9e9

// unbelievable is more than any module draws, in watts; megawatts are on record.
const unbelievable = 20e3

type reader struct {
	rows    *rows
	stamps  *stamps
	options Options
	columns columns

	found    Recording
	faults   faults
	notes    faults
	nameless Fault // rows in the band that name no GPU

	ids   map[string]int // index in found.GPUs
	guess int            // of the next row's GPU: they come in turns

	// If lenient: rows without a time, until it is known whether the rows around them are in the band.
	pending faults
	inside  bool // the last row with a time was in the band
}

// header finds the columns. The header is the first row; if lenient, the first of 100 that has all columns, for
// amd-smi's watch mode prints a line before it.
func (p *reader) header() bool {
	first, found := columns{-1, -1, -1}, false
	for range 100 {
		row := p.rows.next(math.MaxInt)
		if row == nil {
			break
		}
		if p.options.Lenient && p.rows.line == 1 {
			row[0] = bytes.TrimPrefix(row[0], []byte("\ufeff"))
		}
		c := findColumns(row, p.options.Lenient)
		if !found {
			first, found = c, true
		}
		if c.complete() {
			p.columns = c
			return true
		}
		if !p.options.Lenient {
			break
		}
	}
	if err := p.rows.failed(); err != nil {
		p.faults.add(FileUnreadable, 0, []byte(err.Error()))
		return false
	}
	for _, column := range []struct {
		index int
		code  Code
	}{{first.stamp, StampColumnMissing}, {first.power, PowerColumnMissing}, {first.gpu, GPUColumnMissing}} {
		if column.index < 0 {
			p.faults.add(column.code, 0, nil)
		}
	}
	return false
}

func (p *reader) body() {
	for {
		row := p.rows.next(p.columns.width())
		if row == nil {
			break
		}
		p.found.Rows++
		p.row(row)
	}
	if err := p.rows.failed(); err != nil {
		p.faults.add(FileUnreadable, 0, []byte(err.Error()))
	}
}

// cell returns the i-th field, nil if the row is too short.
func cell(row [][]byte, i int) []byte {
	if i < len(row) {
		return row[i]
	}
	return nil
}

func (p *reader) row(row [][]byte) {
	stamp := cell(row, p.columns.stamp)
	seconds, ok := p.stamps.read(stamp)
	if !ok {
		p.untimed(stamp)
		return
	}
	inside := seconds >= p.options.From && seconds <= p.options.To
	if p.options.Lenient {
		p.settlePending(inside)
		p.inside = inside
	}
	if !inside {
		return
	}
	text := cell(row, p.columns.power)
	watts, what := p.stamps.power(text)
	if p.options.Lenient && what == powerKnown && watts > unbelievable {
		what = powerWrong
	}
	if what != powerKnown {
		p.noPower(text, what)
		return
	}
	id := strip(cell(row, p.columns.gpu))
	if len(id) == 0 {
		if p.nameless.Count++; p.nameless.Count == 1 {
			p.nameless.Line = p.rows.line
		}
		return
	}
	p.keep(id, seconds, watts)
}

func (p *reader) keep(id []byte, seconds, watts float64) {
	gpus := p.found.GPUs
	if p.guess >= len(gpus) || gpus[p.guess].ID != string(id) {
		i, ok := p.ids[string(id)]
		if !ok {
			i = p.named(strings.ToValidUTF8(string(id), "\ufffd"))
			p.ids[string(id)] = i
		}
		p.guess = i
	}
	gpu := &p.found.GPUs[p.guess]
	gpu.Unix, gpu.Watts = append(gpu.Unix, seconds), append(gpu.Watts, watts)
	if p.guess++; p.guess == len(p.found.GPUs) {
		p.guess = 0
	}
}

// named returns the index of the GPU of that name, a new one if there is none.
func (p *reader) named(name string) int {
	i := slices.IndexFunc(p.found.GPUs, func(g GPU) bool { return g.ID == name })
	if i < 0 {
		i = len(p.found.GPUs)
		p.found.GPUs = append(p.found.GPUs, GPU{ID: name})
	}
	return i
}

func (p *reader) noPower(text []byte, what powerCell) {
	switch {
	case !p.options.Lenient:
		p.faults.add(InvalidPower, p.rows.line, text)
	case what == powerMissing:
		p.notes.add(powerMissingSkipped, p.rows.line, text)
	default:
		p.notes.add(powerWrongSkipped, p.rows.line, text)
	}
}

// untimed takes a row without a time. A repeated header may bring the columns in another order.
func (p *reader) untimed(stamp []byte) {
	if !p.options.Lenient {
		p.faults.add(InvalidStamp, p.rows.line, stamp)
		return
	}
	if c := findColumns(p.rows.all(), true); c.complete() {
		p.columns = c
		return
	}
	p.pending.add(InvalidStamp, p.rows.line, stamp)
}

// settlePending judges the rows without a time by the rows with one before and after them: next to the window they
// are a fault.
func (p *reader) settlePending(inside bool) {
	for _, f := range p.pending {
		to := &p.notes
		if inside || p.inside {
			to = &p.faults
		} else {
			f.Code = rowsSkipped
		}
		i := slices.IndexFunc(*to, func(g Fault) bool { return g.Code == f.Code })
		if i < 0 {
			*to = append(*to, f)
			continue
		}
		(*to)[i].Count += f.Count
	}
	p.pending = p.pending[:0]
}

func (p *reader) finish() {
	p.settlePending(false)
	if p.nameless.Count > 0 {
		p.nameless.Code = IdentityMissing
		to := &p.faults
		if p.options.Lenient {
			p.nameless.Code, to = identitySkipped, &p.notes
		}
		*to = append(*to, p.nameless)
	}
	for i := range p.found.GPUs {
		p.found.GPUs[i].settle()
	}
	slices.SortStableFunc(p.found.GPUs, func(a, b GPU) int { return Compare(a.ID, b.ID) })
	p.found.Faults, p.found.Notes = p.faults, p.notes
}
