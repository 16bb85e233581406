package api

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/sampler"
	"wattmark/state"
	"wattmark/window"
)

// boots are daemons of several boots in one folder, within one bubble.
type boots struct {
	*testing.T
	dir  string
	last *daemon
}

// next starts a daemon of another boot, whose monotonic clock begins anew; the one before dies as in a power failure.
func (b *boots) next(o options) *daemon {
	b.Helper()
	b.die()
	o.dir = b.dir
	b.last = startDaemon(b.T, o)
	return b.last
}

func (b *boots) die() {
	b.Helper()
	if b.last == nil {
		return
	}
	synctest.Wait()
	if err := b.last.store.Close(b.last.Context()); err != nil {
		b.Error(err)
	}
	b.last = nil
}

// inBoots tests in fake time.
func inBoots(t *testing.T, test func(b *boots)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(time.Second) }) // driver calls return: a bubble ends when all in it has
		b := &boots{T: t, dir: t.TempDir()}
		defer b.die()
		test(b)
	})
}

// right checks the energy of a window of a daemon that is no more.
func (d *daemon) right(r window.Result) {
	d.Helper()
	joules, ok := r.Energy().Known()
	if truth := d.truth(r); !ok || math.Abs(joules-truth) > r.Bound().Or(0) {
		d.Errorf("%v ± %v J, want %.3f", r.Energy(), r.Bound(), truth)
	}
}

const counterless = "2xH200,load=sine,period=40s,fault=nocounter,fault=call:20ms@1"

// withTwoWindows starts a daemon with two windows open for 45 and 5 minutes.
func (b *boots) withTwoWindows() *daemon {
	b.Helper()
	one := b.next(options{spec: counterless, boot: "1", retention: 4 * time.Hour})
	time.Sleep(10500 * time.Millisecond)
	one.post("/v1/mark-start", "run=long").window()
	time.Sleep(40 * time.Minute)
	one.post("/v1/mark-start", "run=short").window()
	time.Sleep(5 * time.Minute)
	return one
}

// After a reboot GPUs may wake up after the daemon has begun. What it keeps of the windows of the boot before is what the
// memory limit has room for, and neither the few readings of a machine without GPUs nor half of the room.
func TestWindowsOfAnotherBootUnderAMemoryLimit(t *testing.T) {
	inBoots(t, func(b *boots) {
		one := b.withTwoWindows()
		// Two GPUs at 10 Hz: 54 000 readings. At 72 bytes each, and 250 of one GPU in hand, they need 11 MB.
		two := b.next(options{spec: "none", boot: "2", memory: 13e6})
		for run, seconds := range map[string]float64{"long": 2700, "short": 300} {
			r := two.post("/v1/mark-end", "run="+run).result()
			if fmt.Sprint(r.AllReasons()) != "[window_interrupted]" || len(r.GPUs) != 2 {
				t.Fatalf("%s: reasons %v", run, r.AllReasons())
			}
			one.right(r)
			for _, gpu := range r.GPUs {
				if float64(gpu.Samples) < 9.5*seconds || gpu.MaxGapS.Or(9) > 0.15 {
					t.Errorf("%s, GPU %d: %d readings, %v s apart at most", run, gpu.Index, gpu.Samples, gpu.MaxGapS)
				}
			}
			if r.Backend != "sim" || r.Versions.Driver != "simulated" {
				t.Errorf("%s: measured by %q with driver %q", run, r.Backend, r.Versions.Driver)
			}
		}
		two.post("/v1/mark-start", "run=next").problem(503, "no_gpu")
	})
}

// Less memory than that: the short window keeps all of its readings, the long one has its energy within its bound.
func TestWindowsOfAnotherBootThatDoNotFit(t *testing.T) {
	inBoots(t, func(b *boots) {
		one := b.withTwoWindows()
		two := b.next(options{spec: "none", boot: "2", memory: 4e6})
		long := two.post("/v1/mark-end", "run=long").result()
		one.right(long)
		if n := long.GPUs[0].Samples; n < 3000 || n > 10_000 {
			t.Errorf("%d readings of the long window, of which 4 MB hold some 7500", n)
		}
		short := two.post("/v1/mark-end", "run=short").result()
		one.right(short)
		if n := short.GPUs[0].Samples; n < 2900 {
			t.Errorf("%d readings of the short window, want all 3000", n)
		}
	})
}

