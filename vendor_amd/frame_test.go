package amd

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestFrames(t *testing.T) {
	frames := []frame{
		{kind: kindOpen, call: 1, payload: []byte(`{"libraries":["a"]}`)},
		{kind: kindRead, call: 1<<32 - 1, payload: bytes.Repeat([]byte{7}, 9000)},
		{kind: kindClose, call: 0, payload: []byte{}},
	}
	var stream []byte
	for _, f := range frames {
		stream = appendFrame(stream, f)
	}
	r := bytes.NewReader(stream)
	for _, want := range frames {
		got, err := readFrame(r, make([]byte, 4096))
		if err != nil || got.kind != want.kind || got.call != want.call || !bytes.Equal(got.payload, want.payload) {
			t.Errorf("got %+v (%v), want %+v", got, err, want)
		}
	}
	if _, err := readFrame(r, nil); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: got %v, want EOF", err)
	}
	for cut := 1; cut < 20; cut++ {
		if _, err := readFrame(bytes.NewReader(stream[:cut]), nil); !errors.Is(err, errFrame) {
			t.Errorf("cut after %d bytes: got %v, want %v", cut, err, errFrame)
		}
	}
	for _, length := range []string{"\x00\x00\x00\x00", "\x04\x00\x00\x00", "\xff\xff\xff\xff"} {
		if _, err := readFrame(bytes.NewReader([]byte(length+"\x01\x00\x00\x00\x00")), nil); !errors.Is(err, errFrame) {
			t.Errorf("length %x: got %v, want %v", length, err, errFrame)
		}
	}
}

func TestReadAnswer(t *testing.T) {
	want := readAnswer{status: 43, begin: 1 << 60, end: -1}
	want.prefix[prefixLen-1] = 9
	got, err := parseReadAnswer(want.append(nil))
	if err != nil || got != want {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	if _, err := parseReadAnswer(make([]byte, readAnswerLen-1)); !errors.Is(err, errFrame) {
		t.Errorf("short: got %v", err)
	}
}

// What the child sends is as untrusted as the library in it: a library may write to any file descriptor.
func FuzzFrames(f *testing.F) {
	answer := readAnswer{status: 43}
	f.Add(appendFrame(appendFrame(nil, frame{kind: kindRead, call: 1, payload: answer.append(nil)}), frame{kind: kindOpen}))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bytes.NewReader(stream)
		var again []byte
		for {
			read, err := readFrame(r, make([]byte, 64))
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, errFrame) {
					t.Errorf("got %v", err)
				}
				break
			}
			_, _ = parseReadAnswer(read.payload)
			again = appendFrame(again, read)
		}
		if !bytes.HasPrefix(stream, again) {
			t.Errorf("%x was read as %x", stream, again)
		}
	})
}
