package window_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"wattmark/sampler"
	"wattmark/window"
)

func mark(run string, second int64) window.Mark {
	return window.Mark{ID: "id-" + run, Run: run, Start: sampler.Moment{UnixNano: second * 1e9}}
}

func TestMarks(t *testing.T) {
	var marks window.Marks
	if _, err := marks.Find(""); !errors.Is(err, window.ErrUnknownRun) {
		t.Errorf("Find of none: %v, want ErrUnknownRun", err)
	}
	if err := marks.Open(mark("b", 2)); err != nil {
		t.Fatal(err)
	}
	if err := marks.Open(mark("b", 3)); !errors.Is(err, window.ErrOpen) {
		t.Errorf("Open of an open run: %v, want ErrOpen", err)
	}
	if got, err := marks.Find(""); err != nil || got.Run != "b" || got.Start.UnixNano != 2e9 {
		t.Errorf("Find of the only one = %v, %v; want run b as it was opened", got, err)
	}
	if err := marks.Open(mark("a", 2)); err != nil {
		t.Fatal(err)
	}
	if err := marks.Open(mark("c", 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := marks.Find(""); !errors.Is(err, window.ErrAmbiguous) {
		t.Errorf("Find without a name among three: %v, want ErrAmbiguous", err)
	}
	for _, name := range []string{"a", "id-a"} {
		if got, err := marks.Find(name); err != nil || got.Run != "a" {
			t.Errorf("Find(%q) = %v, %v; want run a", name, got, err)
		}
	}
	if _, err := marks.Find("d"); !errors.Is(err, window.ErrUnknownRun) {
		t.Errorf("Find of an unknown run: %v, want ErrUnknownRun", err)
	}
	var order []string
	for _, mark := range marks.All() {
		order = append(order, mark.Run)
	}
	if want := []string{"c", "a", "b"}; !slices.Equal(order, want) {
		t.Errorf("All = %v, want %v: oldest first, then by name", order, want)
	}

	found, _ := marks.Find("a")
	other := found
	other.ID = "another window of this run"
	if marks.Close(other) || marks.Close(mark("d", 1)) || marks.Close(window.Mark{Run: "d"}) || marks.Close(window.Mark{}) {
		t.Error("Close of a window that is not open = true, want false")
	}
	if !marks.Close(found) || marks.Close(found) {
		t.Error("Close = false and then true, want to close once")
	}
	if err := marks.Open(mark("a", 9)); err != nil {
		t.Errorf("Open of a closed run: %v", err)
	}
}

func TestARunWinsOverAnID(t *testing.T) {
	var marks window.Marks
	for _, m := range []window.Mark{{ID: "x", Run: "y"}, {ID: "y", Run: "z"}} {
		if err := marks.Open(m); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := marks.Find("y"); err != nil || got.ID != "x" {
		t.Errorf("Find = %v, %v; want the window whose run has that name", got, err)
	}
}

func TestAtMost256WindowsAreOpen(t *testing.T) {
	var marks window.Marks
	for i := range 256 {
		if err := marks.Open(mark(fmt.Sprint(i), 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := marks.Open(mark("one more", 0)); !errors.Is(err, window.ErrTooManyOpen) {
		t.Errorf("Open of the 257th: %v, want ErrTooManyOpen", err)
	}
	if err := marks.Open(mark("7", 0)); !errors.Is(err, window.ErrOpen) {
		t.Errorf("Open of an open run among 256: %v, want ErrOpen", err)
	}
	marks.Close(mark("7", 0))
	if err := marks.Open(mark("one more", 0)); err != nil {
		t.Errorf("Open after a Close: %v", err)
	}
}

func TestMarksFromManyClients(t *testing.T) {
	var marks window.Marks
	var opened, closed atomic.Int32
	var clients sync.WaitGroup
	for client := range 16 {
		clients.Go(func() {
			for i := range 200 {
				run := fmt.Sprint("run-", i%10)
				m := window.Mark{ID: fmt.Sprint(client, i), Run: run}
				if marks.Open(m) == nil {
					opened.Add(1)
				}
				if found, err := marks.Find(run); err == nil && marks.Close(found) {
					closed.Add(1)
				}
				marks.All()
			}
		})
	}
	clients.Wait()
	if left := len(marks.All()); opened.Load() != closed.Load()+int32(left) || opened.Load() == 0 {
		t.Errorf("opened %d, closed %d, left %d: want each closed once", opened.Load(), closed.Load(), left)
	}
}
