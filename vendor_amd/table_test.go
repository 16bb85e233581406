package amd

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wattmark/internal/sysfsdouble"
	"wattmark/sampler"
)

// goldenValues are what every golden table says: 1e10 counts are 152587.890625 J.
func goldenValues() sysfsdouble.Values {
	return sysfsdouble.Values{
		Watts: 747, Counts: 1e10, Stamp: 123_456_789_012_345, Hotspot: 71, Memory: 58, Busy: 93, MemoryBusy: 41, Clock: 2105, Uclk: 1300,
	}
}

func golden(revision int) string {
	return filepath.Join("testdata", fmt.Sprintf("gpu_metrics_v1_%d.bin", revision))
}

// The sizes are those of the kernel's structs; all tables say the same.
func TestGoldenTables(t *testing.T) {
	if flag.Lookup("update").Value.String() == "true" {
		for revision := 3; revision <= 9; revision++ {
			if err := os.WriteFile(golden(revision), sysfsdouble.Table(revision, goldenValues()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for revision, size := range map[int]int{3: 120, 4: 288, 5: 360, 6: 1664, 7: 2208, 8: 3872, 9: 136} {
		blob, err := os.ReadFile(golden(revision))
		if err != nil {
			t.Fatal(err)
		}
		if len(blob) != size {
			t.Errorf("v1.%d: %d bytes, want %d", revision, len(blob), size)
		}
		got, err := parseTable(blob)
		if err != nil {
			t.Errorf("v1.%d: %v", revision, err)
		}
		want := sample{
			table: fmt.Sprintf("1.%d", revision), stamp: 123_456_789_012_345, counts: 1e10, counted: true,
			watts: sampler.Some(747), sensor: sensorSocket, temperatureC: sampler.SomeGauge(71), clockMHz: sampler.SomeGauge(2105),
			memoryMHz: sampler.SomeGauge(1300), utilization: sampler.SomeGauge(0.93), memoryUtilization: sampler.SomeGauge(0.41),
		}
		if revision == 3 {
			want.sensor = sensorAverage
		}
		if got != want {
			t.Errorf("v1.%d:\ngot  %+v\nwant %+v", revision, got, want)
		}
	}
}

// The unit of energy is 2^-16 J, whatever resolution the library names.
func TestEnergyUnit(t *testing.T) {
	s, err := parseTable(sysfsdouble.Table(7, goldenValues()))
	if err != nil {
		t.Fatal(err)
	}
	var j judge
	j.counter.verdict = trusted
	r, err := j.reading(s, sampler.Moment{}, 0)
	if got := r.EnergyJoules.Or(0); err != nil || got != 152587.890625 {
		t.Errorf("got %v J (%v), want 152587.890625 J", got, err)
	}
}

func TestMissingInTables(t *testing.T) {
	for revision := 3; revision <= 9; revision++ {
		all := sysfsdouble.Values{
			Watts: math.MaxUint16, Counts: math.MaxUint64, Stamp: math.MaxUint64, Hotspot: math.MaxUint16,
			Memory: math.MaxUint16, Busy: math.MaxUint16, MemoryBusy: math.MaxUint16, Clock: math.MaxUint16, Uclk: math.MaxUint16,
		}
		got, err := parseTable(sysfsdouble.Table(revision, all))
		if want := (sample{table: fmt.Sprintf("1.%d", revision)}); err != nil || got != want {
			t.Errorf("v1.%d: got %+v (%v), want everything missing", revision, got, err)
		}
	}
	blank := bytes.Repeat([]byte{0xFF}, prefixLen)
	if got, err := parsePrefix(blank); err != nil || got != (sample{table: "255.255"}) {
		t.Errorf("prefix: got %+v (%v), want everything missing", got, err)
	}
}

func TestTablesThatAreRefused(t *testing.T) {
	v17 := sysfsdouble.Table(7, goldenValues())
	v19 := sysfsdouble.Table(9, goldenValues())
	for _, test := range []struct {
		name string
		blob []byte
		want error
		says string
	}{
		{"nothing", nil, ErrTableShort, "0 bytes"},
		{"three bytes", v17[:3], ErrTableShort, "3 bytes"},
		{"cut", v17[:2000], ErrTableShort, "v1.7"},
		{"longer than it says", append(bytes.Clone(v17), 0), ErrTableSize, "v1.7"},
		{"size of another version", append([]byte{0x68, 0x01, 1, 7}, v17[4:]...), ErrTableSize, "it says 360 bytes, not 2208"},
		{"the next version", sysfsdouble.Table(10, goldenValues()), ErrTableUnknown, "v1.10"},
		{"an old version", append([]byte{0x68, 0x01, 1, 2}, make([]byte, 356)...), ErrTableUnknown, "v1.2"},
		{"a processor's graphics", append([]byte{0x68, 0x01, 2, 3}, make([]byte, 356)...), ErrTableUnknown, "v2.3"},
		{"v1.9 cut", v19[:100], ErrTableShort, "v1.9"},
		{"v1.9 with more attributes than bytes", append(append(bytes.Clone(v19[:4]), 200, 0, 0, 0), v19[8:]...), ErrTableShort, "v1.9"},
		{"v1.9 with a type of the future", append(append(bytes.Clone(v19[:8]), 1, 0, 0x90, 0, 0, 0, 0, 0), v19[16:]...), ErrTableUnknown, "type 9"},
		{"v1.9 without a body", []byte{4, 0, 1, 9}, ErrTableShort, "v1.9"},
	} {
		if got, err := parseTable(test.blob); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %+v, %v; want %v with %q", test.name, got, err, test.want, test.says)
		}
	}
	if _, err := parsePrefix(make([]byte, prefixLen-1)); !errors.Is(err, ErrTableShort) {
		t.Errorf("short prefix: %v", err)
	}
}

// Power that is not in watts is not taken for watts.
func TestPowerAttributeOfAnotherUnit(t *testing.T) {
	blob := sysfsdouble.Table(9, goldenValues())
	at := bytes.Index(blob, []byte{0x01, 0x0C, 0x30, 0x03}) // unit 3, type U16, id 3, one value
	blob[at+3] = 9
	got, err := parseTable(blob)
	if err != nil || got.watts.OK() || !got.counted {
		t.Errorf("got %+v (%v), want energy and no power", got, err)
	}
}

func FuzzGPUMetrics(f *testing.F) {
	for revision := 3; revision <= 10; revision++ {
		f.Add(sysfsdouble.Table(revision, goldenValues()))
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		s, err := parseTable(blob)
		if err == nil {
			if watts, ok := s.watts.Known(); ok && (watts < 0 || watts == math.MaxUint16) {
				t.Errorf("%v W", watts)
			}
			if s.table == "" || s.sensor == "" && s.watts.OK() {
				t.Errorf("a table without a name or a sensor: %+v", s)
			}
		}
		if len(blob) >= prefixLen {
			if _, err := parsePrefix(blob); err != nil {
				t.Error(err)
			}
		}
	})
}
