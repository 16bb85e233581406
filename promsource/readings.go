package promsource

import (
	"cmp"
	"slices"
	"time"

	"wattmark/sampler"
)

// columns are one GPU's samples, a list for each of Exporter.values.
type columns struct{ samples [][]sample }

func newColumns(e Exporter) *columns { return &columns{make([][]sample, len(e.values()))} }

func (c *columns) append(more *columns) {
	for i := range c.samples {
		c.samples[i] = append(c.samples[i], more.samples[i]...)
	}
}

// series joins the samples of each scrape into a reading. A scrape that shows the same reading again adds nothing.
func (c *columns) series(info sampler.Info, e Exporter) sampler.Series {
	for _, list := range c.samples {
		byTime := func(a, b sample) int { return cmp.Compare(a.ms, b.ms) }
		if !slices.IsSortedFunc(list, byTime) {
			slices.SortStableFunc(list, byTime)
		}
	}
	column := func(name string) []sample {
		if i := slices.Index(e.values(), name); name != "" && i >= 0 {
			return c.samples[i]
		}
		return nil
	}
	powers, instants, counts, stamps := column(e.Power), column(e.Instant), column(e.Energy), column(e.Stamp)
	info.HasCounter = len(counts) > 0
	out := sampler.Series{Info: info, Readings: make([]sampler.Reading, 0, max(len(powers), len(counts)))}
	for {
		ms, left := earliest(powers, counts)
		if !left {
			return out
		}
		var r sampler.Reading
		r.PowerWatts = take(&powers, ms, 1)
		r.EnergyJoules = take(&counts, ms, e.JoulesPerCount)
		r.InstantWatts = take(&instants, ms, 1)
		stamp, stamped := take(&stamps, ms, 1).Known()
		switch {
		case e.Stamp == "":
			// Prometheus stamps a scrape with its beginning; the exporter's values are from any time of its interval before.
			r.At = sampler.WallMoment(time.UnixMilli(ms).Add(-e.Age / 2))
			r.Call = e.Age
		case stamped && stamp > 0 && stamp < 9e9: // what 64 bits of nanoseconds can count
			r.At = sampler.UnixMoment(stamp)
		default:
			continue // before the first reading there are zeros at most
		}
		if n := len(out.Readings); n > 0 && repeats(out.Readings[n-1], r, e) {
			continue
		}
		out.Readings = append(out.Readings, r)
	}
}

// repeats reports that a scrape shows the reading of the one before.
func repeats(last, r sampler.Reading, e Exporter) bool {
	if e.Stamp != "" {
		return r.At.Sub(last.At) <= 0
	}
	return r.PowerWatts == last.PowerWatts && r.EnergyJoules == last.EnergyJoules && r.EnergyJoules.OK()
}

// earliest is the time of the first scrape that is left.
func earliest(lists ...[]sample) (ms int64, left bool) {
	for _, list := range lists {
		if len(list) > 0 && (!left || list[0].ms < ms) {
			ms, left = list[0].ms, true
		}
	}
	return ms, left
}

// take takes the sample of a scrape off a list, and what is older; missing if there is none.
func take(list *[]sample, ms int64, factor float64) sampler.Value {
	for len(*list) > 0 && (*list)[0].ms < ms {
		*list = (*list)[1:]
	}
	if len(*list) == 0 || (*list)[0].ms != ms {
		return sampler.Value{}
	}
	value := (*list)[0].value
	*list = (*list)[1:]
	return sampler.Some(factor * value)
}
