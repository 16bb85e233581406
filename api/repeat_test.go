package api

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// A benchmark's result without stamps, as vLLM's own client writes it: the marks set the window.
const counts = `{"completed": 100, "total_input_tokens": 51200, "total_output_tokens": 12800, "duration": 12.5}`

// An aggregate as Python writes it.
const aggregate = "{\n  \"hw\": \"h200\",\n  \"tput_per_gpu\": 1234.5,\n  \"bad\": NaN,\n  \"id\": 12345678901234567890\n}"

// stamp is what changes when a file is written: its inode and its time.
func (d *daemon) stamp(name string) string {
	d.Helper()
	info, err := os.Stat(filepath.Join(d.dir, name))
	if err != nil {
		d.Fatal(err)
	}
	return fmt.Sprint(info.Sys().(*syscall.Stat_t).Ino, info.ModTime(), info.Size())
}

// Mark-end repeated: the same bytes, and no file is touched.
func TestMarkEndRepeated(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		d.write("r.json", counts)
		d.write("agg_r.json", aggregate)
		id := d.post("/v1/mark-start", "run=r").window().ID
		time.Sleep(12500 * time.Millisecond)
		const request = `{"run":"r","benchmark_result":"r.json","agg_result":"agg_r.json"}`
		first := d.post("/v1/mark-end", request)
		r := first.result()
		d.wantTrue(r)
		if r.Aggregate != (window.Aggregate{Path: "agg_r.json", Status: "patched"}) {
			t.Fatalf("aggregate %+v", r.Aggregate)
		}
		names := []string{"agg_r.json", "power_window_r.json", "power_validation_r.json"}
		before := map[string]string{}
		for _, name := range names {
			before[name] = d.stamp(name)
		}
		time.Sleep(time.Minute)
		for _, again := range []string{
			request, "run=r", "id=" + id, "run=r&agg_result=agg_r.json", "run=r&benchmark_result=r.json&id=" + id,
			fmt.Sprintf("run=r&at_unix=%f", d.samples.Now().Unix()),
		} {
			if got := d.post("/v1/mark-end", again); !bytes.Equal(got.text, first.text) || got.status != 200 {
				t.Errorf("%s: status %d\n%s\nwant\n%s", again, got.status, got.text, first.text)
			}
		}
		if got := d.get("/v1/windows/r"); !bytes.Equal(got.text, first.text) {
			t.Errorf("GET: %s, want the same", got.text)
		}
		for _, name := range names {
			if after := d.stamp(name); after != before[name] {
				t.Errorf("%s: written again: %s, was %s", name, after, before[name])
			}
		}
	})
}

// What a repeated mark-end brings is added; the energy stays what it was.
func TestMarkEndAddsLater(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		d.write("agg_r.json", aggregate)
		d.post("/v1/mark-start", "run=r").window()
		time.Sleep(12400 * time.Millisecond) // a tenth of a second before a reading of the schedule
		first := d.post("/v1/mark-end", "run=r").result()
		if first.Work != nil || first.PerOutputToken().OK() || first.Aggregate.Status != "none" || !first.Valid() {
			t.Fatalf("without benchmark data: work %+v, aggregate %+v, reasons %v", first.Work, first.Aggregate, first.AllReasons())
		}
		time.Sleep(7 * time.Second)
		second := d.post("/v1/mark-end", "run=r&completed=100&total_input_tokens=51200&total_output_tokens=12800").result()
		if second.Energy() != first.Energy() || second.Bound() != first.Bound() {
			t.Errorf("%v ± %v J, was %v ± %v", second.Energy(), second.Bound(), first.Energy(), first.Bound())
		}
		if got, want := second.PerQuery().Or(0), first.Energy().Or(0)/100; got != want {
			t.Errorf("%g J per query, want %g", got, want)
		}
		third := d.post("/v1/mark-end", "run=r&agg_result=agg_r.json").result() // with the counts of before
		if third.Aggregate.Status != "patched" || third.PerQuery() != second.PerQuery() || d.json2("agg_r.json")["power_valid"] != 1.0 {
			t.Errorf("aggregate %+v, %v J per query: %s", third.Aggregate, third.PerQuery(), d.read("agg_r.json"))
		}
		fourth := d.post("/v1/mark-end", `{"run":"r","expected_num_gpus":4}`).result()
		if fourth.Valid() || fourth.Energy() != first.Energy() || d.json2("agg_r.json")["power_valid"] != 0.0 {
			t.Errorf("with another GPU count expected: reasons %v: %s", fourth.AllReasons(), d.read("agg_r.json"))
		}
	})
}

// json2 is json for an aggregate, whose NaN is not JSON.
func (d *daemon) json2(name string) map[string]any {
	d.Helper()
	plain := bytes.Replace(d.read(name), []byte("NaN"), []byte("null"), 1)
	d.write("plain.json", string(plain))
	return d.json("plain.json")
}

