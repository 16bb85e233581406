package api

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"wattmark/agg"
	"wattmark/sampler"
	"wattmark/window"
)

// A caller whose clock is 0.7 s behind ours marks by its own clock and says so: what is measured is what it meant, the
// answers tell the edges in its clock, and the window's file knows the offset.
func TestClockOffset(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		const offset = 0.7
		theirs := func() float64 { return d.samples.Now().Unix() - offset }
		start := theirs()
		s := d.post("/v1/mark-start", fmt.Sprintf("run=r&at_unix=%.6f&clock_offset_s=%v&clock_offset_bound_s=0.001", start, offset)).window()
		if math.Abs(s.StartUnix-start) > 1e-6 {
			t.Errorf("start_unix = %.6f, want the caller's %.6f", s.StartUnix, start)
		}
		ours := d.samples.Now()
		time.Sleep(20 * time.Second)
		end := theirs()
		r := d.post("/v1/mark-end", fmt.Sprintf("run=r&at_unix=%.6f&clock_offset_s=0.702&clock_offset_bound_s=0.001", end)).result()
		d.wantTrue(r)
		if r.Start.UnixNano < ours.UnixNano-1e6 || r.Start.UnixNano > ours.UnixNano+1e6 || math.Abs(r.StartUnix()-start) > 1e-6 || math.Abs(r.EndUnix()-end) > 1e-6 {
			t.Errorf("measured from %v (%.6f to %.6f), want from %v (%.6f to %.6f)", r.Start, r.StartUnix(), r.EndUnix(), ours, start, end)
		}
		if got := r.Skew.Bound.Or(0); r.Skew.Offset != sampler.Some(offset) || math.Abs(got-0.003) > 1e-9 {
			t.Errorf("offset %v ± %v, want 0.7 ± 0.003: 1 ms, and 2 ms of drift", r.Skew.Offset, got)
		}
		var file agg.WindowFile
		if err := json.Unmarshal(d.read("power_window_r.json"), &file); err != nil {
			t.Fatal(err)
		}
		if file.Result.Skew != r.Skew || file.Limits.Interval != time.Second || file.Window().Skew != r.Skew {
			t.Errorf("the window's file: %+v, interval %v", file.Result.Skew, file.Limits.Interval)
		}
		var windows struct {
			Windows []struct {
				StartUnix float64 `json:"start_unix"`
				EndUnix   float64 `json:"end_unix"`
			}
		}
		d.get("/v1/windows").want(200).decode(&windows)
		if w := windows.Windows; len(w) != 1 || math.Abs(w[0].StartUnix-start) > 1e-6 || math.Abs(w[0].EndUnix-end) > 1e-6 {
			t.Errorf("windows = %+v, want the caller's edges", w)
		}
	})
}

// The benchmark's own stamps are in its host's clock as well, live and when the file is measured again.
func TestClockOffsetOfBenchmark(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		const offset = -3.5
		theirs := func() float64 { return d.samples.Now().Unix() - offset }
		d.post("/v1/mark-start", fmt.Sprintf("run=r&at_unix=%.6f&clock_offset_s=%v&clock_offset_bound_s=0.001", theirs(), offset)).window()
		time.Sleep(5 * time.Second)
		from, ours := theirs(), d.samples.Now()
		time.Sleep(10 * time.Second)
		to := theirs()
		time.Sleep(5 * time.Second)
		benchmark := fmt.Sprintf(`{"benchmark_start_time_unix":%.6f,"benchmark_end_time_unix":%.6f,"duration":10,"completed":1,"total_input_tokens":2,"total_output_tokens":3}`, from, to)
		r := d.post("/v1/mark-end", fmt.Sprintf(`{"run":"r","at_unix":%.6f,"benchmark":%s}`, theirs(), benchmark)).result()
		d.wantTrue(r)
		if math.Abs(float64(r.Start.UnixNano-ours.UnixNano)) > 2e3 || math.Abs(r.StartUnix()-from) > 1e-5 || math.Abs(r.EndUnix()-to) > 1e-5 {
			t.Errorf("from %v (%.6f to %.6f), want %v (%.6f to %.6f)", r.Start, r.StartUnix(), r.EndUnix(), ours, from, to)
		}
		var file agg.WindowFile
		if err := json.Unmarshal(d.read("power_window_r.json"), &file); err != nil {
			t.Fatal(err)
		}
		b := agg.InlineBenchmark([]byte(benchmark))
		again := agg.Conclude(window.Recorded(file.Series), file.Window(), file.Limits, &b)
		if again.Energy() != r.Energy() || again.Start != r.Start {
			t.Errorf("measured again from the file: %v J from %v, was %v J from %v", again.Energy(), again.Start, r.Energy(), r.Start)
		}
		m := d.post("/v1/measure", fmt.Sprintf(`{"run":"m","benchmark":%s,"clock_offset_s":%v,"clock_offset_bound_s":0.001}`, benchmark, offset)).result()
		if m.Energy() != r.Energy() || m.Start != r.Start {
			t.Errorf("measure: %v J from %v, was %v J from %v", m.Energy(), m.Start, r.Energy(), r.Start)
		}
	})
}

