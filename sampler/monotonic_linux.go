package sampler

import (
	"syscall"
	"unsafe"
)

// monotonicNano reads CLOCK_MONOTONIC, the clock behind time.Now, as the kernel counts it since boot.
func monotonicNano() int64 {
	const clockMonotonic = 1
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 1
	}
	return ts.Nano()
}
