package amd

import (
	"syscall"
	"time"
	"unsafe"
)

// CLOCK_MONOTONIC is the clock behind time.Now; CLOCK_BOOTTIME, which the driver stamps its tables with, also counts
// the time that the host was suspended. Both are the same for all processes of a host.
const (
	clockMonotonic = 1
	clockBoottime  = 7
)

// clockNano reads a clock of the kernel in ns.
func clockNano(clock uintptr) int64 {
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0
	}
	return ts.Nano()
}

// monotonicNow reads CLOCK_MONOTONIC in ns.
func monotonicNow() int64 { return clockNano(clockMonotonic) }

// bootOffset returns by how much CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC: the best of a few tries, since the
// process may lose its processor between two readings. It is good to half of what the try took, a few µs.
func bootOffset() time.Duration {
	const good, tries = 20 * time.Microsecond, 5
	var offset, best time.Duration
	for try := range tries {
		before := clockNano(clockMonotonic)
		boot := clockNano(clockBoottime)
		after := clockNano(clockMonotonic)
		took := time.Duration(after - before)
		if try == 0 || took < best {
			offset, best = time.Duration(boot-before)-took/2, took
		}
		if best <= good {
			break
		}
	}
	return offset
}
