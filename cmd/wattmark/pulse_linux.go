package main

import (
	"context"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// pulse wakes this process at start + k·interval until ctx ends, so that the sampler's timers, due then, run on time.
//
// An idle Go program waits for its next timer in epoll, which counts whole milliseconds and adds a slack of 0.1 % of
// the wait, 0.5 % where the process is niced: 5 ms at 1 Hz. A timerfd that epoll watches as well ends the wait within
// some 50 µs of its time. Where there is none the timers are as late as that.
func pulse(ctx context.Context, start time.Time, interval time.Duration) error {
	const (
		clockMonotonic = 1
		after          = 30 * time.Microsecond // the timers are set some µs later than start + k·interval
	)
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clockMonotonic, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return os.NewSyscallError("timerfd_create", errno)
	}
	timer := os.NewFile(fd, "timerfd")
	stop := context.AfterFunc(ctx, func() { _ = timer.Close() })
	defer func() {
		if stop() {
			_ = timer.Close()
		}
	}()
	first := interval - (time.Since(start)-after)%interval
	spec := [2]syscall.Timespec{syscall.NsecToTimespec(int64(interval)), syscall.NsecToTimespec(int64(first))}
	if _, _, errno := syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0); errno != 0 {
		return os.NewSyscallError("timerfd_settime", errno)
	}
	wakes, err := timer.SyscallConn()
	if err != nil {
		return err
	}
	// Called at each wake-up. The timer goes on when it has been read; read until there is nothing more, as File.Read does, it
	// would cost two calls.
	err = wakes.Read(func(fd uintptr) bool {
		var expirations uint64
		_, _, _ = syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&expirations)), unsafe.Sizeof(expirations)) // does not block
		return false
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}
