package state

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"wattmark/window"
)

func TestMarks(t *testing.T) {
	r := newRig(t)
	s := r.open()
	if open, _ := s.Open(); len(open) != 0 || len(s.Ended()) != 0 {
		t.Errorf("marks in an empty folder: %+v, %+v", open, s.Ended())
	}
	eight := 8
	open := []window.Mark{{ID: "a1", Run: "r1", Start: r.clock.Now(), GPUs: []string{"host/GPU-0"}, Expected: &eight, Role: "decode"}}
	ended := []Ended{{"b2", "r0"}}
	for range 50 {
		if err := s.Save(t.Context(), func() ([]window.Mark, []Ended) { return open, ended }); err != nil {
			t.Fatal(err)
		}
	}
	r.close(s)
	s = r.open()
	got, same := s.Open()
	if !reflect.DeepEqual(got, open) || !same || !reflect.DeepEqual(s.Ended(), ended) {
		t.Errorf("marks %+v of this boot %v, ended %+v", got, same, s.Ended())
	}
	r.close(s)
	s = r.open(func(c *Config) { c.Host = "pod-8" })
	if got, same := s.Open(); len(got) != 1 || !same || got[0].GPUs[0] != "pod-8/GPU-0" {
		t.Errorf("under another name of the host: %+v, %v", got, same)
	}
	r.close(s)
	s = r.open(func(c *Config) { c.Boot = "next" })
	if got, same := s.Open(); len(got) != 1 || same {
		t.Errorf("in another boot: %d marks, of this boot %v", len(got), same)
	}
	r.close(s)

	whole := r.text("wattmark_marks.json")
	for _, text := range []string{
		"", "{", whole[:len(whole)/2], "[]", `{"schema":2}`, strings.Repeat(" ", maxMarksFile+1) + whole,
		`{"schema":1,"open":[{"run":"r"}]}`, `{"schema":1,"open":[{"run":"r","id":"x","start":{"unix_ns":-1}}]}`,
	} {
		r.write("wattmark_marks.json", text)
		r.log.Reset()
		s := r.open()
		if open, _ := s.Open(); len(open) != 0 || !strings.Contains(r.log.String(), "marks not read") {
			t.Errorf("%.40q: %d marks, log %q", text, len(open), r.log.String())
		}
		r.close(s)
	}
}

func TestOfOther(t *testing.T) {
	r := newRig(t)
	s := r.open()
	kept := r.fill(s, gpus(2), 40)
	if err := s.Save(t.Context(), noMarks); err != nil {
		t.Fatal(err)
	}
	r.close(s)
	s = r.open(func(c *Config) { c.Boot = "next" })
	r.fill(s, gpus(1), 3)
	from := kept[60].Reading.At.Add(14*time.Second + 500*time.Millisecond) // 15 s are kept of the time before
	all := s.OfOther(from)
	if len(all) != 2 || !reflect.DeepEqual(all[0].Info, gpus(2)[0]) || len(all[0].Readings) != 15 {
		text, _ := json.Marshal(all)
		t.Errorf("%d series: %.300s", len(all), text)
	}
	r.close(s)
}
