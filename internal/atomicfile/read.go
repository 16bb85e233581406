package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// Read returns the content of a regular file of at most limit bytes, and the Identity that Replace wants.
func Read(root *os.Root, name string, limit int64) ([]byte, Identity, error) {
	file, id, err := Open(root, name)
	if err != nil {
		return nil, Identity{}, err
	}
	defer func() { _ = file.Close() }()
	if id.info.Size() > limit {
		return nil, Identity{}, fmt.Errorf("read %s: %w: more than %d bytes", name, ErrTooLarge, limit)
	}
	// As much as it says it has: io.ReadAll takes several times the file's size on the way.
	content := bytes.NewBuffer(make([]byte, 0, id.info.Size()+bytes.MinRead))
	if _, err := content.ReadFrom(io.LimitReader(file, limit+1)); err != nil {
		return nil, Identity{}, fmt.Errorf("read %s: %w", name, err)
	}
	data := content.Bytes()
	if int64(len(data)) > limit {
		return nil, Identity{}, fmt.Errorf("read %s: %w: more than %d bytes", name, ErrTooLarge, limit)
	}
	return data, id, nil
}

// Open opens a regular file for reading. It never waits, as a plain open of a FIFO does, and follows no link.
func Open(root *os.Root, name string) (*os.File, Identity, error) {
	dir, base, err := openFolder(root, name)
	if err != nil {
		return nil, Identity{}, err
	}
	defer func() { _ = dir.Close() }()
	file, info, err := open(dir, base)
	if err != nil {
		if at, ok := errors.AsType[*fs.PathError](err); ok {
			err = at.Err // it would only repeat the name, after the system call's
		}
		return nil, Identity{}, fmt.Errorf("open %s: %w", name, err)
	}
	return file, Identity{info}, nil
}

func open(dir *os.Root, base string) (*os.File, fs.FileInfo, error) {
	seen, err := dir.Lstat(base)
	if err != nil {
		return nil, nil, err
	}
	if err := plain(seen); err != nil {
		return nil, nil, err
	}
	// A Root follows links inside it even with O_NOFOLLOW, hence the comparison of inodes.
	file, err := dir.OpenFile(base, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil {
		err = plain(info)
	}
	if err == nil && !os.SameFile(seen, info) {
		err = ErrChanged
	}
	if err != nil {
		_ = file.Close() // only read from
		return nil, nil, err
	}
	return file, info, nil
}

// Check says whether name could be written: it is a regular file with one name in real folders, or not there yet.
func Check(root *os.Root, name string) error {
	dir, base, err := openFolder(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	if _, err := look(dir, base, nil); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// openFolder opens the folder that name is in, without following links, and returns the name within it.
func openFolder(root *os.Root, name string) (dir *os.Root, base string, err error) {
	if err := checkName(name); err != nil {
		return nil, "", err
	}
	if dir, err = root.OpenRoot("."); err != nil {
		return nil, "", err
	}
	folder, base := path.Split(name)
	for part := range strings.SplitSeq(strings.TrimSuffix(folder, "/"), "/") {
		if part == "" {
			break
		}
		next, err := enter(dir, part)
		_ = dir.Close() // a folder that was read only
		if err != nil {
			return nil, "", fmt.Errorf("folder %s of %s: %w", part, name, err)
		}
		dir = next
	}
	return dir, base, nil
}

func enter(dir *os.Root, part string) (*os.Root, error) {
	seen, err := dir.Lstat(part)
	if err != nil {
		return nil, err
	}
	if seen.Mode()&fs.ModeSymlink != 0 {
		return nil, ErrLink
	}
	if !seen.IsDir() {
		return nil, fmt.Errorf("%w: not a folder", ErrName)
	}
	next, err := dir.OpenRoot(part)
	if err != nil {
		return nil, err
	}
	if info, err := next.Stat("."); err != nil || !os.SameFile(seen, info) {
		_ = next.Close() // a folder that was read only
		return nil, errors.Join(ErrChanged, err)
	}
	return next, nil
}

// OpenParent opens the folder of a path of this host as a Root, for paths that need not be confined: links in the
// folder's own path are followed. It returns the file's name in it.
func OpenParent(file string) (root *os.Root, name string, err error) {
	if strings.IndexByte(file, 0) >= 0 || file == "" || strings.HasSuffix(file, "/") {
		return nil, "", fmt.Errorf("%w: %q", ErrName, file)
	}
	name = filepath.Base(file)
	if err := checkName(name); err != nil {
		return nil, "", err
	}
	root, err = os.OpenRoot(filepath.Dir(file))
	return root, name, err
}

// WriteFile is Write for a path of this host.
func WriteFile(file string, data []byte) error {
	root, name, err := OpenParent(file)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return Write(root, name, data)
}
