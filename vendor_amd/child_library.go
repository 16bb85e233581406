//go:build linux && cgo

package amd

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// haveLibrary says that this build can load libamd_smi.
const haveLibrary = true

// File descriptors of the child beside the standard ones, as startProcess gives them.
const (
	callsFD   = 3
	answersFD = 4
)

// endAfter is how long a child whose daemon is gone may take to shut the library down.
const endAfter = 500 * time.Millisecond

// RunChild is the child process: it loads libamd_smi, calls it from this one thread and answers on a pipe. It returns
// the exit code. The program calls it when it is started with [ChildArgument], before it does anything else.
//
// Its standard input is the daemon's sign of life: when that ends, so does the child, even if the library hangs.
// Its standard output and error belong to the library, which prints to both.
func RunChild([]string) int {
	calls, answers := os.NewFile(callsFD, "calls"), os.NewFile(answersFD, "answers")
	if !isPipe(calls) || !isPipe(answers) {
		fmt.Fprintf(os.Stderr, "%s is how wattmark starts itself to load libamd_smi; it does nothing by hand\n", ChildArgument)
		return 2
	}
	// Signals for the whole group or the whole container are the daemon's to answer: it still wants a last reading.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever ends it, the daemon is gone
		time.Sleep(endAfter)
		os.Exit(1)
	}()
	runtime.LockOSThread()
	c := child{answers: answers}
	if err := c.serve(calls); err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, "amd child:", err)
		return 1
	}
	return 0
}

func isPipe(f *os.File) bool {
	stat, err := f.Stat()
	return err == nil && stat.Mode()&os.ModeNamedPipe != 0
}

// child answers calls, one after the other.
type child struct {
	answers io.Writer
	library *smi // nil: none
	payload []byte
	out     []byte
}

func (c *child) serve(calls io.Reader) error {
	buffer := make([]byte, 4096)
	for {
		call, err := readFrame(calls, buffer)
		if err != nil {
			c.shutDown()
			return err
		}
		if err := c.answer(call); err != nil {
			return err
		}
		if call.kind == kindClose {
			return nil
		}
	}
}

func (c *child) answer(call frame) error {
	c.payload = c.payload[:0]
	switch call.kind {
	case kindOpen:
		var open openCall
		if err := json.NewDecoder(bytes.NewReader(call.payload)).Decode(&open); err != nil {
			return fmt.Errorf("open: %w", err)
		}
		library, inv := load(open.Libraries)
		c.library = library
		text, err := json.Marshal(inv)
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		c.payload = text
	case kindRead:
		answer := readAnswer{status: statusNotInit}
		if bdf, ok := c.bdf(call); ok {
			c.library.metrics(bdf, &answer)
		}
		c.payload = answer.append(c.payload)
	case kindCap:
		status, limit := uint32(statusNotInit), uint64(0)
		if bdf, ok := c.bdf(call); ok {
			status, limit = c.library.powerCap(bdf)
		}
		c.payload = binary.LittleEndian.AppendUint32(c.payload, status)
		c.payload = binary.LittleEndian.AppendUint64(c.payload, limit)
	case kindClose:
		c.shutDown()
	default:
		return fmt.Errorf("%w: kind %d", errFrame, call.kind)
	}
	c.out = appendFrame(c.out[:0], frame{kind: call.kind, call: call.call, payload: c.payload})
	_, err := c.answers.Write(c.out)
	return err
}

// bdf returns the GPU that a call is about, if there is a library to ask.
func (c *child) bdf(call frame) (uint64, bool) {
	if c.library == nil || len(call.payload) != 8 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(call.payload), true
}

func (c *child) shutDown() {
	if c.library != nil {
		c.library.shutDown()
		c.library = nil
	}
}
