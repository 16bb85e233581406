package amdsmidouble

import (
	"syscall"
	"time"
	"unsafe"
)

// Boottime reads CLOCK_BOOTTIME in ns, the clock of the script and of the driver's stamps.
func Boottime() int64 {
	const clockBoottime = 7
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0
	}
	return ts.Nano()
}

// AtUnix returns what CLOCK_BOOTTIME showed, in ns, when the wall clock showed unix seconds; it assumes that neither
// was set since.
func AtUnix(unix float64) int64 {
	ago := float64(time.Now().UnixNano())/1e9 - unix
	return Boottime() - int64(ago*1e9)
}
