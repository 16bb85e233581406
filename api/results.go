package api

import (
	"os"
	"sync"
)

// folder is the results folder as it is found now: where it was removed and made anew, or mounted over, the daemon's
// open one would be the one that nobody sees any more.
type folder struct {
	path string

	mu   sync.Mutex
	root *os.Root // nil: there is none
}

// now returns the folder, nil if there is none.
func (f *folder) now() *os.Root {
	f.mu.Lock()
	defer f.mu.Unlock()
	there, err := os.Stat(f.path)
	if err != nil {
		return f.root // gone: using it says so
	}
	if f.root != nil {
		if open, err := f.root.Stat("."); err == nil && os.SameFile(open, there) {
			return f.root
		}
	}
	if root, err := os.OpenRoot(f.path); err == nil {
		f.root = root // the one before may be in use; it closes when nobody refers to it
	}
	return f.root
}

// results is the folder in which callers can name files; nil: they cannot.
func (s *Server) results() *os.Root { return s.folder.now() }

// folderError says why the results folder is not there.
func (s *Server) folderError() error {
	_, err := os.Stat(s.config.ResultsDir)
	return err
}
