// Package atomicfile replaces a file so that whoever looks, at whatever moment and after a crash at whatever moment,
// finds the old content or the new one, whole. All is done inside an os.Root; links are refused, not followed.
//
// Each file has one writer. Replace notices another one up to the instant before the rename, not within it, and over
// NFS a rename is atomic for one client only.
package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// What may be wrong with a file, apart from what the system says.
var (
	ErrName       = errors.New("not a usable file name")
	ErrNotRegular = errors.New("not a regular file")
	ErrLink       = errors.New("a link")
	ErrTooLarge   = errors.New("too large")
	ErrChanged    = errors.New("changed by someone else meanwhile")
	// ErrNotDurable says that the new content is in place, but the disk has not confirmed it.
	ErrNotDurable = errors.New("in place, but not safely on disk")
)

// Identity is what a file was when it was looked at: its inode, size and time of change. The zero Identity is that of
// a file that is not there.
type Identity struct{ info fs.FileInfo }

func (id Identity) equal(other fs.FileInfo) bool {
	if id.info == nil || other == nil {
		return id.info == nil && other == nil
	}
	return os.SameFile(id.info, other) && id.info.Size() == other.Size() && id.info.ModTime().Equal(other.ModTime())
}

// Write makes name hold data, whether there is such a file or not.
func Write(root *os.Root, name string, data []byte) error {
	return put(root, name, whole(data), nil)
}

// Stream is Write for content that need not be in memory at once: content writes it.
func Stream(root *os.Root, name string, content func(io.Writer) error) error {
	return put(root, name, content, nil)
}

// whole is content that is at hand.
func whole(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// Replace makes name hold data, provided that it still is what was says: with the Identity from Read, the file that
// was read; with the zero Identity, no file. Otherwise it leaves everything alone and returns ErrChanged.
//
// Mode and, where the system permits it, owner stay. A new file has mode 0644 and belongs to the owner of its folder
// if root writes it: what a container leaves behind, the user outside can replace.
func Replace(root *os.Root, name string, data []byte, was Identity) error {
	return put(root, name, whole(data), &was)
}

func put(root *os.Root, name string, content func(io.Writer) error, was *Identity) error {
	dir, base, err := openFolder(root, name)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	old, err := look(dir, base, was)
	if err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	temporary, err := writeTemporary(dir, content, old)
	if err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	if _, err = look(dir, base, was); err == nil {
		err = dir.Rename(temporary, base)
	}
	if err != nil {
		_ = dir.Remove(temporary) // the first error is the one to tell
		return fmt.Errorf("replace %s: %w", name, err)
	}
	if err := syncFolder(dir); err != nil {
		return fmt.Errorf("replace %s: %w: %w", name, ErrNotDurable, err)
	}
	return nil
}

// look returns what is there now, nil if nothing is. It fails if that cannot be replaced or is not what it was.
func look(dir *os.Root, base string, was *Identity) (fs.FileInfo, error) {
	info, err := dir.Lstat(base)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		info = nil // not a nil pointer in an interface
	case err != nil:
		return nil, err
	default:
		if err := plain(info); err != nil {
			return nil, err
		}
	}
	if was != nil && !was.equal(info) {
		return nil, ErrChanged
	}
	return info, nil
}

// plain refuses what is not a regular file with one name.
func plain(info fs.FileInfo) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return ErrLink
	case !info.Mode().IsRegular():
		return ErrNotRegular
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
		return fmt.Errorf("%w: it has %d names", ErrLink, stat.Nlink)
	}
	return nil
}

// writeTemporary writes content, durably, to a new file in dir that looks like old, and returns its name.
// The name is short whatever the file's is, and no pattern for results matches it.
func writeTemporary(dir *os.Root, content func(io.Writer) error, old fs.FileInfo) (_ string, err error) {
	name := ".wattmark-" + rand.Text() + ".tmp"
	file, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	defer func() {
		if closing := file.Close(); err == nil {
			err = closing
		}
		if err != nil {
			_ = dir.Remove(name) // the first error is the one to tell
		}
	}()
	if err := content(file); err != nil {
		return "", err
	}
	if err := adopt(dir, file, old); err != nil {
		return "", err
	}
	return name, file.Sync()
}

// Hand gives a new file in dir the mode and owner that Replace gives one: whoever owns the folder can go on with it.
func Hand(dir *os.Root, file *os.File) error { return adopt(dir, file, nil) }

// adopt gives file the owner and mode that it should have.
func adopt(dir *os.Root, file *os.File, old fs.FileInfo) error {
	mode, owner := fs.FileMode(0o644), old
	if old != nil {
		mode = old.Mode().Perm()
	} else if os.Geteuid() == 0 {
		folder, err := dir.Stat(".")
		if err != nil {
			return err
		}
		owner = folder
	}
	if err := file.Chmod(mode); err != nil { // the umask does not count here
		return err
	}
	if owner == nil {
		return nil
	}
	if stat, ok := owner.Sys().(*syscall.Stat_t); ok {
		// Not permitted to most, and not supported everywhere; the content matters more.
		if file.Chown(int(stat.Uid), int(stat.Gid)) != nil {
			_ = file.Chown(-1, int(stat.Gid))
		}
	}
	return nil
}

// syncFolder makes the rename durable. Some network file systems cannot sync a folder and say so.
func syncFolder(dir *os.Root) error {
	folder, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	err = folder.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// checkName refuses what cannot be the name of a file below a folder.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrName)
	case strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("%w: %q holds a NUL", ErrName, name)
	case strings.HasPrefix(name, "/"):
		return fmt.Errorf("%w: %q is absolute", ErrName, name)
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return fmt.Errorf("%w: %q", ErrName, name)
		case len(part) > 255:
			return fmt.Errorf("%w: %.40s… has more than 255 bytes", ErrName, part)
		}
	}
	return nil
}
