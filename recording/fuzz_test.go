package recording_test

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"wattmark/recording"
)

// Whatever the file: no panic, readings that can be measured, and lines that exist.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		nvidiaHeader + "2025/01/15 12:34:56.789, 0, 412.34 W, 61, 1980 MHz, 2619 MHz, 98 %, 45 %\n",
		amdHeader + "1736944496,0,98\n",
		"timestamp,gpu,power\r\n1736944496789,\"0\",\"1,234.5 W\"\r\n",
		"timestamp,gpu,power\n2025-01-15T12:34:56+01:00,GPU-x,[N/A]\n\n\"a\"\"b\nc",
		"'CTRL' + 'C' to stop watching output:\ntimestamp,gpu,socket_power\n2025-W03-3T12,0,5\n\ntimestamp,gpu,socket_power\n",
		"\ufefftime,index,power\n1e9,0,1e300\n-5,0,5\n", "\"", "a,b\n\x00\xff\n", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if len(file) > 10_000 {
			t.Skip("reading byte by byte takes long")
		}
		lines := 1 + bytes.Count(file, []byte("\n")) + bytes.Count(file, []byte("\r"))
		for _, options := range []recording.Options{
			{Zone: time.UTC}, {Zone: time.UTC, Lenient: true}, {Zone: time.UTC, From: 1736944490, To: 1736944500},
		} {
			r := recording.Read(bytes.NewReader(file), options)
			again := recording.Read(iotest.OneByteReader(bytes.NewReader(file)), options)
			if codes(r.Faults) != codes(again.Faults) || readings(r) != readings(again) {
				t.Fatalf("read byte by byte: %v %s, else %v %s", again.Faults, readings(again), r.Faults, readings(r))
			}
			for _, fault := range slices.Concat(r.Faults, r.Notes) {
				if fault.Line < 0 || fault.Line > lines || fault.Count < 1 || fault.Code == "" {
					t.Errorf("fault %+v in a file of %d lines", fault, lines)
				}
			}
			for i, gpu := range r.GPUs {
				check(t, gpu)
				if i > 0 && recording.Compare(r.GPUs[i-1].ID, gpu.ID) > 0 {
					t.Errorf("GPU %q after %q", gpu.ID, r.GPUs[i-1].ID)
				}
			}
			for series := range r.Series(recording.Moment(1736944495), recording.Moment(1736944497)) {
				if len(series.Readings) == 0 {
					t.Error("a GPU without readings")
				}
			}
		}
	})
}

func check(t *testing.T, gpu recording.GPU) {
	t.Helper()
	if gpu.ID == "" || len(gpu.Unix) == 0 || len(gpu.Unix) != len(gpu.Watts) {
		t.Fatalf("GPU %q has %d times, %d readings", gpu.ID, len(gpu.Unix), len(gpu.Watts))
	}
	for i, watts := range gpu.Watts {
		if !(watts >= 0) || math.IsInf(gpu.Unix[i], 0) || math.IsNaN(gpu.Unix[i]) {
			t.Errorf("reading %v at %v", watts, gpu.Unix[i])
		}
		if i > 0 && gpu.Unix[i] <= gpu.Unix[i-1] {
			t.Errorf("%v after %v", gpu.Unix[i], gpu.Unix[i-1])
		}
	}
}
