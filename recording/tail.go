package recording

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"wattmark/sampler"
)

// Tail finds the readings that are new since it last looked. It asks memory only: a disk that takes no rows for an hour
// costs no reading as long as they are kept. Readings of the schedule and those that marks ask for are taken, not the
// dozen within a tenth of a second that show the energy counter's step: means of rows would be theirs. It is not safe for
// concurrent use.
type Tail struct {
	// Since yields each GPU's readings from the last at or before a moment of its own on (sampler.Since).
	Since func(after func(id string) sampler.Moment, atMost time.Duration) iter.Seq[sampler.Series]
	// From is when this process began: readings of before, which it took over from an earlier one, are in its file.
	From sampler.Moment
	// Step is how much time one Next covers: to write a day at once would take 100 MB.
	Step time.Duration

	written map[string]sampler.Moment // the newest reading of each GPU that was taken
}

// tick is how far apart readings of a tick may be: they come in the order of the GPUs, as the vendors' tools print them.
const tick = 20 * time.Millisecond

// Next returns rows that were not taken yet, oldest first, and what takes them: until that is called they come again.
// Rows without power are among them. More says that there may be further ones.
func (t *Tail) Next() (rows []Row, more bool, take func()) {
	newest := map[string]sampler.Moment{}
	after := func(id string) sampler.Moment {
		if last, seen := t.written[id]; seen {
			return last
		}
		return t.From
	}
	for series := range t.Since(after, t.Step) {
		id := series.Info.ID()
		last := after(id)
		for _, r := range series.Readings {
			if r.At.Sub(last) <= 0 {
				continue
			}
			newest[id] = r.At
			if !r.Step {
				rows = append(rows, Row{Index: series.Info.Index, Reading: r})
			}
		}
	}
	inTurn(rows)
	return rows, len(newest) > 0, func() {
		if t.written == nil {
			t.written = map[string]sampler.Moment{}
		}
		maps.Copy(t.written, newest)
	}
}

// inTurn sorts rows by time, and those of a tick by GPU.
func inTurn(rows []Row) {
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(a.Reading.At.Sub(b.Reading.At), 0) })
	for begin, end := 0, 0; begin < len(rows); begin = end {
		for end < len(rows) && rows[end].Reading.At.Sub(rows[begin].Reading.At) < tick {
			end++
		}
		slices.SortStableFunc(rows[begin:end], func(a, b Row) int { return cmp.Compare(a.Index, b.Index) })
	}
}
