package state

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"wattmark/sampler"
)

func FuzzReadRow(f *testing.F) {
	source := rand.New(rand.NewPCG(3, 3))
	for range 5 {
		f.Add(appendRow(nil, 1, true, random(source, sampler.Moment{UnixNano: 1, MonoNano: 2})))
	}
	f.Add([]byte("1,1,0,0,0,,,,,,,,,,0,0"))
	f.Add([]byte("1,1,0,0,0,NaN,Inf,1e999,,,,,,-1,0,0"))
	f.Fuzz(func(t *testing.T, line []byte) {
		index, extra, reading, err := readRow(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			return
		}
		text := appendRow(nil, index, extra, reading)
		again, more, same, err := readRow(bytes.TrimSuffix(text, []byte("\n")))
		if err != nil || again != index || more != extra || same != reading {
			t.Errorf("%q reads as %+v, written and read again %+v, %v", line, reading, same, err)
		}
	})
}

func BenchmarkKeep(b *testing.B) {
	s, err := Open(Config{Dir: b.TempDir(), Boot: "boot", Host: "host", Clock: sampler.NewClock()})
	if err != nil {
		b.Fatal(err)
	}
	s.Know(gpus(8)...)
	source := rand.New(rand.NewPCG(1, 1))
	kept := sampler.Kept{GPU: "host/GPU-3", Reading: random(source, s.config.Clock.Now())}
	b.ReportAllocs()
	for b.Loop() {
		s.Keep(kept)
	}
	_ = s.Close(b.Context())
}

func BenchmarkEarlier(b *testing.B) {
	s, err := Open(Config{Dir: b.TempDir(), Boot: "boot", Host: "host", Clock: sampler.NewClock()})
	if err != nil {
		b.Fatal(err)
	}
	s.Know(gpus(8)...)
	source := rand.New(rand.NewPCG(1, 1))
	now := s.config.Clock.Now()
	for i := range 86_400 {
		for g := range 8 {
			reading := random(source, now.Add(time.Duration(i)*time.Second))
			s.Keep(sampler.Kept{GPU: fmt.Sprintf("host/GPU-%d", g), Reading: reading})
		}
		if i%1000 == 0 {
			_ = s.Flush(b.Context())
		}
	}
	_ = s.Flush(b.Context())
	config := s.config
	_ = s.Close(b.Context())
	again, err := Open(config)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for range again.Earlier(sampler.Moment{UnixNano: 1, MonoNano: 1}) {
		}
	}
	b.ReportMetric(float64(again.Summary().Readings), "readings")
	_ = again.Close(b.Context())
}
