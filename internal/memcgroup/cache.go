//go:build linux

package memcgroup

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Forget drops a file from the page cache, which is charged to who read it first: a program that was just built or copied
// would run for free.
func Forget(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED), file.Close())
}
