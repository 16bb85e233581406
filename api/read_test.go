package api

import (
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/window"
)

func TestReadings(t *testing.T) {
	inBubble(t, options{spec: "8xH200,load=sine,fault=nocounter@2"}, func(d *daemon) {
		now := d.samples.Now().Unix()
		query := fmt.Sprintf("start=%f&end=%f&gpus=1,2", now-5, now-1) // half-way between ticks: one more on either side
		var got struct {
			GPUs []struct {
				GPU      gpuRef
				Readings []reading
			}
		}
		d.get("/v1/readings?" + query).want(200).decode(&got)
		if len(got.GPUs) != 2 || got.GPUs[0].GPU.Index != 1 || len(got.GPUs[0].Readings) != 6 {
			t.Fatalf("got %+v, want 6 readings of each of 2 GPUs", got)
		}
		first := got.GPUs[0].Readings[0]
		if first.Unix != now-5.5 || !first.Power.OK() || !first.Energy.OK() || first.ThrottleBits != nil && *first.ThrottleBits != 0 {
			t.Errorf("first reading %+v, want one 5.5 s ago", first)
		}
		if got.GPUs[1].Readings[0].Energy.OK() {
			t.Error("GPU 2 has no counter, but a count")
		}
		// The same as CSV.
		text := d.get("/v1/readings?" + query + "&format=csv").want(200)
		if kind := text.header.Get("Content-Type"); kind != "text/csv; charset=utf-8" {
			t.Errorf("content type %q", kind)
		}
		rows, err := csv.NewReader(strings.NewReader(string(text.text))).ReadAll()
		if err != nil || len(rows) != 13 {
			t.Fatalf("%d rows, error %v", len(rows), err)
		}
		row := map[string]string{}
		for i, name := range rows[0] {
			row[name] = rows[1][i]
		}
		for name, want := range map[string]float64{
			"unix": first.Unix, "index": 1, "power_w": first.Power.Or(0), "instant_power_w": first.Instant.Or(0),
			"energy_counter_j": first.Energy.Or(0), "temperature_c": first.Temperature.Or(0), "clock_mhz": first.ClockMHz.Or(0),
			"memory_clock_mhz": first.MemClockMHz.Or(0), "utilization_ratio": first.Utilization.Or(0),
			"memory_utilization_ratio": first.MemUtil.Or(-1), "call_s": first.CallS,
		} {
			if x, err := strconv.ParseFloat(row[name], 64); err != nil || x != want {
				t.Errorf("%s is %q, want %v", name, row[name], want)
			}
		}
		if row["uuid"] != got.GPUs[0].GPU.UUID || row["bus_id"] != got.GPUs[0].GPU.BusID {
			t.Errorf("row %v", row)
		}
		if count := rows[7][slices.Index(rows[0], "energy_counter_j")]; count != "" {
			t.Errorf("the count of a GPU without counter is %q, want an empty cell", count)
		}
		// The last minute by default; a minute before the end where only that is given.
		for query, want := range map[string]int{
			"": 11, "?gpus=0": 11, fmt.Sprintf("?end=%f", now-5): 7, fmt.Sprintf("?start=%f", now-2): 3,
			"?format=json": 11, "?start=&end=&gpus=&format=": 11, "?start=1": 11,
		} {
			d.get("/v1/readings" + query).want(200).decode(&got)
			if n := len(got.GPUs[0].Readings); n != want {
				t.Errorf("%q: %d readings, want %d", query, n, want)
			}
		}
		d.get("/v1/readings?format=xml").problem(400, "malformed")
		d.get("/v1/readings?start=9&end=8").problem(400, "invalid_span")
		d.get("/v1/readings?gpus=8").problem(400, "unknown_gpu")
		d.get("/v1/readings?since=8").problem(400, "malformed")
	})
}

func TestWindows(t *testing.T) {
	dir := t.TempDir()
	var ended reply
	inBubble(t, options{dir: dir}, func(d *daemon) {
		s := d.post("/v1/mark-start", "run=a&gpus=0,1").window()
		opened := d.get("/v1/windows/a").want(200)
		if want := fmt.Sprintf(`"id":%q,"run":"a","state":"open","start_unix":946684810.5,"end_unix":null,"power_valid":null,"gpus":2`, s.ID); !strings.Contains(string(opened.text), want) {
			t.Errorf("open: %s, want %s", opened.text, want)
		}
		time.Sleep(5 * time.Second)
		ended = d.post("/v1/mark-end", "run=a&expected_num_gpus=3")
		ended.result()
		d.post("/v1/mark-start", "run=b").window()
		for _, name := range []string{"a", s.ID} {
			if got := d.get("/v1/windows/" + name).want(200); string(got.text) != string(ended.text) {
				t.Errorf("ended, by %s: %s, want what mark-end gave", name, got.text)
			}
		}
		var list struct{ Windows []listed }
		d.get("/v1/windows").want(200).decode(&list)
		if len(list.Windows) != 2 || list.Windows[0].Run != "a" || list.Windows[0].State != "ended" || list.Windows[0].PowerValid != false ||
			list.Windows[1].Run != "b" || list.Windows[1].State != "open" || list.Windows[1].PowerValid != nil {
			t.Errorf("list: %+v", list)
		}
		for _, name := range []string{"nobody", "..%2fx", "%00", strings.Repeat("x", 5000), "power_window_a.json"} {
			if p := d.get("/v1/windows/"+name).problem(404, "unknown_run"); len(p.Detail) > 200 {
				t.Errorf("a detail of %d bytes", len(p.Detail))
			}
		}
	})
	inBubble(t, options{dir: dir}, func(d *daemon) { // after a restart
		if got := d.get("/v1/windows/a").want(200); string(got.text) != string(ended.text) {
			t.Errorf("from disk:\n%s\nwant\n%s", got.text, ended.text)
		}
		d.write("power_window_broken.json", "{")
		d.get("/v1/windows/broken").problem(404, "unknown_run")
	})
}

