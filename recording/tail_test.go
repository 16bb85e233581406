package recording_test

import (
	"iter"
	"slices"
	"testing"
	"time"

	"wattmark/recording"
	"wattmark/sampler"
)

// memory is readings of GPUs by time in ms; it is what sampler.Since is.
type memory [][]int

func (m *memory) since(after func(string) sampler.Moment, atMost time.Duration) iter.Seq[sampler.Series] {
	return func(yield func(sampler.Series) bool) {
		for i, times := range *m {
			info := sampler.Info{Host: "h", UUID: string(rune('a' + i)), Index: i}
			at := func(k int) sampler.Moment { return sampler.Moment{UnixNano: 1e18, MonoNano: int64(times[k]) * 1e6} }
			from := after(info.ID())
			first, end := sampler.Span(len(times), at, from, from.Add(atMost))
			series := sampler.Series{Info: info}
			for k := first; k < end; k++ {
				series.Readings = append(series.Readings, sampler.Reading{At: at(k), Step: times[k]%10 == 7})
			}
			if !yield(series) {
				return
			}
		}
	}
}

// shown is GPU and time of each row, as 1000·ms + GPU.
func shown(rows []recording.Row) []int {
	var list []int
	for _, row := range rows {
		list = append(list, int(row.Reading.At.MonoNano/1e6)*1000+row.Index)
	}
	return list
}

func TestTail(t *testing.T) {
	m := memory{{1002, 2002}, {1, 900, 999, 1001, 2001}, {}, {500, 1000, 2600}} // those of before 1000 are another process's
	tail := recording.Tail{Since: m.since, Step: 10 * time.Minute, From: sampler.Moment{UnixNano: 1e18, MonoNano: 999e6}}
	want := func(what string, take bool, want ...int) {
		t.Helper()
		rows, more, done := tail.Next()
		if got := shown(rows); !slices.Equal(got, want) {
			t.Errorf("%s: rows %v, want %v", what, got, want)
		}
		if len(want) > 0 != more {
			t.Errorf("%s: more %v", what, more)
		}
		if take {
			done()
		}
	}
	first := []int{1002_000, 1001_001, 1000_003, 2002_000, 2001_001, 2600_003}
	want("by tick, then by GPU", false, first...)
	want("again: it was not taken", true, first...)
	want("nothing new", true)
	m[1] = append(m[1], 3001)
	m[2] = append(m[2], 2500) // silent till now
	want("one late, one new", true, 2500_002, 3001_001)
	m[0] = append(m[0], 3500, 3507, 3517, 3530)
	want("without those that look for a step", true, 3500_000, 3530_000)
	m[0] = append(m[0], 3537)
	if rows, more, take := tail.Next(); len(rows) > 0 || !more {
		t.Errorf("a step: rows %v, more %v", rows, more)
	} else {
		take()
	}
	want("nothing after a step", true)
}

// A day that the disk did not take is written in parts, none twice, none left out, over gaps of any length.
func TestTailCatchesUp(t *testing.T) {
	m := memory{{}, {}}
	total := 0
	for second := range 86_400 {
		for gpu := range m {
			if second > 10_000*gpu && second%30_000 < 15_000 { // silent for hours
				m[gpu] = append(m[gpu], second*1000+gpu)
				total++
			}
		}
	}
	tail := recording.Tail{Since: m.since, Step: 10 * time.Minute, From: sampler.Moment{UnixNano: 1e18, MonoNano: -1}}
	var got []int
	most := 0
	for {
		rows, more, take := tail.Next()
		if !more {
			break
		}
		got = append(got, shown(rows)...)
		most = max(most, len(rows))
		take()
	}
	if len(got) != total || most > 2*602 {
		t.Errorf("%d rows, %d at once at most; want %d, 1204", len(got), most, total)
	}
	slices.Sort(got)
	if n := len(slices.Compact(got)); n != total {
		t.Errorf("%d different rows, want %d", n, total)
	}
}
