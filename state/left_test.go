package state

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"wattmark/sampler"
)

func TestOfOther(t *testing.T) {
	r := newRig(t)
	s := r.open()
	kept := r.fill(s, gpus(3), 40)
	if err := s.Save(t.Context(), noMarks); err != nil {
		t.Fatal(err)
	}
	r.close(s)
	s = r.open(func(c *Config) { c.Boot = "next" })
	r.fill(s, gpus(1), 3)
	ids := []string{"host/GPU-0", "host/GPU-2", "host/not-there"}
	for _, wall := range []bool{false, true} {
		from := kept[90].Reading.At.Add(14*time.Second + 550*time.Millisecond) // 15 s are kept of the time before, and one reading
		if wall {                                                              // a client's stamp
			from.MonoNano = 0
		}
		left := s.OfOther([]sampler.Moment{from.Add(time.Second), from}, ids, 0)
		if len(left.Series) != 2 || !reflect.DeepEqual(left.Series[1].Info, gpus(3)[2]) || len(left.Series[0].Readings) != 15 || len(left.Restarts) > 0 {
			text, _ := json.Marshal(left)
			t.Errorf("wall clock %v: %d series: %.300s", wall, len(left.Series), text)
		}
	}
	r.close(s)
}

// Within the boot the container was made anew, and its host had another name: the readings of both are those of the marks'
// GPUs, and in between there was no daemon.
func TestOfOtherAfterTheHostWasRenamed(t *testing.T) {
	r := newRig(t)
	s := r.open(func(c *Config) { c.Host = "pod-1" })
	first := gpus(1)
	first[0].Host = "pod-1"
	kept := r.fill(s, first, 20)
	r.close(s)
	s = r.open()
	restarted := s.self.At
	r.fill(s, gpus(1), 10)
	if err := s.Save(t.Context(), noMarks); err != nil {
		t.Fatal(err)
	}
	r.close(s)
	s = r.open(func(c *Config) { c.Boot, c.Host = "next", "pod-3" })
	left := s.OfOther([]sampler.Moment{kept[0].Reading.At}, []string{"host/GPU-0"}, 0)
	if len(left.Series) != 1 || len(left.Series[0].Readings) != 30 || left.Series[0].Info.ID() != "host/GPU-0" {
		text, _ := json.Marshal(left.Series)
		t.Errorf("%d series: %.300s", len(left.Series), text)
	}
	if want := []Restart{{kept[len(kept)-1].Reading.At, restarted}}; !reflect.DeepEqual(left.Restarts, want) {
		t.Errorf("restarts %+v, want %+v", left.Restarts, want)
	}
	r.close(s)
}
