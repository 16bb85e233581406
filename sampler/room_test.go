package sampler

import (
	"fmt"
	"log/slog"
	"testing"
	"time"
	"unsafe"
)

// some are GPUs with a counter, or without one.
func some(n, from int, counter bool) (devices []Device) {
	for i := range n {
		devices = append(devices, named{Info{Host: "h", UUID: fmt.Sprint(from + i), Index: from + i, HasCounter: counter}})
	}
	return devices
}

// named is a GPU that is never read.
type named struct{ info Info }

func (n named) Info() Info             { return n.info }
func (n named) Read() (Reading, error) { return Reading{}, nil }

func roomy(t *testing.T, memory int64, interval time.Duration, devices ...Device) *Sampler {
	t.Helper()
	s, err := New(devices, Config{Interval: interval, Retention: 24 * time.Hour, Memory: memory, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// overfill has more readings go through the rings than fit.
func (s *Sampler) overfill() {
	for _, f := range s.all() {
		for _, r := range []*ring{&f.ticks, &f.extra} {
			for n := range r.capacity + 2*chunkLen {
				r.push(reading(n))
			}
		}
	}
}

// held is what the rings have allocated, in bytes.
func (s *Sampler) held() (bytes int64) {
	for _, f := range s.all() {
		for _, chunk := range append(f.ticks.chunks, f.extra.chunks...) {
			bytes += int64(cap(chunk)) * int64(unsafe.Sizeof(Reading{}))
		}
	}
	return bytes
}

func TestReadingsFitIntoMemory(t *testing.T) {
	for _, test := range []struct {
		memory   int64
		gpus     int
		counter  bool
		interval time.Duration
	}{
		{30e6, 8, true, time.Second},
		{30e6, 8, false, time.Second},
		{30e6, 1, true, 10 * time.Millisecond},
		{200e6, 8, true, 100 * time.Millisecond},
		{30e6, 16, false, 100 * time.Millisecond},
	} {
		s := roomy(t, test.memory, test.interval, some(test.gpus, 0, test.counter)...)
		s.overfill()
		inHand := s.Measurable() * inHand
		if used := s.held() + inHand; used > test.memory || used < test.memory*8/10 {
			t.Errorf("%+v: %d bytes in memory and %d in hand", test, s.held(), inHand)
		}
		kept := s.Retention()
		if kept >= 24*time.Hour || kept <= 0 {
			t.Errorf("%+v: kept for %v", test, kept)
		}
		for _, f := range s.all() {
			if got := f.ticks.at(f.ticks.len() - 1).At.Sub(f.ticks.at(0).At); got != kept/test.interval*time.Second { // reading(n) is one a second
				t.Errorf("%+v: ring of %v, Retention says %v", test, got, kept)
			}
			if status := f.snapshot(); status.Used != status.Size {
				t.Errorf("%+v: %d of %d used", test, status.Used, status.Size)
			}
		}
		if all := roomy(t, s.Needs(), test.interval, some(test.gpus, 0, test.counter)...); all.Retention() != 24*time.Hour {
			t.Errorf("%+v: with the %d bytes that it needs it keeps %v", test, s.Needs(), all.Retention())
		}
		if less := roomy(t, s.Needs()*98/100, test.interval, some(test.gpus, 0, true)...); test.counter && less.Retention() == 24*time.Hour {
			t.Errorf("%+v: all fits into less than the %d bytes that it needs", test, s.Needs())
		}
	}
}

func TestNoBoundOnMemory(t *testing.T) {
	s := roomy(t, 0, time.Second, some(8, 0, true)...)
	if kept, size := s.Retention(), s.Latest()[0].Size; kept != 24*time.Hour || size != 86_401+extraCapacity || s.Measurable() != 0 {
		t.Errorf("kept for %v, %d readings a GPU", kept, size)
	}
}

func TestVeryLittleMemoryKeepsTheLeast(t *testing.T) {
	s := roomy(t, 1, time.Second, some(8, 0, true)...)
	if kept := s.Retention(); kept != (leastTicks-1)*time.Second {
		t.Errorf("kept for %v", kept)
	}
	short, err := New(some(1, 0, true), Config{Interval: time.Second, Retention: time.Minute, Memory: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil || short.Retention() != time.Minute {
		t.Errorf("kept for %v, %v: no more than was asked for", short.Retention(), err)
	}
}

// GPUs that come later share the memory: the rings of those that are here shrink, by their oldest readings.
func TestGPUsThatComeLaterShareTheMemory(t *testing.T) {
	const memory = 30e6
	s := roomy(t, memory, time.Second, some(2, 0, true)...)
	s.overfill()
	before, newest := s.Retention(), s.all()[0].ticks.at(s.all()[0].ticks.len()-1)
	s.Add(some(6, 2, true)...)
	if after := s.Retention(); after >= before {
		t.Errorf("kept for %v before and %v after", before, after)
	}
	for _, f := range s.all()[:2] {
		if last := f.ticks.at(f.ticks.len() - 1); last != newest || f.ticks.len() != f.ticks.capacity {
			t.Errorf("the newest is %v and was %v; %d of %d", last, newest, f.ticks.len(), f.ticks.capacity)
		}
	}
	s.overfill()
	if used := s.held() + s.Measurable()*inHand; used > memory {
		t.Errorf("%d bytes with eight", used)
	}
	if fresh := roomy(t, memory, time.Second, some(8, 0, true)...); fresh.Retention() != s.Retention() {
		t.Errorf("%v, from the start %v", s.Retention(), fresh.Retention())
	}
}

// A reading takes what Config.Memory is divided by.
func TestSizeOfAReading(t *testing.T) {
	if size := unsafe.Sizeof(Reading{}); size != inMemory {
		t.Errorf("%d bytes", size)
	}
}

func TestResizedRingIsASliceOfTheNewest(t *testing.T) {
	for _, from := range []int{1, 10, chunkLen, 3*chunkLen + 7} {
		for _, to := range []int{1, 9, chunkLen - 1, chunkLen, 2*chunkLen + 3, 5 * chunkLen} {
			for _, pushed := range []int{0, 1, from, from + chunkLen/2, 4 * chunkLen} {
				got, want := ring{capacity: from}, model{capacity: from}
				for n := range pushed + 3*chunkLen {
					if n == pushed {
						got.resize(to)
						want.capacity = to
						want.readings = want.readings[max(0, len(want.readings)-to):]
					}
					got.push(reading(n))
					want.push(reading(n))
					if got.len() != len(want.readings) || got.at(0) != want.readings[0] || got.at(got.len()-1) != reading(n) {
						t.Fatalf("%d to %d after %d: %d readings after %d, want %d", from, to, pushed, got.len(), n+1, len(want.readings))
					}
				}
			}
		}
	}
}

// What is read back for windows of another boot fits into empty memory, whichever GPUs have come by now.
func TestRoomForOtherGPUs(t *testing.T) {
	for _, here := range []int{0, 2, 8} {
		s := roomy(t, 30e6, time.Second, some(here, 0, true)...)
		for _, gpus := range []int64{1, 8} {
			room := s.RoomFor(int(gpus))
			if used := room * (gpus*inMemory + inHand); used > 30e6 || used < 25e6 {
				t.Errorf("%d GPUs here: %d readings of each of %d take %d bytes", here, room, gpus, used)
			}
		}
		if least := roomy(t, 1, time.Second, some(here, 0, true)...).RoomFor(8); least != leastTicks+leastExtra {
			t.Errorf("without memory there is room for %d", least)
		}
	}
	if s := roomy(t, 0, time.Second); s.RoomFor(8) != 0 {
		t.Error("a bound without a limit")
	}
}
