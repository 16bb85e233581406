//go:build linux

package main

import (
	"runtime"
	"slices"
	"syscall"
	"time"
	"unsafe"
)

// bareTimer measures what any program's timers are worth on this machine now: a thread that sleeps until each tick and
// does nothing else. The function that it returns ends that and tells how late the thread woke.
func bareTimer(interval time.Duration) (end func() lateness) {
	stop, result := make(chan struct{}), make(chan lateness, 1)
	go func() {
		runtime.LockOSThread()
		var late []time.Duration
		for tick := monotonic(); ; {
			select {
			case <-stop:
				slices.Sort(late)
				result <- lateness{reads: len(late), p50: quantile(late, 0.5), p99: quantile(late, 0.99), worst: late[len(late)-1]}
				return
			default:
			}
			tick += interval
			sleepUntil(tick)
			late = append(late, monotonic()-tick)
		}
	}()
	return func() lateness {
		close(stop)
		return <-result
	}
}

const (
	clockMonotonic = 1
	clockProcess   = 2 // CLOCK_PROCESS_CPUTIME_ID
	absolute       = 1 // TIMER_ABSTIME
)

func monotonic() time.Duration { return clock(clockMonotonic) }

// processTime is the CPU time of this process, of all threads.
func processTime() time.Duration { return clock(clockProcess) }

func clock(id uintptr) time.Duration {
	var ts syscall.Timespec
	_, _, _ = syscall.Syscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}

func sleepUntil(at time.Duration) {
	ts := syscall.NsecToTimespec(int64(at))
	_, _, _ = syscall.Syscall6(syscall.SYS_CLOCK_NANOSLEEP, clockMonotonic, absolute, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
}