func TestClockOffsetUncertain(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		for bound, want := range map[float64][]window.Reason{0.09: {}, 0.11: {window.ClockOffsetUncertain}} {
			now := d.samples.Now().Unix()
			r := d.post("/v1/measure", fmt.Sprintf("run=r&start_unix=%f&end_unix=%f&clock_offset_s=0&clock_offset_bound_s=%v", now-8, now-2, bound)).result()
			if !slices.Equal(r.AllReasons(), want) {
				t.Errorf("bound %v s: reasons %v, want %v", bound, r.AllReasons(), want)
			}
		}
	})
}

func TestClockOffsetRefused(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		for _, body := range []string{
			"clock_offset_s=1", "clock_offset_bound_s=1", "clock_offset_s=1&clock_offset_bound_s=-1", "clock_offset_s=1e12&clock_offset_bound_s=1",
			"clock_offset_s=NaN&clock_offset_bound_s=1", "clock_offset_s=x&clock_offset_bound_s=1", "clock_offset_s=1e999&clock_offset_bound_s=1",
		} {
			d.post("/v1/mark-start", body).problem(400, "malformed")
		}
		d.post("/v1/mark-start", `{"clock_offset_s":null,"clock_offset_bound_s":null}`).window()
	})
}

// A client on another node calls a host by its short name, whether its own name for itself is that or the long one.
func TestOwnNames(t *testing.T) {
	for host, want := range map[string][]string{"gpu07": {"gpu07", "gpu07"}, "gpu07.cluster.example": {"gpu07.cluster.example", "gpu07"}} {
		if got := ownNames(host); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", host, got, want)
		}
		s := &Server{hosts: ownNames(host)}
		if !s.hostAllowed("GPU07:9844") || s.hostAllowed("gpu07.evil.example") || s.hostAllowed("evil.example") {
			t.Errorf("%s: answers to %v", host, s.hosts)
		}
	}
}

// A benchmark that ended after the marks, told in the caller's clock, is measured from readings after them.
func TestClockOffsetOfLaterBenchmark(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		const offset = 1.0
		theirs := func() float64 { return d.samples.Now().Unix() - offset }
		from := theirs()
		d.post("/v1/mark-start", fmt.Sprintf("run=r&at_unix=%.6f&clock_offset_s=%v&clock_offset_bound_s=0.001", from, offset)).window()
		time.Sleep(5 * time.Second)
		d.post("/v1/mark-end", fmt.Sprintf("run=r&at_unix=%.6f", theirs())).result()
		time.Sleep(5 * time.Second)
		r := d.post("/v1/mark-end", fmt.Sprintf(
			`{"run":"r","benchmark":{"benchmark_start_time_unix":%.6f,"benchmark_end_time_unix":%.6f,"duration":3.5,"completed":1,"total_input_tokens":2,"total_output_tokens":3}}`,
			from+2, from+5.5)).result()
		d.wantTrue(r)
		if math.Abs(r.EndUnix()-from-5.5) > 1e-5 || r.GPUs[0].Samples < 3 {
			t.Errorf("measured to %.6f with %d samples, want to %.6f", r.EndUnix(), r.GPUs[0].Samples, from+5.5)
		}
	})
}
