package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// temporary is the pattern of the names that content has until it is whole.
const temporary = ".wattmark-*.tmp"

// Sweep removes from a folder what writers that were killed have left there, and returns how many files that was.
// What is younger than age may be somebody's who is at work: several nodes may share a folder.
func Sweep(root *os.Root, age time.Duration) (removed int, err error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		if ours, err := filepath.Match(temporary, entry.Name()); err != nil || !ours || !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if err != nil || time.Since(info.ModTime()) < age {
			continue
		}
		if root.Remove(entry.Name()) == nil {
			removed++
		}
	}
	return removed, nil
}
