package promsource

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// odd is an answer with everything that servers may write, in any order and layout.
const odd = ` { "data" : {"resultType":"matrix","result":[
 {"metric":{"__name__":"m","a\"b":"c\u00e4\\"},"values":[[1795000300.25,"1.5"],[1795000301,"-2e-3"] , [ 1795000302.001 , "NaN" ],[1795000303.5,"+Inf"],[1795000304.1234,"12345678901234567"]],"histograms":[[1.5,{"count":"1","buckets":[[0,"a","b","1"]]}]]},
 {"metric":{},"values":[]} ], "stats":{"x":[1,true,null,-1.5e9]}},
 "infos":["i"], "warnings":["w1","w2"], "status":"success" } `

func read(in io.Reader, most int) (a answer, series map[string][]sample, err error) {
	series = map[string][]sample{}
	d := newDecoder(in, most)
	a, err = d.envelope(func() error {
		return d.matrix(func(labels map[string]string) func(sample) {
			key := fmt.Sprint(labels)
			series[key] = nil
			return func(s sample) { series[key] = append(series[key], s) }
		})
	})
	return a, series, err
}

func TestDecode(t *testing.T) {
	for name, in := range map[string]io.Reader{
		"at once": strings.NewReader(odd), "byte by byte": iotest.OneByteReader(strings.NewReader(odd)),
		"error with the last bytes": iotest.DataErrReader(strings.NewReader(odd)),
	} {
		a, series, err := read(in, 5)
		if err != nil || a.status != "success" || fmt.Sprint(a.warnings) != "[w1 w2]" {
			t.Errorf("%s: got %+v, %v", name, a, err)
		}
		const want = `map[map[]:[] map[__name__:m a"b:cä\]:[{1795000300250 1.5} {1795000301000 -0.002} {1795000304123 1.2345678901234568e+16}]]`
		if got := fmt.Sprint(series); got != want {
			t.Errorf("%s: got  %s\nwant %s", name, got, want)
		}
	}
	if _, _, err := read(strings.NewReader(odd), 4); !errors.Is(err, errTooMany) {
		t.Errorf("more samples than expected: got %v, want %v", err, errTooMany)
	}
}

// Whatever is missing at the end is an error.
func TestDecodeTruncated(t *testing.T) {
	whole := strings.TrimRight(odd, " ")
	for n := range len(whole) {
		if _, _, err := read(strings.NewReader(whole[:n]), 100); err == nil {
			t.Errorf("%d of %d bytes pass for an answer", n, len(whole))
		}
	}
	broken := io.MultiReader(strings.NewReader(whole[:100]), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, _, err := read(broken, 100); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want the connection's error", err)
	}
}

// Long answers go through a buffer that is shorter, at every alignment.
func TestDecodeLong(t *testing.T) {
	for pad := range 300 {
		var text strings.Builder
		fmt.Fprintf(&text, `{"status":"success","data":{"result":[{"metric":{"pad":%q},"values":[`, strings.Repeat("x", pad))
		for i := range 5000 {
			if i > 0 {
				text.WriteByte(',')
			}
			fmt.Fprintf(&text, `[%d.%03d,"%d.125"]`, 1795000000+i, i%1000, i)
		}
		text.WriteString(`]}]}}`)
		_, series, err := read(strings.NewReader(text.String()), 5000)
		if err != nil {
			t.Fatal(err)
		}
		for _, samples := range series {
			for i, s := range samples {
				if s.value != float64(i)+0.125 || s.ms != int64(1795000000+i)*1000+int64(i%1000) {
					t.Fatalf("pad %d, sample %d: %v", pad, i, s)
				}
			}
			if len(samples) != 5000 {
				t.Fatalf("%d samples", len(samples))
			}
		}
	}
	if _, _, err := read(strings.NewReader(`{"status":"`+strings.Repeat("x", 1<<20)+`"}`), 1); err == nil {
		t.Error("a text of a megabyte was held")
	}
}

// The short way and strconv agree on every number.
func FuzzCompact(f *testing.F) {
	for _, text := range []string{"0", "1.5", "123456789.123456", "999999999999999", "1234567890123456", ".", "5.", ".5", "", "1..2", "-1", "1e5"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, n := compact([]byte(`[1795000300.25,"` + text + `"],`))
		if n == 0 {
			return
		}
		if want, err := strconv.ParseFloat(text, 64); err != nil || s.value != want || s.ms != 1795000300250 || n != 18+len(text) {
			t.Errorf("%q = %v, %d bytes; want %v, %v", text, s, n, want, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(odd)
	f.Add(`{"status":"error","errorType":"x","error":"y"}`)
	f.Fuzz(func(t *testing.T, text string) {
		_, series, err := read(strings.NewReader(text), 1000)
		for _, samples := range series {
			for _, s := range samples {
				if math.IsNaN(s.value) || math.IsInf(s.value, 0) {
					t.Errorf("%v, %v", s, err)
				}
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	var text strings.Builder
	text.WriteString(`{"status":"success","data":{"result":[{"metric":{"a":"b"},"values":[`)
	for i := range 100_000 {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `[%d.%03d,"%d.125"]`, 1795000000+i, i%1000, 10*i)
	}
	text.WriteString(`]}]}}`)
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		d := newDecoder(strings.NewReader(text.String()), 100_000)
		_, err := d.envelope(func() error {
			return d.matrix(func(map[string]string) func(sample) { return func(sample) {} })
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
