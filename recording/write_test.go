package recording_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"wattmark/recording"
	"wattmark/sampler"
)

// counting counts writes; from the limit on they fail.
type counting struct {
	bytes.Buffer
	writes, limit int
}

var errFull = errors.New("disk full")

func (c *counting) Write(p []byte) (int, error) {
	if c.writes++; c.limit > 0 && c.writes > c.limit {
		return 0, errFull
	}
	return c.Buffer.Write(p)
}

func aReading(at time.Time, watts float64) sampler.Reading {
	return sampler.Reading{
		At: sampler.WallMoment(at), PowerWatts: sampler.Some(watts), TemperatureC: sampler.SomeGauge(61), ClockMHz: sampler.SomeGauge(1980),
		MemoryClockMHz: sampler.SomeGauge(2619), Utilization: sampler.SomeGauge(0.98),
		MemoryUtilization: sampler.SomeGauge(0.45),
	}
}

// What the vendors' tools print, character for character: facts/inferencex.md, section 1.1.
func TestWriteDialects(t *testing.T) {
	at := time.Date(2025, 1, 15, 12, 34, 56, 789e6, time.UTC)
	rows := []recording.Row{
		{Index: 0, Reading: aReading(at, 412.336)},
		{Index: 1, Reading: sampler.Reading{At: sampler.WallMoment(at)}}, // its read failed
		{Index: 7, Reading: sampler.Reading{At: sampler.WallMoment(at.Add(1e6)), PowerWatts: sampler.Some(75)}},
	}
	for _, tt := range []struct {
		name    string
		dialect recording.Dialect
		times   recording.Times
		want    string
	}{
		{
			"nvidia", recording.NVIDIA, recording.UTC, nvidiaHeader +
				"2025/01/15 12:34:56.789, 0, 412.34 W, 61, 1980 MHz, 2619 MHz, 98 %, 45 %\n" +
				"2025/01/15 12:34:56.790, 7, 75.00 W, [N/A], [N/A], [N/A], [N/A], [N/A]\n",
		},
		{
			"nvidia, epoch", recording.NVIDIA, recording.Epoch, nvidiaHeader +
				"1736944496.789000, 0, 412.34 W, 61, 1980 MHz, 2619 MHz, 98 %, 45 %\n" +
				"1736944496.790000, 7, 75.00 W, [N/A], [N/A], [N/A], [N/A], [N/A]\n",
		},
		{
			"amd", recording.AMD, recording.UTC, amdHeader +
				"1736944496.789,0,98,45" + na(6) + ",412.336" + na(5) + ",1980" + na(39) + ",2619" + na(55) + ",61,N/A\n" +
				"1736944496.790,7" + na(8) + ",75" + na(103) + "\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out counting
			w := recording.NewWriter(&out, tt.dialect, tt.times)
			if err := errors.Join(w.Header(), w.Write(rows), w.Write(rows[1:2])); err != nil {
				t.Fatal(err)
			}
			if out.String() != tt.want {
				t.Errorf("got\n%swant\n%s", out.String(), tt.want)
			}
			if out.writes != 2 {
				t.Errorf("%d writes, want one for the header and one for the tick", out.writes)
			}
		})
	}
}

func na(n int) string { return strings.Repeat(",N/A", n) }

func TestWriteLocal(t *testing.T) {
	host := time.Local
	t.Cleanup(func() { time.Local = host })
	time.Local = time.FixedZone("", -8*3600)
	var out bytes.Buffer
	w := recording.NewWriter(&out, recording.NVIDIA, recording.Local)
	if err := w.Write([]recording.Row{{Reading: aReading(time.Unix(1736944496, 0), 5)}}); err != nil {
		t.Fatal(err)
	}
	if want := "2025/01/15 04:34:56.000, "; !strings.HasPrefix(out.String(), want) {
		t.Errorf("got %q, want %q…", out.String(), want)
	}
}

func TestWriteFails(t *testing.T) {
	out := &counting{limit: 1}
	w := recording.NewWriter(out, recording.NVIDIA, recording.UTC)
	rows := []recording.Row{{Reading: aReading(time.Unix(5, 0), 5)}}
	if err := errors.Join(w.Header(), w.Write(rows)); !errors.Is(err, errFull) {
		t.Errorf("got %v, want %v", err, errFull)
	}
}

// What is written reads back: to a hundredth of a watt and a millisecond or a microsecond.
func TestWriteThenRead(t *testing.T) {
	begin := time.Date(2026, 8, 21, 23, 59, 58, 999_123_456, time.UTC)
	for _, dialect := range []recording.Dialect{recording.NVIDIA, recording.AMD} {
		for _, times := range []recording.Times{recording.UTC, recording.Epoch} {
			var out bytes.Buffer
			w := recording.NewWriter(&out, dialect, times)
			if err := w.Header(); err != nil {
				t.Fatal(err)
			}
			for i := range 100 {
				at := begin.Add(time.Duration(i) * 1001 * time.Millisecond)
				rows := []recording.Row{{Index: 3, Reading: aReading(at, 100+math.Sqrt(float64(i)))}, {Index: 11, Reading: aReading(at, float64(i))}}
				if err := w.Write(rows); err != nil {
					t.Fatal(err)
				}
			}
			r := recording.Read(&out, recording.Options{Zone: time.UTC})
			if len(r.Faults) > 0 || len(r.GPUs) != 2 || r.GPUs[0].ID != "3" || r.GPUs[1].ID != "11" || r.Rows != 200 {
				t.Fatalf("read back: %v, %d rows, GPUs %v", r.Faults, r.Rows, r.GPUs)
			}
			for i, seconds := range r.GPUs[0].Unix {
				at := begin.Add(time.Duration(i) * 1001 * time.Millisecond)
				if off := seconds - float64(at.UnixNano())/1e9; math.Abs(off) > 0.001 {
					t.Errorf("reading %d is %.6f s off", i, off)
				}
				if off := r.GPUs[0].Watts[i] - 100 - math.Sqrt(float64(i)); math.Abs(off) > 0.005001 {
					t.Errorf("reading %d is %v W off", i, off)
				}
			}
		}
	}
}
