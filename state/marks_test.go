package state

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"wattmark/sampler"
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

// What is remembered of earlier marks reads as if all were put into words anew, whatever comes and goes.
func TestMarksText(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	var text marksText
	config := Config{Boot: "boot", Host: `a "host"`}
	open, ended := []window.Mark{}, []Ended{}
	for i := range 300 {
		id := fmt.Sprint("id", i)
		switch gone := random.IntN(3); {
		case gone == 0 && len(open) > 0:
			k := random.IntN(len(open))
			ended = append(ended, Ended{open[k].ID, open[k].Run})
			open = slices.Delete(open, k, k+1)
		case gone == 1 && len(ended) > 20:
			ended = slices.Delete(ended, 0, 15)
		default:
			open = append(open, window.Mark{ID: id, Run: "run <" + id + ">", Start: sampler.Moment{UnixNano: int64(i)}, GPUs: []string{"h/" + id}})
		}
		got, err := text.of(config, open, ended)
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(marksFile{Schema: marksSchema, Boot: config.Boot, Host: config.Host, Open: open, Ended: ended})
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want)+"\n" {
			t.Fatalf("after %d marks:\n%s\nwant\n%s", i, got, want)
		}
	}
	if len(text.open) > len(open) || len(text.ended) > len(ended) {
		t.Errorf("%d and %d remembered, %d and %d are left", len(text.open), len(text.ended), len(open), len(ended))
	}
}

// What may wait is written after a while, with what is saved before, and when the store is closed.
func TestSaveSoon(t *testing.T) {
	r := newRig(t)
	ended := func(id string) func() ([]window.Mark, []Ended) {
		return func() ([]window.Mark, []Ended) { return nil, []Ended{{id, "run"}} }
	}
	s := r.open()
	if err := s.Save(t.Context(), ended("0")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.SaveSoon(ended("a"))
	s.SaveSoon(ended("b"))
	for ; !strings.Contains(r.text("wattmark_marks.json"), `"b"`); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("not written by itself")
		}
	}
	if time.Since(began) < soon {
		t.Error("it does not wait for others")
	}
	s.SaveSoon(ended("c"))
	if err := s.Save(t.Context(), ended("d")); err != nil || !strings.Contains(r.text("wattmark_marks.json"), `"d"`) {
		t.Errorf("%v, marks %s", err, r.text("wattmark_marks.json"))
	}
	s.SaveSoon(ended("e"))
	r.close(s)
	if !strings.Contains(r.text("wattmark_marks.json"), `"e"`) {
		t.Errorf("closed, and the marks are %s", r.text("wattmark_marks.json"))
	}
}