// GPUs are not read at the same nanosecond, and a power failure leaves some of a tick: the window ends where all were read.
func TestEndOfAWindowOfAnotherBoot(t *testing.T) {
	for name, lost := range map[string]int{"whole": 0, "the last tick torn": 1} {
		inBoots(t, func(b *boots) {
			one := b.next(options{spec: "4xH200,load=sine,fault=call:8ms@1,fault=call:30ms@2,fault=lost:20s@3", boot: "1"})
			time.Sleep(10500 * time.Millisecond)
			one.post("/v1/mark-start", "run=r").window()
			time.Sleep(30 * time.Second)
			b.die()
			text := strings.SplitAfter(string(one.read("wattmark_readings.csv")), "\n")
			one.write("wattmark_readings.csv", strings.Join(text[:len(text)-1-lost], ""))
			r := b.next(options{spec: "3xH200", boot: "2"}).post("/v1/mark-end", "run=r").result()
			if took := r.Duration(); took < 28*time.Second || took > 30*time.Second {
				t.Errorf("%s: %v", name, took)
			}
			for i, gpu := range r.GPUs {
				want := "[]"
				if i == 3 { // it fell off the bus long before
					want = "[benchmark_window_not_bracketed]"
				}
				if fmt.Sprint(gpu.Reasons) != want {
					t.Errorf("%s: GPU %d: reasons %v, want %s", name, i, gpu.Reasons, want)
				} else if i < 3 {
					truth := one.gpus[i].TrueJoules(r.Start.Wall(), r.End.Wall())
					if off := math.Abs(gpu.Energy.Or(0) - truth); off > gpu.Bound.Or(0) || gpu.Bound.Or(1e9) > 0.01*truth {
						t.Errorf("%s: GPU %d: %v ± %v J, want %.3f", name, i, gpu.Energy, gpu.Bound, truth)
					}
				}
			}
		})
	}
}

// The benchmark's data comes after the reboot: windows are measured from their files, for memory is of another boot, and
// the one that the boot's end cut off stays interrupted, unless the benchmark's own window had ended before.
func TestBenchmarkDataAfterAReboot(t *testing.T) {
	inBoots(t, func(b *boots) {
		one := b.next(options{spec: "2xH200,load=sine", boot: "1"})
		time.Sleep(10500 * time.Millisecond)
		one.post("/v1/mark-start", "run=ended").window()
		one.post("/v1/mark-start", "run=cut").window()
		one.post("/v1/mark-start", "run=inside").window()
		began := time.Now()
		time.Sleep(10 * time.Second)
		ended := one.post("/v1/mark-end", "run=ended").result()
		time.Sleep(10 * time.Second)
		two := b.next(options{spec: "2xH200,load=constant", boot: "2"})
		time.Sleep(20 * time.Second)
		const counts = "&completed=1&total_input_tokens=2&total_output_tokens=3"
		again := two.post("/v1/mark-end", "run=ended"+counts).result()
		if !again.Valid() || again.Energy() != ended.Energy() || len(again.Interruptions) > 0 {
			t.Errorf("ended: reasons %v, %v J, interruptions %v; it was %v J", again.AllReasons(), again.Energy(), again.Interruptions, ended.Energy())
		}
		for range 2 {
			cut := two.post("/v1/mark-end", "run=cut"+counts).result()
			if fmt.Sprint(cut.AllReasons()) != "[window_interrupted]" {
				t.Errorf("cut: reasons %v", cut.AllReasons())
			}
			one.right(cut)
		}
		two.write("inside.json", fmt.Sprintf(`{"benchmark_start_time_unix": %d.5, "benchmark_end_time_unix": %d.5, "duration": 10, "completed": 1,
			"total_input_tokens": 2, "total_output_tokens": 3}`, began.Unix()+3, began.Unix()+13))
		inside := two.post("/v1/mark-end", "run=inside&benchmark_result=inside.json").result()
		if !inside.Valid() || inside.Duration() != 10*time.Second {
			t.Errorf("inside: reasons %v, %v", inside.AllReasons(), inside.Duration())
		}
		one.right(inside)

		text := two.read("power_window_cut.json")
		three := b.next(options{spec: "2xH200,load=constant", boot: "3"})
		two.write("power_window_cut.json", string(text[:len(text)/2])) // its head is whole
		if answered := three.post("/v1/mark-end", "run=cut&completed=4&total_input_tokens=5&total_output_tokens=6"); answered.status == 200 {
			t.Errorf("its file is torn, and the answer is %.300s", answered.text)
		}
		if !bytes.Equal(three.read("power_window_cut.json"), text[:len(text)/2]) {
			t.Error("what was left of the file is no more")
		}
	})
}

