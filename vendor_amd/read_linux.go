package amd

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// readFile reads a regular file of at most limit bytes. It uses the kernel's calls and not os.File: files of sysfs can
// be waited for, so os.File would wait where the driver answers EAGAIN. A pipe or a device in the file's place is
// refused instead of read. The call can still block in the driver: see bounded.
func readFile(path string, limit int) ([]byte, error) {
	fail := func(op string, err error) ([]byte, error) { return nil, &fs.PathError{Op: op, Path: path, Err: err} }
	fd, err := retry(func() (int, error) {
		return syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	})
	if err != nil {
		return fail("open", err)
	}
	defer func() { _ = syscall.Close(fd) }() // it was only read
	var stat syscall.Stat_t
	if err := syscall.Fstat(fd, &stat); err != nil {
		return fail("stat", err)
	}
	if stat.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return fail("read", errors.New("not a regular file"))
	}
	// One call gets a whole table, so that its values are of one moment; the rest of the loop is for plain files.
	buffer := make([]byte, limit+1)
	n := 0
	for n < len(buffer) {
		got, err := retry(func() (int, error) { return syscall.Read(fd, buffer[n:]) })
		if err != nil {
			return fail("read", err)
		}
		if got <= 0 {
			return buffer[:n], nil
		}
		n += got
	}
	return fail("read", fmt.Errorf("more than %d bytes", limit))
}

// retry repeats a call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}
