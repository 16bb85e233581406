package recording_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"wattmark/recording"
)

// day returns 8 hours of 8 GPUs at 1 Hz as nvidia-smi writes them: 17 MB.
func day() []byte {
	var out bytes.Buffer
	out.WriteString(nvidiaHeader)
	at := time.Date(2026, 8, 21, 0, 0, 0, 123e6, time.UTC)
	for second := range 8 * 3600 {
		for gpu := range 8 {
			t := at.Add(time.Duration(second)*time.Second + time.Duration(gpu)*2*time.Millisecond)
			fmt.Fprintf(&out, "%s, %d, %.2f W, 61, 1980 MHz, 2619 MHz, 98 %%, 45 %%\n",
				t.Format("2006/01/02 15:04:05.000"), gpu, 400+float64((second*7+gpu)%30000)/100)
		}
	}
	return out.Bytes()
}

// amdDay is the same as amd-smi writes it: whole seconds, 114 columns, lists in quotes.
func amdDay(seconds int) []byte {
	var out bytes.Buffer
	out.WriteString(amdHeader)
	clocks := strings.Repeat("2100,132,2100,DISABLED,DISABLED,", 19)
	for second := range seconds {
		for gpu := range 8 {
			fmt.Fprintf(&out, "%d,%d,98,45,N/A,\"['N/A', 'N/A', 'N/A', 'N/A']\",\"['N/A', 'N/A']\",\"[98, 98]\",N/A,N/A,%d,N/A,N/A,N/A,0,ENABLED,%sN/A,61,48\n",
				1787270400+second, gpu, 700+(second*7+gpu)%50, clocks)
		}
	}
	return out.Bytes()
}

func BenchmarkRead(b *testing.B) {
	for _, bench := range []struct {
		name    string
		file    []byte
		lenient bool
	}{
		{"nvidia-smi", day(), false},
		{"nvidia-smi lenient", day(), true},
		{"amd-smi", amdDay(3600), false},
		{"epoch", epochDay(), false},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.file)))
			b.ReportAllocs()
			for b.Loop() {
				r := recording.Read(bytes.NewReader(bench.file), recording.Options{Zone: time.UTC, Lenient: bench.lenient})
				if len(r.GPUs) != 8 || len(r.Faults) > 0 {
					b.Fatal(r.Faults)
				}
			}
		})
	}
}

func epochDay() []byte {
	var out bytes.Buffer
	out.WriteString("timestamp,gpu,socket_power\n")
	for second := range 8 * 3600 {
		for gpu := range 8 {
			fmt.Fprintf(&out, "%d.%06d,%d,%d.%02d\n", 1787270400+second, gpu*1234, gpu, 700+(second*7+gpu)%50, second%100)
		}
	}
	return out.Bytes()
}

// A day of files has to be a matter of seconds. The floor is a third of what a slow machine does.
func TestReadingIsFast(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("the race detector is slow")
	}
	file := day()
	best := time.Duration(1 << 62)
	for range 3 {
		begin := time.Now()
		r := recording.Read(bytes.NewReader(file), recording.Options{Zone: time.UTC})
		if best = min(best, time.Since(begin)); r.Rows != 8*8*3600 {
			t.Fatalf("rows = %d, want %d", r.Rows, 8*8*3600)
		}
	}
	speed := float64(len(file)) / 1e6 / best.Seconds()
	t.Logf("%.1f MB at %.0f MB/s", float64(len(file))/1e6, speed)
	if speed < 50 {
		t.Errorf("read at %.0f MB/s, want at least 50", speed)
	}
}

// Reading allocates for the readings kept, not for rows: outside the band nothing.
func TestReadingAllocatesNothingPerRow(t *testing.T) {
	for name, file := range map[string][]byte{"nvidia-smi": day(), "amd-smi": amdDay(3600), "epoch": epochDay()} {
		r := bytes.NewReader(nil)
		allocated := testing.AllocsPerRun(1, func() {
			r.Reset(file)
			recording.Read(r, recording.Options{Zone: time.UTC, From: 1, To: 2})
		})
		if allocated > 200 {
			t.Errorf("%s: %.0f allocations for a file outside the window", name, allocated)
		}
	}
}
