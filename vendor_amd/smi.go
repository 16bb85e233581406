//go:build linux && cgo

package amd

/*
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include "smi.h"
*/
import "C"

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"unsafe"
)

// smi is the loaded library. Its methods must all be called from one OS thread: versions before 26.2 answer with
// another GPU's values, or crash, when several threads call them.
type smi struct {
	major, minor uint32
	handles      map[uint64]C.uint32_t // by BDF id
}

// load opens the first of the libraries that can be opened, and starts it. The inventory says what came of it; smi is
// nil if no GPU can be read.
func load(names []string) (*smi, inventory) {
	var inv inventory
	var trouble []string
	for _, name := range names {
		why := openLibrary(name)
		if why == "" {
			inv.Loaded = true
			break
		}
		trouble = append(trouble, why)
	}
	if !inv.Loaded {
		inv.Words = strings.Join(trouble, "; ")
		return nil, inv
	}
	inv.Path = C.GoString(C.wm_path())
	inv.Soname = filepath.Base(inv.Path)
	if file, err := filepath.EvalSymlinks(inv.Path); err == nil {
		inv.Soname = filepath.Base(file)
	}
	s := &smi{handles: map[uint64]C.uint32_t{}}
	inv.Status = uint32(C.wm_init())
	inv.Words = C.GoString(C.wm_words(C.uint32_t(inv.Status)))
	s.readVersion(&inv)
	if inv.Status != statusSuccess {
		return nil, inv
	}
	s.enumerate(&inv)
	return s, inv
}

func openLibrary(name string) (why string) {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	if said := C.wm_load(text); said != nil {
		return C.GoString(said)
	}
	return ""
}

// readVersion asks for the library's version. Up to 25 the struct begins with the year, which is also the number in
// the SONAME; later it begins with the major version, which is that number.
func (s *smi) readVersion(inv *inventory) {
	if C.wm_version() != 0 {
		return
	}
	numbers := make([]uint32, 4)
	for i := range numbers {
		numbers[i] = binary.LittleEndian.Uint32(buffer()[4*i:])
	}
	s.major, s.minor = numbers[0], numbers[1]
	parts := numbers[:3]
	if s.major <= 25 {
		parts = numbers
		if numbers[1] == numbers[0] { // 25, 25, 5, 1: the year is there twice
			parts = numbers[1:]
			s.minor = numbers[2]
		}
	}
	inv.Version = strings.Trim(strings.ReplaceAll(fmt.Sprint(parts), " ", "."), "[]")
	inv.Major = s.major
}

// known reports whether the layout of this library's structs is known. If not, only calls without a struct are made,
// and gpu_metrics, whose beginning has never changed.
func (s *smi) known() bool { return s.major >= oldestMajor && s.major <= newestMajor }

func (s *smi) enumerate(inv *inventory) {
	var n C.uint32_t
	if status := C.wm_enumerate(&n); status != 0 {
		inv.Status = uint32(status)
		inv.Words = "while counting the GPUs: " + C.GoString(C.wm_words(status))
		return
	}
	for i := range n {
		var bdf C.uint64_t
		if C.wm_bdf(i, &bdf) != 0 {
			continue
		}
		gpu := found{BDF: uint64(bdf)}
		s.handles[gpu.BDF] = i
		if s.known() {
			s.describe(i, &gpu)
		}
		inv.GPUs = append(inv.GPUs, gpu)
	}
}

func (s *smi) describe(i C.uint32_t, gpu *found) {
	if C.wm_asic(i) == 0 {
		gpu.Name = text(0, 64)
		switch {
		case s.major == 24 && s.minor < 6: // ROCm 6.1
			gpu.Serial = text(148, 32)
		case s.major == 24:
			gpu.Serial = text(340, 32)
		default:
			gpu.Serial = text(532, 256)
		}
	}
	if C.wm_driver(i) == 0 {
		gpu.Driver = text(0, 64)
	}
	if C.wm_compute_partition(i) == 0 {
		gpu.Compute = text(0, 64)
	}
	if C.wm_memory_partition(i) == 0 {
		gpu.Memory = text(0, 64)
	}
	_, gpu.Cap = s.powerCap(gpu.BDF)
}

// powerCap returns the power cap of a GPU as the library gives it: W or µW (capWatts).
func (s *smi) powerCap(bdf uint64) (status uint32, limit uint64) {
	i, ok := s.handles[bdf]
	if !ok {
		return statusNotFound, 0
	}
	if !s.known() {
		return statusNotSupported, 0
	}
	var out C.uint64_t
	status = uint32(C.wm_power_cap(i, &out))
	return status, uint64(out)
}

// metrics reads a GPU's table into a.
func (s *smi) metrics(bdf uint64, a *readAnswer) {
	i, ok := s.handles[bdf]
	if !ok {
		a.status = statusNotFound
		return
	}
	a.begin = monotonicNow()
	a.status = uint32(C.wm_metrics(i))
	a.end = monotonicNow()
	copy(a.prefix[:], buffer())
}

func (s *smi) shutDown() { C.wm_shut_down() }

// buffer is what the last call wrote: C memory that the next call clears.
func buffer() []byte { return unsafe.Slice((*byte)(unsafe.Pointer(C.wm_buffer())), C.WM_BUFFER) }

// text returns the C string at an offset of the buffer, at most n bytes.
func text(at, n int) string {
	b := buffer()[at : at+n]
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	return strings.ToValidUTF8(strings.TrimSpace(string(b)), "?")
}
