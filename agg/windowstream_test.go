package agg_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"wattmark/agg"
	"wattmark/sampler"
)

// windowText is a window's file.
func windowText(t *testing.T) []byte {
	t.Helper()
	file, _, _ := recordedWindow(t, 10.3, 15.7)
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func whole(s sampler.Series) sampler.Series { return s }

// Read in pieces a window's file is what it is read at once.
func TestReadWindowIsUnmarshalJSON(t *testing.T) {
	text := windowText(t)
	var want agg.WindowFile
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	got, err := agg.ReadWindow(iotest.HalfReader(bytes.NewReader(text)), whole)
	if err != nil || !reflect.DeepEqual(got, want) || len(want.Series) == 0 || len(want.Series[0].Readings) == 0 {
		t.Errorf("%v: got %+v, want %+v", err, got, want)
	}
	for cut := range text {
		if _, err := agg.ReadWindow(bytes.NewReader(text[:cut]), whole); err == nil {
			t.Fatalf("cut after %d of %d bytes it is read without an error", cut, len(text))
		}
	}
	for _, other := range []string{"", "[]", "1", `{"series":1}`, `{"series":[{"readings":{"unix_ns":[1]}}]}`, "null"} {
		if _, err := agg.ReadWindow(strings.NewReader(other), whole); err == nil {
			t.Errorf("%q is read without an error", other)
		}
	}
}

func TestCopyWindowLeavesTheMarkOut(t *testing.T) {
	text := windowText(t)
	marked := bytes.Replace(text, []byte(`,"series":[`), []byte(`,"mark":{"run":"a \",\"series\":["},"series":[`), 1)
	for _, from := range [][]byte{text, marked} {
		var out bytes.Buffer
		if err := agg.CopyWindow(&out, iotest.HalfReader(bytes.NewReader(from))); err != nil || !bytes.Equal(out.Bytes(), text) {
			t.Errorf("%v: %d bytes of %d", err, out.Len(), len(text))
		}
	}
	long := append(bytes.Clone(text), bytes.Repeat([]byte(" "), 3<<20)...) // longer than what is looked at
	var out bytes.Buffer
	if err := agg.CopyWindow(&out, bytes.NewReader(long)); err != nil || !bytes.Equal(out.Bytes(), long) {
		t.Errorf("%v: %d bytes of %d", err, out.Len(), len(long))
	}
	broken := errors.New("broken")
	if err := agg.CopyWindow(&out, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
