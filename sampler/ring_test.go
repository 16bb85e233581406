package sampler

import (
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"
)

// reading returns the n-th of a schedule of one a second.
func reading(n int) Reading {
	return Reading{At: Moment{UnixNano: 1e18 + int64(n)*1e9, MonoNano: 1e15 + int64(n)*1e9}, PowerWatts: Some(float64(n))}
}

// model is a ring as plainly as can be.
type model struct {
	capacity int
	readings []Reading
}

func (m *model) push(r Reading) {
	m.readings = append(m.readings, r)
	m.readings = m.readings[max(0, len(m.readings)-m.capacity):]
}

// between is the definition: the last at or before from, all after it, up to the first at or after to.
func (m *model) between(from, to Moment) []Reading {
	first, last := 0, len(m.readings)-1
	for i, r := range m.readings {
		if r.At.MonoNano <= from.MonoNano {
			first = i
		}
	}
	for i, r := range slices.Backward(m.readings) {
		if r.At.MonoNano >= to.MonoNano {
			last = i
		}
	}
	return m.readings[first : last+1]
}

func TestRingIsASliceOfTheNewest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, capacity := range []int{1, 2, 3, 10, chunkLen - 1, chunkLen, chunkLen + 1, 3 * chunkLen, 3*chunkLen + 7} {
		got, want := ring{capacity: capacity}, model{capacity: capacity}
		pushes := 2*capacity + 3*chunkLen + 2
		for n := range pushes {
			got.push(reading(n))
			want.push(reading(n))
			if got.len() != len(want.readings) {
				t.Fatalf("capacity %d: %d readings after %d, want %d", capacity, got.len(), n+1, len(want.readings))
			}
			if got.at(0) != want.readings[0] || got.at(got.len()-1) != want.readings[len(want.readings)-1] {
				t.Fatalf("capacity %d: ends after %d readings are %v and %v", capacity, n+1, got.at(0), got.at(got.len()-1))
			}
			if random.IntN(1+pushes/100) > 0 {
				continue
			}
			checkBetween(t, random, &got, &want, n)
		}
	}
}

// checkBetween compares spans around the newest reading n, with edges on readings and between them.
func checkBetween(t *testing.T, random *rand.Rand, got *ring, want *model, n int) {
	t.Helper()
	for range 8 {
		from := reading(n + 3 - random.IntN(want.capacity+6)).At.Add(-500e6 * time.Duration(random.IntN(2)))
		to := from.Add(500e6 * time.Duration(random.IntN(2*want.capacity+4)))
		g, w := merged(got, &ring{}, from, to), want.between(from, to)
		if !slices.Equal(g, w) {
			t.Fatalf("capacity %d, %d pushed: between(%v, %v) = %d readings from %v, want %d from %v", want.capacity, n+1,
				from, to, len(g), g[0].At, len(w), w[0].At)
		}
	}
}

func TestRingBetween(t *testing.T) {
	r := ring{capacity: 5}
	if got := merged(&r, &ring{}, reading(0).At, reading(9).At); len(got) != 0 {
		t.Errorf("between of an empty ring = %v, want none", got)
	}
	r.push(reading(10))
	for _, span := range [][2]int{{0, 1}, {0, 10}, {10, 10}, {10, 20}, {20, 30}} {
		if got := merged(&r, &ring{}, reading(span[0]).At, reading(span[1]).At); len(got) != 1 || got[0] != reading(10) {
			t.Errorf("between(%d, %d) of one reading = %v, want that reading: it is the neighbour", span[0], span[1], got)
		}
	}
	for n := 11; n <= 20; n++ {
		r.push(reading(n))
	}
	half := time.Duration(500e6)
	for _, test := range []struct {
		name     string
		from, to Moment
		want     []int
	}{
		{"on readings", reading(17).At, reading(19).At, []int{17, 18, 19}},
		{"between readings", reading(17).At.Add(half), reading(18).At.Add(half), []int{17, 18, 19}},
		{"inside one interval", reading(17).At.Add(half), reading(17).At.Add(half + 1), []int{17, 18}},
		{"one moment on a reading", reading(18).At, reading(18).At, []int{18}},
		{"begins before the oldest", reading(3).At, reading(17).At, []int{16, 17}},
		{"ends after the newest", reading(19).At.Add(half), reading(99).At, []int{19, 20}},
		{"all before the oldest", reading(3).At, reading(4).At, []int{16}},
		{"all after the newest", reading(30).At, reading(40).At, []int{20}},
		{"wall clock only", Moment{UnixNano: reading(17).At.UnixNano}, Moment{UnixNano: reading(18).At.UnixNano}, []int{17, 18}},
	} {
		var got []int
		for _, reading := range merged(&r, &ring{}, test.from, test.to) {
			got = append(got, int(reading.PowerWatts.Or(-1)))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: between = %v, want %v", test.name, got, test.want)
		}
	}
}

func TestRingAllocatesAsItFillsAndThenNoMore(t *testing.T) {
	r := ring{capacity: 2*chunkLen + 5}
	r.push(reading(0))
	if len(r.chunks) != 1 {
		t.Errorf("chunks of a ring with one reading = %d, want 1", len(r.chunks))
	}
	n := 0
	for ; n < 5*chunkLen; n++ {
		r.push(reading(n))
	}
	if allocs := testing.AllocsPerRun(4*chunkLen, func() { r.push(reading(n)); n++ }); allocs != 0 {
		t.Errorf("allocations per push of a full ring = %v, want 0: the oldest chunk is reused", allocs)
	}
	if most := 2 + 5/chunkLen + 2; len(r.chunks) > most {
		t.Errorf("chunks = %d, want at most %d", len(r.chunks), most)
	}
}

func TestReadingIsSmall(t *testing.T) {
	if got := unsafe.Sizeof(Reading{}); got != 72 {
		t.Errorf("size of a Reading = %d bytes, want 72: a day of eight GPUs is %d MB", got, 8*86400*got/1e6)
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Reading]()) {
		if kind := field.Type.Kind(); kind == reflect.Pointer || kind == reflect.String || kind == reflect.Slice {
			t.Errorf("%s is a %v, want no pointers: the garbage collector would scan a day of readings", field.Name, kind)
		}
	}
}

func TestADayOfEightGPUsFitsIn64MB(t *testing.T) {
	const day = 86400
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := used()
	var feeds [8]struct{ ticks, extra ring }
	for i := range feeds {
		feeds[i].ticks, feeds[i].extra = ring{capacity: day + 1}, ring{capacity: extraCapacity}
		for n := range day + 3*chunkLen { // as full as it gets
			feeds[i].ticks.push(reading(n))
		}
		for n := range extraCapacity + 3*chunkLen {
			feeds[i].extra.push(reading(n))
		}
	}
	took := used() - before
	runtime.KeepAlive(&feeds)
	if most := uint64(64e6); took > most {
		t.Errorf("memory = %.1f MB, want at most %.1f", float64(took)/1e6, float64(most)/1e6)
	}
	if least := uint64(8 * 72 * day); took < least { // else the measurement is wrong
		t.Errorf("memory = %.1f MB, want at least %.1f of readings", float64(took)/1e6, float64(least)/1e6)
	}
}
