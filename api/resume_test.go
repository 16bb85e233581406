package api

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/sampler"
	"wattmark/window"
)

// lives runs a daemon of the first boot for half a minute with the windows r and done, and then one of the second, in the
// same folder.
func lives(t *testing.T, first, second string, between func(dir string), test func(one, two *daemon, id string, done []byte)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		dir, clock := t.TempDir(), sampler.NewClock()
		one := startDaemon(t, options{spec: "2xH200,load=sine", boot: first, dir: dir, clock: clock})
		time.Sleep(10500 * time.Millisecond)
		id := one.post("/v1/mark-start", "run=r&expected_num_gpus=2&role=decode").window().ID
		one.post("/v1/mark-start", "run=done").window()
		time.Sleep(9500 * time.Millisecond)
		done := one.post("/v1/mark-end", "run=done").want(200).text
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if err := one.store.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if between != nil {
			between(dir)
		}
		time.Sleep(5 * time.Second)
		two := startDaemon(t, options{spec: "2xH200,load=sine", boot: second, dir: dir, clock: clock})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		test(one, two, id, done)
		if err := two.store.Close(two.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The boot is over in which a window was open: it ends where its readings do, as interrupted.
func TestWindowOfAnotherBoot(t *testing.T) {
	lives(t, "boot 1", "boot 2", nil, func(one, two *daemon, id string, done []byte) {
		if n := two.server.OpenWindows(); n != 0 {
			t.Errorf("%d windows are open", n)
		}
		answered := two.post("/v1/mark-end", "id="+id)
		r := answered.result()
		if fmt.Sprint(r.AllReasons()) != "[window_interrupted]" || r.GPUs[0].Role != "decode" || *r.Expected != 2 {
			t.Errorf("reasons %v, role %q", r.AllReasons(), r.GPUs[0].Role)
		}
		if took := r.Duration(); took < 18*time.Second || took > 20*time.Second {
			t.Errorf("%v, want up to the last reading, 19.5 s", took)
		}
		if off := math.Abs(r.Energy().Or(0) - one.truth(r)); off > r.Bound().Or(0) {
			t.Errorf("off by %v J, bound %v", off, r.Bound())
		}
		if again := two.post("/v1/mark-end", "run=r"); !bytes.Equal(again.text, answered.text) {
			t.Error("asked again it answers something else")
		}
		if again := two.post("/v1/mark-end", "run=done"); !bytes.Equal(again.text, done) {
			t.Error("a window that had ended answers something else")
		}
		two.post("/v1/mark-start", "run=r").window() // the name is free
		time.Sleep(5 * time.Second)
		if r := two.post("/v1/mark-end", "run=r").result(); !r.Valid() || len(r.Interruptions) != 0 {
			t.Errorf("the next of that name: reasons %v, interruptions %v", r.AllReasons(), r.Interruptions)
		}
	})
}

// The daemon was killed when a window's file said that it had ended, and the marks not yet: the file counts.
func TestEndedByItsFile(t *testing.T) {
	var marks []byte
	keep := func(dir string) {
		var err error
		if marks, err = os.ReadFile(filepath.Join(dir, "wattmark_marks.json")); err != nil {
			t.Fatal(err)
		}
	}
	lives(t, "boot", "boot", keep, func(_, two *daemon, id string, _ []byte) {
		first := two.post("/v1/mark-end", "id="+id).want(200).text
		synctest.Wait()
		if err := two.store.Close(two.Context()); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(two.dir, "wattmark_marks.json"), marks, 0o644); err != nil {
			t.Fatal(err)
		}
		three := startDaemon(two.T, options{spec: "2xH200,load=sine", boot: "boot", dir: two.dir, clock: sampler.NewClock()})
		time.Sleep(time.Second)
		if n := three.server.OpenWindows(); n != 0 {
			t.Errorf("%d windows are open", n)
		}
		if again := three.post("/v1/mark-end", "id="+id); !bytes.Equal(again.text, first) {
			t.Errorf("it answers something else: %d", again.status)
		}
		*two = *three // whose store is closed at the end
	})
}

// The window goes on in the same boot, with its id; its result says for how long no daemon ran.
func TestWindowGoesOn(t *testing.T) {
	lives(t, "boot", "boot", nil, func(_, two *daemon, id string, _ []byte) {
		if n := two.server.OpenWindows(); n != 1 {
			t.Fatalf("%d windows are open", n)
		}
		r := two.post("/v1/mark-end", "id="+id).result()
		if len(r.Interruptions) != 1 || math.Abs(r.Interruptions[0].GapS-5) > 1 {
			t.Errorf("interruptions %+v, want one of 5 to 6 s", r.Interruptions)
		}
		// Each life has simulated GPUs of its own, whose counters begin anew.
		for _, gpu := range r.GPUs {
			if fmt.Sprint(gpu.Reasons) != fmt.Sprintf("[%s]", window.GapExceeded) || gpu.Role != "decode" {
				t.Errorf("GPU %d: reasons %v, role %q", gpu.Index, gpu.Reasons, gpu.Role)
			}
		}
		energy := two.get(fmt.Sprintf("/v1/energy?start=%f&end=%f", r.Start.Unix()+1, r.Start.Unix()+8)).result()
		if !energy.Valid() || len(energy.Interruptions) != 0 {
			t.Errorf("a span of the first life: reasons %v, interruptions %v", energy.AllReasons(), energy.Interruptions)
		}
	})
}
