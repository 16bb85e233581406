package amd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The daemon and its child talk over two pipes in frames: u32 length of what follows, u8 kind, u32 number of the call,
// payload; little endian. The child answers every call with a frame of the same kind and number, in the order of the
// calls. Both are the same binary, so there is no version.
type kind byte

const (
	kindOpen  kind = 1 // payload: openCall as JSON; answer: inventory as JSON
	kindRead  kind = 2 // payload: u64 BDF id; answer: readAnswer
	kindCap   kind = 3 // payload: u64 BDF id; answer: u32 status, u64 power cap as the library gives it
	kindClose kind = 4 // no payload; the child shuts the library down, answers and ends
)

const (
	frameHead = 5       // bytes that the length counts before the payload
	maxFrame  = 1 << 20 // an inventory is some 400 bytes per GPU
)

// errFrame means that the other side does not speak the protocol.
var errFrame = errors.New("broken frame")

type frame struct {
	kind    kind
	call    uint32
	payload []byte
}

// appendFrame appends the bytes of a frame.
func appendFrame(b []byte, f frame) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(frameHead+len(f.payload)))
	b = append(b, byte(f.kind))
	b = binary.LittleEndian.AppendUint32(b, f.call)
	return append(b, f.payload...)
}

// readFrame reads one frame. The payload is in buffer if that is large enough, and so valid until its next use. It
// returns io.EOF at the end of the stream, and only there.
func readFrame(r io.Reader, buffer []byte) (frame, error) {
	var head [4 + frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return frame{}, fmt.Errorf("%w: cut short", errFrame)
		}
		return frame{}, err
	}
	length := binary.LittleEndian.Uint32(head[:])
	if length < frameHead || length > maxFrame {
		return frame{}, fmt.Errorf("%w: %d bytes", errFrame, length)
	}
	n := int(length) - frameHead
	if cap(buffer) < n {
		buffer = make([]byte, n)
	}
	f := frame{kind: kind(head[4]), call: binary.LittleEndian.Uint32(head[5:]), payload: buffer[:n]}
	if _, err := io.ReadFull(r, f.payload); err != nil {
		return frame{}, fmt.Errorf("%w: cut short", errFrame)
	}
	return f, nil
}

// readAnswer is what the child says about one read of a GPU.
type readAnswer struct {
	status     uint32 // amdsmi_status_t
	begin, end int64  // CLOCK_MONOTONIC in ns around the library call
	prefix     [prefixLen]byte
}

const readAnswerLen = 4 + 8 + 8 + prefixLen

func (a *readAnswer) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, a.status)
	b = binary.LittleEndian.AppendUint64(b, uint64(a.begin))
	b = binary.LittleEndian.AppendUint64(b, uint64(a.end))
	return append(b, a.prefix[:]...)
}

func parseReadAnswer(b []byte) (readAnswer, error) {
	if len(b) != readAnswerLen {
		return readAnswer{}, fmt.Errorf("%w: answer to a read of %d bytes", errFrame, len(b))
	}
	a := readAnswer{
		status: binary.LittleEndian.Uint32(b),
		begin:  int64(binary.LittleEndian.Uint64(b[4:])),
		end:    int64(binary.LittleEndian.Uint64(b[12:])),
	}
	copy(a.prefix[:], b[20:])
	return a, nil
}

// openCall asks the child to load and start the library.
type openCall struct {
	Libraries []string `json:"libraries"` // paths or names for dlopen, in this order
}

// inventory is what the library said when it was started.
type inventory struct {
	Path    string  `json:"path"`           // of the library, as it was opened
	Soname  string  `json:"soname"`         // file name that the path leads to
	Version string  `json:"version"`        // of the library
	Major   uint32  `json:"major"`          // its ABI: 24 to 27 are known
	Loaded  bool    `json:"loaded"`         // a library was found
	Status  uint32  `json:"status"`         // what amdsmi_init returned
	Words   string  `json:"words"`          // the library's words for Status, or why none was loaded
	GPUs    []found `json:"gpus,omitempty"` // one per processor of the library, partitions included, in its order
}

// found is one processor of the library.
type found struct {
	BDF     uint64 `json:"bdf"`
	Name    string `json:"name,omitempty"`
	Serial  string `json:"serial,omitempty"` // asic serial: the unique id, in hexadecimal
	Driver  string `json:"driver,omitempty"`
	Compute string `json:"compute,omitempty"` // partition mode: SPX, CPX
	Memory  string `json:"memory,omitempty"`  // NPS1
	Cap     uint64 `json:"cap,omitempty"`     // power cap, W or µW
}
