//go:build unix

// Package treehash sums up a folder in one hash, for tests that nothing in it was touched.
package treehash

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Of is a hash of all that is below a folder: names, modes, sizes, inodes, links, owners, times of change and content.
func Of(dir string) (string, error) {
	hash := sha256.New()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		_, _ = fmt.Fprintln(hash, path, info.Mode(), info.Size(), info.ModTime(), stat.Ino, stat.Nlink, stat.Uid, stat.Gid)
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			_, _ = hash.Write(text)
		}
		return nil
	})
	return fmt.Sprintf("%x", hash.Sum(nil)), err
}
