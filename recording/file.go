package recording

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Why a file takes no rows.
var (
	ErrForeign    = errors.New("it holds something else")
	ErrNotRegular = errors.New("it is not a regular file")
	ErrInUse      = errors.New("another process writes to it")
)

// File is a CSV that others read while it grows, and may move away, cut, delete or fill the disk under.
//
// Rows are appended whole: all of one Append in one write, which is taken back if the disk takes a part of it only. An
// unfinished row at the end of a file that was there before is cut off, and its rows are continued; a file that holds
// something else is left alone. A file that was moved or deleted is begun anew, one that was emptied gets its header
// again. Nothing is remembered of a failure: the next Append tries again. It is not safe for concurrent use.
type File struct {
	path string
	w    *Writer
	file *os.File // nil: not open
	left int64    // its size after our last write

	write func(*os.File, []byte) (int, error) // (*os.File).Write, but for tests
}

// NewFile returns a File at path, which is made by the first Append.
func NewFile(path string, dialect Dialect, times Times) *File {
	return &File{path: path, w: NewWriter(nil, dialect, times), write: (*os.File).Write}
}

// Append writes rows after what is there, in one write. If it fails the file is as it was.
func (f *File) Append(rows []Row) error {
	size, err := f.ready()
	if err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	f.w.buf = f.w.buf[:0]
	if size == 0 {
		f.w.buf = append(f.w.buf, f.w.header()...)
	}
	f.w.append(rows)
	if len(f.w.buf) == 0 {
		return nil
	}
	n, err := f.write(f.file, f.w.buf)
	f.left = size + int64(n)
	if err != nil && n > 0 {
		if cut := f.file.Truncate(size); cut == nil {
			f.left = size
		} else {
			f.close() // the next Append finds an unfinished row and cuts it off
		}
	}
	return err // a PathError, which names the file
}

// Close closes the file.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	file := f.file
	f.file = nil
	return file.Close()
}

func (f *File) close() { _ = f.Close() }

// ready opens the file if it is not open, or no longer the one at the path, and returns its size, which is that of
// whole rows.
func (f *File) ready() (int64, error) {
	if f.file != nil && !f.inPlace() {
		f.close()
	}
	opened := f.file == nil
	if opened {
		if err := f.open(); err != nil {
			return 0, err
		}
	}
	info, err := f.file.Stat()
	if err != nil {
		f.close()
		return 0, err
	}
	size := info.Size()
	if opened || size != f.left { // somebody else's rows
		if size, err = f.repair(size); err != nil {
			f.close()
			return 0, err
		}
		f.left = size
	}
	return size, nil
}

// inPlace reports that the open file is still the one at the path.
func (f *File) inPlace() bool {
	at, err := os.Stat(f.path)
	if err != nil {
		return false
	}
	is, err := f.file.Stat()
	return err == nil && os.SameFile(at, is)
}

func (f *File) open() error {
	// Not blocking: a named pipe would wait for a reader.
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		return reason(err)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = ErrNotRegular
	case errors.Is(syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK):
		err = ErrInUse // other errors: the file system knows no locks
	}
	if err != nil {
		_ = file.Close()
		return err
	}
	if info.Size() == 0 {
		hand(file)
	}
	f.file = file
	return nil
}

// hand lets everybody read a new file, whatever the umask, and gives one that root made to the owner of its folder: it is
// to be collected and cleared away by the user of a CI runner. Where that is not permitted the content matters more.
func hand(file *os.File) {
	_ = file.Chmod(0o644)
	if os.Geteuid() != 0 {
		return
	}
	if folder, err := os.Stat(filepath.Dir(file.Name())); err == nil {
		if owner, ok := folder.Sys().(*syscall.Stat_t); ok {
			_ = file.Chown(int(owner.Uid), int(owner.Gid))
		}
	}
}

// reason is err without the path, which the caller names.
func reason(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// longestRow is how far back the end of the last whole row is looked for.
const longestRow = 64 << 10

// repair cuts off an unfinished row and returns the size that is left. It fails with ErrForeign where the file does not
// begin with our header.
func (f *File) repair(size int64) (int64, error) {
	header := f.w.header()
	begin := make([]byte, min(size, int64(len(header))))
	if _, err := f.file.ReadAt(begin, 0); err != nil {
		return 0, err
	}
	if string(begin) != header[:len(begin)] {
		return 0, ErrForeign
	}
	if len(begin) < len(header) { // the header itself is unfinished
		return 0, f.file.Truncate(0)
	}
	tail := make([]byte, min(size, longestRow))
	if _, err := f.file.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	end := bytes.LastIndexByte(tail, '\n') + 1
	if end == 0 {
		return 0, ErrForeign
	}
	whole := size - int64(len(tail)-end)
	if whole == size {
		return size, nil
	}
	return whole, f.file.Truncate(whole)
}
