package api

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"wattmark/window"
)

// agree checks that two measurements of the same span differ by no more than both bounds allow.
func (d *daemon) agree(what string, a, b window.Result) {
	d.Helper()
	bound := math.Hypot(a.Bound().Or(math.NaN()), b.Bound().Or(math.NaN()))
	if apart := math.Abs(a.Energy().Or(math.NaN()) - b.Energy().Or(math.NaN())); !(apart <= bound) {
		d.Errorf("%s: %v J and %v J, apart by %.3f J, want at most %.3f", what, a.Energy(), b.Energy(), apart, bound)
	}
}

// The benchmark's own stamps give the same energy afterwards as live marks did.
func TestAfterwardsEqualsLive(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		start := d.post("/v1/mark-start", "run=live").window().StartUnix
		time.Sleep(41700 * time.Millisecond)
		live := d.post("/v1/mark-end", "run=live").result()
		end := live.End.Unix()
		time.Sleep(90 * time.Second)
		d.write("r.json", fmt.Sprintf(
			`{"benchmark_start_time_unix":%f,"benchmark_end_time_unix":%f,"duration":41.7,"completed":100,"total_input_tokens":1000,"total_output_tokens":2000}`, start, end))

		for what, r := range map[string]window.Result{
			"measure, by the benchmark's result": d.post("/v1/measure", "run=m1&benchmark_result=r.json").result(),
			"measure, by its stamps":             d.post("/v1/measure", fmt.Sprintf("run=m2&start_unix=%f&end_unix=%f", start, end)).result(),
			"energy":                             d.get(fmt.Sprintf("/v1/energy?start=%f&end=%f", start, end)).result(),
			"energy, by RFC 3339": d.get("/v1/energy?start=" + live.Start.Wall().UTC().Format(time.RFC3339Nano) +
				"&end=" + live.End.Wall().UTC().Format(time.RFC3339Nano)).result(),
		} {
			d.wantTrue(r)
			d.agree(what, live, r)
		}
		// A window that was left open for too long, with the benchmark's stamps.
		d.post("/v1/mark-start", fmt.Sprintf("run=late&at_unix=%f", start-5)).window()
		r := d.post("/v1/mark-end", "run=late&benchmark_result="+d.dir+"/r.json").result()
		d.wantTrue(r)
		d.agree("mark-end, by the benchmark's result", live, r)
		if got, want := r.PerOutputToken().Or(0), r.Energy().Or(0)/2000; got != want {
			t.Errorf("%g J per output token, want %g", got, want)
		}
	})
}

// Windows may overlap and nest; each is right by itself.
func TestOverlappingAndNestedWindows(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		at := time.Now()
		wait := func(seconds float64) { time.Sleep(time.Until(at.Add(time.Duration(seconds * float64(time.Second))))) }
		want := map[string]time.Duration{"outer": 30 * time.Second, "nested": 7 * time.Second, "overlapping": 20 * time.Second}
		d.post("/v1/mark-start", "run=outer").window()
		wait(10.05)
		d.post("/v1/mark-start", "run=nested").window()
		wait(14.2)
		d.post("/v1/mark-start", "run=overlapping").window()
		for _, step := range []struct {
			at  float64
			run string
		}{{17.05, "nested"}, {30, "outer"}, {34.2, "overlapping"}} {
			wait(step.at)
			r := d.post("/v1/mark-end", "run="+step.run).result()
			d.wantTrue(r)
			if r.Duration() != want[step.run] {
				t.Errorf("%s: %v, want %v", step.run, r.Duration(), want[step.run])
			}
		}
	})
}

// E[a,b] + E[b,c] = E[a,c]: exactly, for the three read E(t) at the same three moments.
func TestEnergyIsAdditive(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		time.Sleep(time.Minute)
		now := d.samples.Now().Unix()
		for _, c := range [][3]float64{{-50, -30, -10}, {-40.123, -39.5, -20.777}, {-30, -29.999, -5}} {
			energy := func(from, to float64) float64 {
				return d.get(fmt.Sprintf("/v1/energy?start=%f&end=%f", now+from, now+to)).result().Energy().Or(math.NaN())
			}
			ab, bc, ac := energy(c[0], c[1]), energy(c[1], c[2]), energy(c[0], c[2])
			if !(math.Abs(ab+bc-ac) < 1e-6*ac) {
				t.Errorf("%v: %.6f + %.6f = %.6f J, want %.6f", c, ab, bc, ab+bc, ac)
			}
		}
	})
}