// A restart within the boot that is over is said of its windows, and one of this boot is not, though its monotonic times
// are alike.
func TestRestartsOfAnotherBoot(t *testing.T) {
	inBoots(t, func(b *boots) {
		clock := sampler.NewClock()
		one := b.next(options{spec: "2xH200,load=sine,fault=nocounter", boot: "1", clock: clock})
		time.Sleep(10500 * time.Millisecond)
		one.post("/v1/mark-start", "run=r").window()
		time.Sleep(10 * time.Second)
		one.server.Interrupt() // its file ends here, and the window does not
		b.die()
		time.Sleep(2 * time.Second)
		b.next(options{spec: "2xH200,load=sine,fault=nocounter", boot: "1", clock: clock})
		time.Sleep(10 * time.Second)
		r := b.next(options{spec: "2xH200", boot: "2"}).post("/v1/mark-end", "run=r").result()
		if took := r.Duration(); took < 20*time.Second || took > 23*time.Second {
			t.Errorf("it took %v", took)
		}
		if len(r.Interruptions) != 1 || math.Abs(r.Interruptions[0].GapS-2) > 1.1 || !strings.Contains(fmt.Sprint(r.Notes), "daemon_restarted") {
			t.Errorf("interruptions %+v, notes %v", r.Interruptions, r.Notes)
		}
	})
}

// A window of which nothing was recorded has ended, too: it has an answer, and no energy.
func TestWindowOfAnotherBootWithoutReadings(t *testing.T) {
	inBoots(t, func(b *boots) {
		one := b.next(options{spec: "2xH200,load=sine", boot: "1"})
		time.Sleep(10500 * time.Millisecond)
		id := one.post("/v1/mark-start", "run=r&expected_num_gpus=2").window().ID
		b.die()
		if err := os.Remove(filepath.Join(b.dir, "wattmark_readings.csv")); err != nil {
			t.Fatal(err)
		}
		r := b.next(options{spec: "2xH200", boot: "2"}).post("/v1/mark-end", "id="+id).result()
		if r.Valid() || r.Energy().OK() || !strings.Contains(fmt.Sprint(r.AllReasons()), "window_interrupted") ||
			!strings.Contains(fmt.Sprint(r.AllReasons()), "no_usable_power_samples") {
			t.Errorf("reasons %v, %v J", r.AllReasons(), r.Energy())
		}
	})
}

// A daemon that is told to stop while it writes the windows of another boot stops; the next one goes on with the rest.
func TestStoppedWhileWritingWindowsOfAnotherBoot(t *testing.T) {
	inBoots(t, func(b *boots) {
		one := b.next(options{spec: "2xH200,load=sine", boot: "1"})
		time.Sleep(10500 * time.Millisecond)
		for i := range 3 {
			one.post("/v1/mark-start", fmt.Sprintf("run=r%d", i)).window()
		}
		time.Sleep(10 * time.Second)
		b.die()
		two := startDaemon(b.T, options{spec: "2xH200", dir: b.dir})
		config := two.server.config
		store, err := state.Open(state.Config{Dir: b.dir, Boot: "2", Host: "node", Clock: sampler.NewClock()})
		if err != nil {
			b.Fatal(err)
		}
		config.State = store
		var stopping *Server
		config.Ended = func(string, window.Result, bool) { stopping.Interrupt() }
		stopping = New(config)
		stopping.Resume()
		if err := store.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(b.dir, "power_window_r*.json"))
		if err != nil || len(files) != 1 {
			b.Errorf("it wrote %q, want the first", files)
		}
		three := b.next(options{spec: "2xH200", boot: "2"})
		for i := range 3 {
			r := three.post("/v1/mark-end", fmt.Sprintf("run=r%d", i)).result()
			if fmt.Sprint(r.AllReasons()) != "[window_interrupted]" {
				b.Errorf("r%d: reasons %v", i, r.AllReasons())
			}
			one.right(r)
		}
	})
}
