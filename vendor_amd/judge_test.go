package amd

import (
	"errors"
	"strings"
	"testing"
	"time"

	"wattmark/sampler"
)

const second = int64(time.Second)

// at returns a sample at a time in ns, with a stamp in the middle of the call, of a GPU that has used some energy.
func at(mono int64, watts, joules float64) sample {
	return sample{
		begin: mono, end: mono + 2000, stamp: uint64(mono + 1000), counts: uint64(joules * countsPerJoule), counted: true,
		watts: sampler.Some(watts), sensor: sensorSocket, temperatureC: sampler.SomeGauge(50),
	}
}

func TestCounterVerdict(t *testing.T) {
	old := func(s sample) sample { s.stamp -= uint64(second / 2); return s }
	again := func(s sample) sample { s.begin, s.end = s.begin+second/2, s.end+second/2; return s }
	none := func(s sample) sample { s.watts = sampler.Value{}; return s }
	for _, test := range []struct {
		name          string
		first, second sample
		want          verdict
	}{
		{"right", at(second, 500, 1000), at(second*3/2, 500, 1250), trusted},
		{"too soon", at(second, 500, 1000), at(second*5/4, 500, 1125), unknown},
		{"a tenth", at(second, 500, 1000), at(second*3/2, 500, 1025), refused},
		{"a bit more than a tenth", at(second, 500, 1000), at(second*3/2, 500, 1026), trusted},
		{"ten times", at(second, 500, 1000), at(second*3/2, 500, 3500), refused},
		{"a bit less than ten times", at(second, 500, 1000), at(second*3/2, 500, 3490), trusted},
		{"stands still", at(second, 500, 1000), at(second*3/2, 500, 1000), refused},
		{"falls", at(second, 500, 1000), at(second*3/2, 500, 10), unknown},
		{"no power, plausible", none(at(second, 0, 1000)), none(at(second*3/2, 0, 1250)), trusted},
		{"no power, still", none(at(second, 0, 1000)), none(at(second*3/2, 0, 1000)), refused},
		{"no power, 100 kW", none(at(second, 0, 1000)), none(at(second*3/2, 0, 51000)), refused},
		{"0 W at first", at(second, 0, 1000), at(second*3/2, 500, 1250), trusted},
		{"the first table is old", old(at(second, 500, 750)), at(second*3/2, 500, 1250), trusted},
		{"the same table", at(second, 500, 1000), again(at(second, 500, 1000)), unknown},
		{"power jumps", at(second, 100, 1000), at(second*3/2, 700, 1100), trusted},
	} {
		j := judge{counter: counter{probe: 500 * time.Millisecond}}
		for _, s := range []sample{test.first, test.second} {
			r, err := j.reading(s, sampler.Moment{MonoNano: s.end}, 0)
			if err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
			if j.counter.verdict != trusted && r.EnergyJoules.OK() {
				t.Errorf("%s: energy of a counter that is not trusted", test.name)
			}
		}
		if got := j.counter.verdict; got != test.want || (got == refused) != (j.counter.why != "") {
			t.Errorf("%s: got %v (%s), want %v", test.name, got, j.counter.why, test.want)
		}
	}
}

func TestZeroWatts(t *testing.T) {
	j := judge{counter: counter{verdict: trusted}}
	for i, step := range []struct {
		watts, joules float64
		present       bool
	}{
		{0, 100, false},  // the first poll after start-up on MI350: nobody knows
		{300, 400, true}, //
		{0, 700, false},  // energy advanced
		{0, 700, true},   // it did not: a GPU that is off
		{300, 900, true}, //
	} {
		mono := second * int64(i+1)
		r, err := j.reading(at(mono, step.watts, step.joules), sampler.Moment{MonoNano: mono}, 0)
		if err != nil || r.PowerWatts.OK() != step.present {
			t.Errorf("step %d: got %v W (%v), want it present: %v", i, r.PowerWatts.Or(-1), err, step.present)
		}
	}
}

func TestTimeOfAReading(t *testing.T) {
	const offset = 90 * time.Minute // the host was suspended
	for _, test := range []struct {
		name  string
		stamp int64 // relative to the call's begin, on the monotonic clock
		want  int64
		why   string
	}{
		{"in the call", 700, 700, ""},
		{"kept for a millisecond", -1_000_000, -1_000_000, ""},
		{"of another clock", second * 600, 1000, "10m0s off"},
		{"not suspended", -int64(offset), 1000, "off"},
	} {
		s := at(5000*second, 100, 100)
		s.stamp = uint64(s.begin + test.stamp + int64(offset))
		now := sampler.Moment{UnixNano: 1_750_000_000 * second, MonoNano: s.end + 5000}
		var j judge
		r, err := j.reading(s, now, offset)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.At.MonoNano - s.begin; got != test.want {
			t.Errorf("%s: got %d ns after the call's begin, want %d", test.name, got, test.want)
		}
		if r.At.UnixNano-now.UnixNano != r.At.MonoNano-now.MonoNano {
			t.Errorf("%s: wall and monotonic time disagree: %+v at %+v", test.name, r.At, now)
		}
		if r.Call != 2*time.Microsecond || (j.clocks == "") != (test.why == "") || !strings.Contains(j.clocks, test.why) {
			t.Errorf("%s: call %v, %q; want 2µs, %q", test.name, r.Call, j.clocks, test.why)
		}
	}
}

func TestStaleTable(t *testing.T) {
	var j judge
	first := at(second, 300, 100)
	for _, step := range []struct {
		after time.Duration
		want  error
	}{{0, nil}, {time.Millisecond, nil}, {time.Second, nil}, {2 * time.Second, ErrStaleTable}, {3 * time.Second, ErrStaleTable}} {
		s := first
		s.begin, s.end = s.begin+int64(step.after), s.end+int64(step.after)
		if _, err := j.reading(s, sampler.Moment{MonoNano: s.end}, 0); !errors.Is(err, step.want) {
			t.Errorf("the same table after %v: got %v, want %v", step.after, err, step.want)
		}
	}
	if _, err := j.reading(at(5*second, 300, 900), sampler.Moment{MonoNano: 5 * second}, 0); err != nil {
		t.Errorf("a new table: %v", err)
	}
	// A stamp that stands still beside a counter that runs is a broken stamp, not an old table.
	for i := range int64(5) {
		s := at((6+i)*second, 300, 900+float64(i))
		s.stamp = first.stamp
		if _, err := j.reading(s, sampler.Moment{MonoNano: s.end}, 0); err != nil {
			t.Errorf("after %d s: %v", i, err)
		}
	}
}
