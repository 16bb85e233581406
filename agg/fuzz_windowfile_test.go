package agg

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// A window's file comes back as it was written; one that others wrote is refused or can be measured, and its head is that of
// the whole.
func FuzzWindowFile(f *testing.F) {
	at := sampler.Moment{UnixNano: 1_785_585_600e9, MonoNano: 5e9}
	var readings []sampler.Reading
	for i := range 5 {
		readings = append(readings, sampler.Reading{
			At: at.Add(time.Duration(i) * time.Second), PowerWatts: sampler.Some(500), EnergyJoules: sampler.Some(500 * float64(i)),
		})
	}
	whole := WindowFile{
		Result: window.Result{Run: "r", Start: at, End: at.Add(4 * time.Second)}, Limits: window.Limits{MaxGap: 3 * time.Second},
		Series: []sampler.Series{{Info: sampler.Info{Host: "h", UUID: "GPU-1", HasCounter: true}, Readings: readings}},
	}
	text, err := json.Marshal(whole)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, change := range [][2]string{
		{"null", "1e308"}, {"500", "-500"}, {`"h"`, `"\u0000"`}, {`[`, `[[`}, {`1785585600000000000`, `9223372036854775807`}, {`"limits":`, `"limits":{},"limits":`}, {`"series":[`, `"series":[null,`},
	} {
		f.Add(bytes.ReplaceAll(text, []byte(change[0]), []byte(change[1])))
	}
	f.Add([]byte("{}"))
	f.Add([]byte(`{"limits":`))
	f.Fuzz(func(t *testing.T, text []byte) {
		head, headErr := parseHead(text)
		if headErr == nil && !json.Valid(head.Answer) {
			t.Fatalf("the head of %q is %q", text, head.Answer)
		}
		var copied bytes.Buffer
		if err := CopyWindow(&copied, bytes.NewReader(text)); err == nil && copied.Len() > len(text) {
			t.Fatalf("the copy of %q is %q", text, copied.Bytes())
		}
		unchanged := func(s sampler.Series) sampler.Series { return s }
		_, _ = ReadWindow(bytes.NewReader(text), unchanged) // whatever it is, it comes to an end
		var file WindowFile
		if json.Unmarshal(text, &file) != nil {
			return
		}
		w := file.Window()
		if w.End.Sub(w.Start) > 0 {
			if _, err := json.Marshal(window.Measure(window.Recorded(file.Series), w, file.Limits)); err != nil {
				t.Fatalf("measured again: %v", err)
			}
		}
		once, err := json.Marshal(file)
		if err != nil {
			t.Fatalf("written again: %v", err)
		}
		var same WindowFile
		if err := json.Unmarshal(once, &same); err != nil {
			t.Fatalf("%v in %s", err, once)
		}
		if streamed, err := ReadWindow(bytes.NewReader(once), unchanged); err != nil || !reflect.DeepEqual(streamed, same) {
			t.Fatalf("in pieces %+v, at once %+v, %v", streamed, same, err)
		}
		if twice, err := json.Marshal(same); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("it changes each time:\n%s\n%s\n%v", once, twice, err)
		}
	})
}
