package api

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"wattmark/sampler"
	"wattmark/window"
)

// pageLen is how many readings are fetched and encoded at a time, in one's turn: some 60 kB of JSON. Then they are
// sent, which takes as long as the client likes.
const pageLen = 200

// pages calls encode with the readings of one GPU from the last at or before from to the first at or after to, and
// sends what it has written to the buffer. It gives up where the client is gone or others are in the way for too long.
func (s *Server) pages(ctx context.Context, to io.Writer, id string, span window.Window, encode func(*bytes.Buffer, []sampler.Reading)) bool {
	src := window.Only(s.config.Sampler, id)
	page := pageLen * s.config.Sampler.Interval()
	var buffer bytes.Buffer
	var last sampler.Moment
	for from, begun := span.Start, false; ; from, begun = last, true {
		until := from.Add(page)
		if until.Sub(span.End) > 0 {
			until = span.End
		}
		end, err := s.load.turn(ctx, readPatience)
		if err != nil {
			return false
		}
		var fresh []sampler.Reading
		for series := range src.Series(from, until) {
			fresh = series.Readings
		}
		for begun && len(fresh) > 0 && fresh[0].At.Sub(last) <= 0 {
			fresh = fresh[1:]
		}
		if len(fresh) > 0 {
			last = fresh[len(fresh)-1].At
			encode(&buffer, fresh)
		}
		end()
		if len(fresh) == 0 {
			return true
		}
		if _, err := buffer.WriteTo(to); err != nil {
			return false
		}
		if last.Sub(span.End) >= 0 {
			return true
		}
	}
}

func (s *Server) writeReadingsJSON(ctx context.Context, w http.ResponseWriter, gpus []sampler.Info, from, to sampler.Moment) {
	_, _ = io.WriteString(w, `{"gpus":[`)
	for i, info := range gpus {
		ref, _ := json.Marshal(refs([]sampler.Info{info})[0])
		_, _ = fmt.Fprintf(w, `%s{"gpu":%s,"readings":[`, ","[:min(i, 1)], ref)
		between := ""
		whole := s.pages(ctx, w, info.ID(), window.Window{Start: from, End: to}, func(out *bytes.Buffer, readings []sampler.Reading) {
			for _, r := range readings {
				text, _ := json.Marshal(readingOf(r))
				_, _ = out.WriteString(between)
				_, _ = out.Write(text)
				between = ","
			}
		})
		if !whole {
			panic(http.ErrAbortHandler) // the client must not take half of it for all
		}
		_, _ = io.WriteString(w, "]}")
	}
	_, _ = io.WriteString(w, "]}\n")
}

func (s *Server) writeReadingsCSV(ctx context.Context, w http.ResponseWriter, gpus []sampler.Info, from, to sampler.Moment) {
	_, _ = io.WriteString(w, "unix,index,uuid,bus_id,power_w,instant_power_w,energy_counter_j,temperature_c,clock_mhz,"+
		"memory_clock_mhz,utilization_ratio,memory_utilization_ratio,call_s\n")
	for _, info := range gpus {
		whole := s.pages(ctx, w, info.ID(), window.Window{Start: from, End: to}, func(out *bytes.Buffer, readings []sampler.Reading) {
			rows := csv.NewWriter(out)
			for _, r := range readings {
				_ = rows.Write([]string{
					strconv.FormatFloat(r.At.Unix(), 'f', 6, 64), strconv.Itoa(info.Index), info.UUID, info.BusID,
					cell(r.PowerWatts), cell(r.InstantWatts), cell(r.EnergyJoules),
					cell(r.TemperatureC.Value()), cell(r.ClockMHz.Value()), cell(r.MemoryClockMHz.Value()),
					cell(r.Utilization.Value()), cell(r.MemoryUtilization.Value()), strconv.FormatFloat(r.Call.Seconds(), 'f', 6, 64),
				})
			}
			rows.Flush()
		})
		if !whole {
			panic(http.ErrAbortHandler) // the client must not take half of it for all
		}
	}
}
