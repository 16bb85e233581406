package main

import (
	"syscall"
	"testing"
	"unsafe"
)

// limitFiles sets how large the files of a running process may become; -1: as large as they like.
func limitFiles(t testing.TB, pid int, bytes int64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: uint64(bytes), Max: ^uint64(0)}
	_, _, errno := syscall.Syscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
}
