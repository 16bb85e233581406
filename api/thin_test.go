package api

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// day are readings once a second with a spike, a dip and a gap.
func day(start sampler.Moment) (readings []sampler.Reading) {
	for i := range 86_400 + 20 {
		r := sampler.Reading{At: start.Add(time.Duration(i-10) * time.Second), PowerWatts: sampler.Some(500 + float64(i%7))}
		switch {
		case i == 40_000:
			r.PowerWatts = sampler.Some(700)
		case i == 50_000:
			r.PowerWatts = sampler.Some(80)
		case 60_000 <= i && i < 60_600:
			continue
		}
		readings = append(readings, r)
	}
	return readings
}

// A long window's chart has its extremes, its gaps and all that is around its edges.
func TestThinnedKeepsWhatAChartShows(t *testing.T) {
	start := sampler.Moment{UnixNano: 1e18, MonoNano: 1e15}
	r := window.Result{Start: start, End: start.Add(24 * time.Hour)}
	limits := window.Limits{MaxGap: 3 * time.Second, Interval: time.Second}
	all := day(start)
	thin, drawn := thinner(r, limits)
	got := thin(sampler.Series{Readings: all}).Readings
	if n := len(got); n > 2*stretches+4*10 || n < stretches {
		t.Fatalf("%d readings of %d", n, len(all))
	}
	var watts []float64
	gaps := 0
	for i, one := range got {
		if !slices.Contains(all, one) {
			t.Fatalf("%+v is none of them", one)
		}
		watts = append(watts, one.PowerWatts.Or(0))
		if i == 0 {
			continue
		}
		step := one.At.Sub(got[i-1].At)
		if step <= 0 {
			t.Fatalf("step of %v", step)
		}
		if step > drawn.MaxGap {
			gaps++
		}
	}
	if slices.Max(watts) != 700 || slices.Min(watts) != 80 || gaps != 1 {
		t.Errorf("from %v to %v W, %d gaps over %v", slices.Min(watts), slices.Max(watts), gaps, drawn.MaxGap)
	}
	for _, one := range all {
		for _, edge := range []sampler.Moment{r.Start, r.End} {
			if one.At.Sub(edge).Abs() <= aroundEdge && !slices.Contains(got, one) {
				t.Errorf("%v after an edge is missing", one.At.Sub(edge))
			}
		}
	}
	r.End = start.Add(2 * time.Hour)
	if thin, drawn := thinner(r, limits); drawn != limits || len(thin(sampler.Series{Readings: all}).Readings) != len(all) {
		t.Error("two hours are thinned")
	}
}

// Reports of a window of four hours, from its file and from memory.
func TestReportOfALongWindow(t *testing.T) {
	inBubble(t, options{spec: "2xH200,load=constant,watts=500"}, func(d *daemon) {
		d.post("/v1/mark-start", "run=r1").want(201)
		time.Sleep(4 * time.Hour)
		d.post("/v1/mark-end", "run=r1").want(200)
		pages := map[string]string{}
		for format, want := range map[string]string{"html": "<h1>r1</h1>", "svg": "<svg xmlns=", "md": "## r1: valid"} {
			pages[format] = string(d.get("/v1/windows/r1/report?format=" + format).want(200).text)
			if !strings.Contains(pages[format], want) {
				t.Errorf("%s: %.300s", format, pages[format])
			}
		}
		file := d.get("/v1/windows/r1/report?format=json").want(200)
		checkWindowFile(t, d, file.text)
		if err := os.Remove(d.dir + "/power_window_r1.json"); err != nil {
			t.Fatal(err)
		}
		for format, page := range pages {
			if again := d.get("/v1/windows/r1/report?format=" + format).want(200); string(again.text) != page {
				t.Errorf("from memory %s is another page", format)
			}
		}
		if again := d.get("/v1/windows/r1/report?format=json").want(200); string(again.text) != string(file.text) {
			t.Error("from memory it is another file")
		}
	})
}