// What was missing the first time and is there now is taken by a repeated mark-end that names it.
func TestMarkEndFinishesLater(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		d.post("/v1/mark-start", "run=r").window()
		time.Sleep(5 * time.Second)
		const request = `{"run":"r","benchmark_result":"r.json","agg_result":"agg_r.json"}`
		first := d.post("/v1/mark-end", request)
		if r := first.result(); r.Aggregate.Status != "pending" || r.Valid() {
			t.Fatalf("nothing is there: aggregate %+v, reasons %v", r.Aggregate, r.AllReasons())
		}
		time.Sleep(time.Second)
		if again := d.post("/v1/mark-end", request); !bytes.Equal(again.text, first.text) {
			t.Errorf("nothing is there yet: %s\nwant the same as\n%s", again.text, first.text)
		}
		d.write("r.json", counts)
		if r := d.post("/v1/mark-end", request).result(); r.Aggregate.Status != "pending" || !r.Valid() {
			t.Errorf("the result is there: aggregate %+v, reasons %v", r.Aggregate, r.AllReasons())
		}
		d.write("agg_r.json", aggregate)
		if r := d.post("/v1/mark-end", request).result(); r.Aggregate.Status != "patched" {
			t.Errorf("the aggregate is there: %+v", r.Aggregate)
		}
	})
}

// Memory has moved on: the window's own file has the readings.
func TestMarkEndRepeatedAfterExpiry(t *testing.T) {
	inBubble(t, options{retention: 30 * time.Second}, func(d *daemon) {
		d.post("/v1/mark-start", "run=r").window()
		time.Sleep(10 * time.Second)
		first := d.post("/v1/mark-end", "run=r").result()
		time.Sleep(5 * time.Minute)
		second := d.post("/v1/mark-end", `{"run":"r","benchmark":`+counts+`}`).result()
		d.wantTrue(second)
		if second.Energy() != first.Energy() || !second.PerInputToken().OK() {
			t.Errorf("%v J, was %v; %v J per input token", second.Energy(), first.Energy(), second.PerInputToken())
		}
	})
}

// Sixteen mark-ends of one window at once: one measures and patches, all answer the same.
func TestMarkEndHammer(t *testing.T) {
	for range 4 {
		inBubble(t, options{}, func(d *daemon) {
			d.write("r.json", counts)
			d.write("agg_r.json", aggregate)
			d.post("/v1/mark-start", "run=r").window()
			time.Sleep(12500 * time.Millisecond)
			var wg sync.WaitGroup
			texts := make([][]byte, 16)
			inode := make([]string, 16)
			for i := range texts {
				wg.Go(func() {
					got := d.post("/v1/mark-end", "run=r&benchmark_result=r.json&agg_result=agg_r.json")
					texts[i], inode[i] = got.text, d.stamp("agg_r.json")
				})
			}
			wg.Wait()
			synctest.Wait()
			for i := range texts {
				if !bytes.Equal(texts[i], texts[0]) || inode[i] != inode[0] {
					t.Errorf("answer %d: %s %s\nwant\n%s %s", i, inode[i], texts[i], inode[0], texts[0])
				}
			}
			if open := d.server.OpenWindows(); open != 0 {
				t.Errorf("%d windows are open", open)
			}
		})
	}
}

// The archive forgets the oldest windows, by number and by size, and never the newest.
func TestArchiveIsBounded(t *testing.T) {
	var a archive
	put := func(run string, size int) {
		a.put(&ended{mark: window.Mark{Run: run, ID: "id-" + run}, answer: make([]byte, size)})
	}
	for i := range maxEnded + 10 {
		put(fmt.Sprint("r", i), 100)
		put(fmt.Sprint("r", i), 101) // measured again: it replaces
	}
	if n := len(a.all()); n != maxEnded || len(a.byRun) != maxEnded || a.bytes != maxEnded*101 {
		t.Errorf("%d windows, %d runs, %d bytes", n, len(a.byRun), a.bytes)
	}
	if _, ok := a.find("r9"); ok {
		t.Error("the tenth window is still there")
	}
	if e, ok := a.find("id-r10"); !ok || e.mark.Run != "r10" {
		t.Error("the eleventh window is gone")
	}
	put("huge", 2*maxAnswers)
	if n := len(a.all()); n != 1 || a.bytes != 2*maxAnswers {
		t.Errorf("after one that fills the archive: %d windows, %d bytes", n, a.bytes)
	}
	unlock := a.lock("x")
	if _, ok := a.tryLock("x"); ok {
		t.Error("locked twice")
	}
	unlock()
	if free, ok := a.tryLock("x"); !ok {
		t.Error("not free")
	} else {
		free()
	}
	if len(a.locks) != 0 {
		t.Errorf("locks are left: %v", a.locks)
	}
}

// A window's file that cannot be read to its end when it was whole a moment ago is left as it is: nothing is measured from
// a part of it, and nothing written over it.
func TestFileThatBreaksWhileItIsRead(t *testing.T) {
	inBubble(t, options{}, func(d *daemon) {
		d.post("/v1/mark-start", "run=r").window()
		time.Sleep(3 * time.Second)
		d.post("/v1/mark-end", "run=r").result()
		e, ok := d.server.findEnded("r")
		if !ok {
			t.Fatal("the window is not there")
		}
		whole := d.read("power_window_r.json")
		d.write("power_window_r.json", string(whole)[:len(whole)*2/3])
		for range (fromFile{d.server, e}).Series(e.span.Start, e.span.End) {
			continue
		}
		if e.failed == nil {
			t.Error("nobody is told")
		}
		if err := d.server.writeWindowFile([]byte("{}"), e, func(func(sampler.Series) bool) {}); err == nil {
			t.Error("the window's file was written over")
		}
	})
}
