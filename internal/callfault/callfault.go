//go:build linux

// Package callfault makes a system call fail, or kill, in a program that a test starts: no file system needs to be
// broken for it, nor need the test be root. The test's own program becomes the other one, behind a filter of the kernel's.
package callfault

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Fault is what happens to a system call.
type Fault struct {
	call    uintptr
	flag    uint32        // only where the argument has this bit
	arg     int           // number of the argument
	least   uint32        // only where the argument is at least so much
	returns syscall.Errno // Kill: the process is killed before the call is made
}

// Kill in place of an error kills the process, as SIGKILL does.
const Kill syscall.Errno = 0

// The steps of replacing a file, in their order, and what happens instead.

// Create is making a file.
func Create(e syscall.Errno) Fault {
	return Fault{call: unix.SYS_OPENAT, arg: 2, flag: unix.O_CREAT, returns: e}
}

// Write is a write of at least so many bytes.
func Write(least int, e syscall.Errno) Fault {
	return Fault{call: unix.SYS_WRITE, arg: 2, least: uint32(least), returns: e}
}

// Chmod is setting a file's mode.
func Chmod(e syscall.Errno) Fault { return Fault{call: unix.SYS_FCHMOD, returns: e} }

// Sync is making a file or a folder durable.
func Sync(e syscall.Errno) Fault { return Fault{call: unix.SYS_FSYNC, returns: e} }

// Rename is giving a file its name.
func Rename(e syscall.Errno) Fault { return Fault{call: unix.SYS_RENAMEAT, returns: e} }

const variable = "WATTMARK_TEST_CALL_FAULT"

// Environment is the variable that makes this test's program the one that its arguments name, with the fault.
func (f Fault) Environment() string {
	return fmt.Sprintf("%s=%d %d %d %d %d", variable, f.call, f.flag, f.arg, f.least, int(f.returns))
}

// become replaces this process by the program that its arguments name, in which a call fails. It returns only
// where that is not possible.
func become(text string) error {
	var numbers []uint64
	for word := range strings.FieldsSeq(text) {
		n, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			return err
		}
		numbers = append(numbers, n)
	}
	f := Fault{uintptr(numbers[0]), uint32(numbers[1]), int(numbers[2]), uint32(numbers[3]), syscall.Errno(numbers[4])}
	runtime.LockOSThread() // the filter is the thread's, and exec keeps it
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := f.filter()
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	if err := os.Unsetenv(variable); err != nil {
		return err
	}
	return syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
}

// filter is the fault as the kernel's packet filter, over struct seccomp_data: nr at 0, arguments from 16 on.
func (f Fault) filter() []unix.SockFilter {
	const load, equal, bit, atLeast, give = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K,
		unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	program := []unix.SockFilter{{Code: load, K: 0}, {Code: equal, K: uint32(f.call), Jf: 4}}
	switch {
	case f.flag != 0:
		program = append(program, unix.SockFilter{Code: load, K: uint32(16 + 8*f.arg)}, unix.SockFilter{Code: bit, K: f.flag, Jf: 2})
	default:
		program = append(program, unix.SockFilter{Code: load, K: uint32(16 + 8*f.arg)}, unix.SockFilter{Code: atLeast, K: f.least, Jf: 2})
	}
	verdict := uint32(unix.SECCOMP_RET_ERRNO) | uint32(f.returns)
	if f.returns == 0 {
		verdict = unix.SECCOMP_RET_KILL_PROCESS
	}
	allow := unix.SockFilter{Code: give, K: unix.SECCOMP_RET_ALLOW}
	return append(program, unix.SockFilter{Code: give, K: verdict}, allow, allow)
}

// Main is called first in TestMain: where a fault is asked for, it does not return.
func Main() {
	if text := os.Getenv(variable); text != "" {
		_, _ = fmt.Fprintln(os.Stderr, "not faulty:", become(text))
		os.Exit(111)
	}
}