func TestGPUs(t *testing.T) {
	inBubble(t, options{spec: "3xH200,load=sine,fault=lost:5s@1,fault=drop:0s-20s@2"}, func(d *daemon) {
		var got struct {
			Backend Backend
			GPUs    []gpuState
		}
		d.get("/v1/gpus").want(200).decode(&got)
		if len(got.GPUs) != 3 || got.Backend.Name != "sim" {
			t.Fatalf("got %+v", got)
		}
		for i, want := range []struct{ latest, failing bool }{{true, false}, {true, true}, {false, true}} {
			gpu := got.GPUs[i]
			if (gpu.Latest != nil) != want.latest || (gpu.Error != nil) != want.failing || gpu.Index != i || gpu.Reads != 11 || (gpu.FailedReads > 0) != want.failing {
				t.Errorf("GPU %d: %+v, want latest %v, failing %v", i, gpu, want.latest, want.failing)
			}
		}
	})
}

func TestTime(t *testing.T) {
	inBubble(t, options{spec: "1xH200"}, func(d *daemon) {
		var got struct {
			UnixNS      int64  `json:"unix_ns"`
			MonotonicNS int64  `json:"monotonic_ns"`
			BootID      string `json:"boot_id"`
		}
		now := d.samples.Now()
		d.get("/v1/time").want(200).decode(&got)
		if got.UnixNS != now.UnixNano || got.MonotonicNS != now.MonoNano || len(got.BootID) != 36 {
			t.Errorf("got %+v, want %+v", got, now)
		}
	})
}

// Readiness, in the states that a daemon and its GPUs go through.
func TestReadyz(t *testing.T) {
	for _, c := range []struct {
		name, fault string
		wait        time.Duration
		want        string // part of the reason; "": ready
	}{
		{"fresh", "", 0, ""},
		{"long running", "", time.Hour, ""},
		{"never read", ",fault=hang:0s-60s@1", 0, "GPU 1 (node/GPU-5156d3a7-0000-0000-0000-000000000001): no reading yet"},
		{"hung from the start", ",fault=hang:0s-60s@1", 10 * time.Second, "a driver call has not returned for 10.0 s"},
		{"failing from the start", ",fault=drop:0s-60s@1", time.Second, "simulated: the driver did not answer"},
		{"a short gap", ",fault=drop:10s-12s@1", 11500 * time.Millisecond, ""},
		{"failing", ",fault=drop:10s-60s@1", 20 * time.Second, "simulated: the driver did not answer"},
		{"hung", ",fault=hang:10s-60s@1", 20 * time.Second, "a driver call has not returned for 10.0 s"},
		{"lost", ",fault=lost:10s@1", 20 * time.Second, "fallen off the bus"},
		{"recovered", ",fault=hang:10s-20s@1", 25 * time.Second, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := startDaemon(t, options{spec: "2xH200,load=sine" + c.fault})
				synctest.Wait()
				time.Sleep(c.wait)
				synctest.Wait()
				defer time.Sleep(time.Minute)
				var got Readiness
				if c.want == "" {
					d.get("/readyz").want(200).decode(&got)
				} else {
					d.get("/readyz").want(503).decode(&got)
				}
				if got.GPUs != 2 || got.Ready != (c.want == "") || !strings.Contains(strings.Join(got.Reasons, ";"), c.want) || len(got.Reasons) > 1 {
					t.Errorf("got %+v, want %q", got, c.want)
				}
				d.get("/healthz").want(200)
			})
		})
	}
}

// GET /v1/energy measures and leaves no trace.
func TestEnergyWritesNothing(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		before := d.contents(d.dir)
		now := d.samples.Now().Unix()
		r := d.get(fmt.Sprintf("/v1/energy?start=%f&end=%f&gpus=0", now-10.5, now)).result()
		d.wantTrue(r)
		if len(r.GPUs) != 1 || r.Run != "" || r.Aggregate.Status != "none" || math.Abs(r.Duration().Seconds()-10.5) > 1e-6 {
			t.Errorf("got %+v", r)
		}
		if slices.Contains(r.AllNotes(), window.EdgeInterpolated) {
			t.Error("the end is now, but it was not read")
		}
		var list struct{ Windows []listed }
		if d.get("/v1/windows").want(200).decode(&list); len(list.Windows) != 0 || d.contents(d.dir) != before {
			t.Errorf("left %+v", list)
		}
		// Up to a second ahead it waits.
		began := time.Now()
		d.wantTrue(d.get(fmt.Sprintf("/v1/energy?start=%f&end=%f", now-5, now+0.8)).result())
		if took := time.Since(began).Round(time.Millisecond); took != 800*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}
