package agg_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"wattmark/agg"
	"wattmark/internal/atomicfile"
	"wattmark/window"
)

// failing is a reader that fails, or one that stands still.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if errors.Is(f.err, io.ErrNoProgress) {
		return 0, nil
	}
	return 0, f.err
}

func TestBenchmarkReadError(t *testing.T) {
	for _, want := range []error{os.ErrClosed, io.ErrNoProgress} {
		b := agg.ReadBenchmark(io.MultiReader(strings.NewReader(result), failing{want}))
		if !slices.Equal(b.Reasons, []window.Reason{window.InvalidBenchmarkResult}) || !errors.Is(b.Err, want) {
			t.Errorf("got %v, %v, want %v", b.Reasons, b.Err, want)
		}
	}
}

// Wherever a buffer ends, keys and numbers are read whole.
func TestBenchmarkAcrossBuffers(t *testing.T) {
	for _, around := range []int{32 << 10, 64 << 10, 96 << 10} {
		for pad := around - 2*len(result); pad < around+10; pad += 3 {
			text := `{"a":"` + strings.Repeat("x", pad) + `",` + result[1:]
			if b := agg.ReadBenchmark(strings.NewReader(text)); len(b.Reasons) > 0 || b.Start.Or(0) != 1755000000.25 {
				t.Fatalf("after %d bytes: %v, %v, start %v", pad, b.Reasons, b.Err, b.Start.Or(0))
			}
		}
	}
}

// repeated yields text over and over, n times.
type repeated struct {
	text string
	n    int
	at   int // in text
}

func (r *repeated) Read(p []byte) (int, error) {
	total := 0
	for total < len(p) && r.n > 0 {
		n := copy(p[total:], r.text[r.at:])
		total += n
		if r.at += n; r.at == len(r.text) {
			r.at, r.n = 0, r.n-1
		}
	}
	if total == 0 {
		return 0, io.EOF
	}
	return total, nil
}

func large(n int) io.Reader {
	return io.MultiReader(strings.NewReader(`{"itls":[0`), &repeated{text: ", 0.012345678901234567", n: n}, strings.NewReader("],"+result[1:]))
}

func TestLargeBenchmarkInLittleMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b := agg.ReadBenchmark(large(1 << 20))
	runtime.ReadMemStats(&after)
	if len(b.Reasons) > 0 {
		t.Fatalf("got %v, %v", b.Reasons, b.Err)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
		t.Errorf("allocated %d bytes, want at most 1 MB", allocated)
	}
}

func TestBenchmarkOverTheLimit(t *testing.T) {
	if b := agg.ReadUpToLimit(strings.NewReader(result), int64(len(result))); len(b.Reasons) > 0 {
		t.Errorf("at the limit: %v, %v", b.Reasons, b.Err)
	}
	for _, text := range []string{result + " ", result + "\n" + result} {
		b := agg.ReadUpToLimit(strings.NewReader(text), int64(len(result)))
		if !slices.Equal(b.Reasons, []window.Reason{window.InvalidBenchmarkResult}) || !errors.Is(b.Err, atomicfile.ErrTooLarge) {
			t.Errorf("got %v, %v, want %v", b.Reasons, b.Err, atomicfile.ErrTooLarge)
		}
	}
}

func BenchmarkReadBenchmark(b *testing.B) {
	for name, text := range map[string]string{"numbers": ", 0.012345678901234567", "texts": `, "` + strings.Repeat("word ", 200) + `"`} {
		b.Run(name, func(b *testing.B) {
			data := []byte(`{"a":[0` + strings.Repeat(text, (16<<20)/len(text)) + "]," + result[1:])
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if r := agg.ReadBenchmark(bytes.NewReader(data)); len(r.Reasons) > 0 {
					b.Fatal(fmt.Sprint(r.Reasons, r.Err))
				}
			}
		})
	}
}