func TestAtUnix(t *testing.T) {
	inBubble(t, options{spec: "8xH200,load=sine"}, func(d *daemon) {
		mark := func(path, run string, after float64) reply {
			return d.post(path, fmt.Sprintf(`{"run":%q,"at_unix":%f}`, run, d.samples.Now().Unix()+after))
		}
		// In the past.
		now := d.samples.Now()
		s := mark("/v1/mark-start", "past", -5).window()
		if got := now.Unix() - s.StartUnix; math.Abs(got-5) > 1e-3 {
			t.Errorf("a start 5 s ago is %.6f s ago", got)
		}
		time.Sleep(10 * time.Second)
		r := mark("/v1/mark-end", "past", -2).result()
		d.wantTrue(r)
		if math.Abs(r.Duration().Seconds()-13) > 1e-3 {
			t.Errorf("from 5 s before a moment to 8 s after it: %v, want 13 s", r.Duration())
		}
		// Half a second ahead: the mark waits.
		began := time.Now()
		mark("/v1/mark-start", "soon", 0.5).window()
		if took := time.Since(began).Round(time.Millisecond); took != 500*time.Millisecond {
			t.Errorf("a mark half a second ahead took %v", took)
		}
		time.Sleep(9 * time.Second)
		began = time.Now()
		r = mark("/v1/mark-end", "soon", 0.5).result()
		d.wantTrue(r)
		if took := time.Since(began).Round(time.Millisecond); took != 500*time.Millisecond || math.Abs(r.Duration().Seconds()-9.5) > 1e-3 {
			t.Errorf("a mark half a second ahead took %v and makes %v, want 9.5 s", took, r.Duration())
		}
		// Further ahead: refused.
		mark("/v1/mark-start", "far", 5).problem(400, "invalid_span")
		d.post("/v1/mark-start", "run=r").window()
		mark("/v1/mark-end", "r", 5).problem(400, "invalid_span")
		mark("/v1/mark-end", "r", -0.001).problem(400, "invalid_span") // before the start
		time.Sleep(time.Second)
		mark("/v1/mark-end", "r", -3600).problem(400, "invalid_span")
		d.wantTrue(d.post("/v1/mark-end", "run=r").result())
	})
}

// What is older than memory is refused, not guessed.
func TestExpired(t *testing.T) {
	inBubble(t, options{retention: 30 * time.Second}, func(d *daemon) {
		start := d.samples.Now().Unix()
		d.post("/v1/mark-start", "run=long").window()
		time.Sleep(time.Minute)
		now := d.samples.Now().Unix()
		d.get(fmt.Sprintf("/v1/energy?start=%f&end=%f", start, now)).problem(404, "window_expired")
		d.post("/v1/measure", fmt.Sprintf("start_unix=%f&end_unix=%f", start, now)).problem(404, "window_expired")
		d.post("/v1/mark-start", fmt.Sprintf("run=x&at_unix=%f", start)).problem(404, "window_expired")
		d.wantTrue(d.get(fmt.Sprintf("/v1/energy?start=%f&end=%f", now-25, now)).result())
		// A live window outlasts the memory: the reading at its start is still there, and the counter bridges the rest.
		r := d.post("/v1/mark-end", "run=long").result()
		d.wantTrue(r)
		if !slices.Equal(r.AllNotes(), []window.Note{window.GapBridged}) {
			t.Errorf("notes %v, want only that the gap was bridged", r.AllNotes())
		}
	})
}

// A file of an earlier run of the same name is not taken for this one's readings.
func TestExpiredDoesNotReadAnOldFile(t *testing.T) {
	dir := t.TempDir()
	inBubble(t, options{dir: dir}, func(d *daemon) {
		d.post("/v1/mark-start", "run=r").window()
		time.Sleep(10 * time.Second)
		d.wantTrue(d.post("/v1/mark-end", "run=r").result())
	})
	inBubble(t, options{dir: dir, retention: 5 * time.Second}, func(d *daemon) {
		d.post("/v1/mark-start", "run=r").window()
		time.Sleep(20 * time.Second)
		d.wantTrue(d.post("/v1/mark-end", "run=r").result())
	})
}

func TestSpanProblems(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		now := d.samples.Now().Unix()
		for query, code := range map[string]string{
			"":                             "invalid_span",
			fmt.Sprintf("start=%f", now-5): "invalid_span",
			fmt.Sprintf("end=%f", now-5):   "invalid_span",
			fmt.Sprintf("start=%f&end=%f", now-1, now-5):      "invalid_span",
			fmt.Sprintf("start=%f&end=%f", now-5, now-5):      "invalid_span",
			fmt.Sprintf("start=%f&end=%f", now-5, now+5):      "invalid_span",
			fmt.Sprintf("start=%f&end=%f", now*1000, now):     "malformed", // milliseconds
			"start=9e10&end=9.1e10":                           "malformed", // nanoseconds of it overflow 64 bits
			"start=2500-01-01T00:00:00Z&end=1":                "malformed",
			"start=-5&end=5":                                  "malformed",
			"start=NaN&end=Inf":                               "malformed",
			"start=1e400&end=1":                               "malformed",
			"start=yesterday&end=now":                         "malformed",
			"start=1;end=2":                                   "malformed",
			"start=1&end=2&format=csv":                        "malformed",
			"begin=1&end=2":                                   "malformed",
			"start=1&start=2&end=3":                           "malformed",
			fmt.Sprintf("start=%f&end=%f&gpus=8", now-5, now): "unknown_gpu",
		} {
			p := d.get("/v1/energy?"+query).problem(400, code)
			if p.Code != code {
				t.Errorf("%s", query)
			}
		}
	})
}
