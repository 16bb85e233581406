package agg

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"wattmark/internal/atomicfile"
)

// What may be wrong with a path that a caller names.
var (
	ErrForbidden      = errors.New("path is not inside the results folder")
	ErrNoFolder       = errors.New("the results folder cannot be opened")
	ErrValidationName = errors.New("not a name for a validation file")
	ErrOwnFile        = errors.New("it is a file of wattmark's own")
	ErrNotValidation  = errors.New("it exists and is not a validation file")
)

// The longest path of a caller: the folders of a validation file are made, and a tree of thousands is no use to anybody.
const (
	maxPath    = 4096
	maxFolders = 64
)

// Confine returns path relative to dir, for use in dir's os.Root. It returns ErrForbidden if path, relative to dir or
// absolute, leaves dir; and atomicfile's errors if it leads over a link or to something other than a regular file.
// The file need not exist. With ErrNoFolder, of a folder that is not there now, it returns the relative path too.
func Confine(dir, name string) (string, error) {
	switch {
	case name == "" || strings.ContainsFunc(name, unicode.IsControl): // NUL ends it, a newline spoils logs and listings
		return "", fmt.Errorf("%w: %.100q", ErrForbidden, name)
	case len(name) > maxPath || strings.Count(name, "/") > maxFolders:
		return "", fmt.Errorf("%w: it has more than %d bytes or %d folders", ErrForbidden, maxPath, maxFolders)
	}
	relative := filepath.Clean(name)
	if filepath.IsAbs(name) {
		relative = within(dir, relative)
	}
	if !filepath.IsLocal(relative) {
		return "", fmt.Errorf("%w: %q", ErrForbidden, name)
	}
	if strings.HasSuffix(name, "/") {
		return "", fmt.Errorf("%w: %q names a folder", atomicfile.ErrName, name)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return relative, fmt.Errorf("%w: %w", ErrNoFolder, err)
	}
	defer func() { _ = root.Close() }()
	if err := atomicfile.Check(root, relative); err != nil {
		return "", err
	}
	return relative, nil
}

// within returns an absolute path relative to dir, whether dir is spelled with links in it or without; "" if the path
// is outside.
func within(dir, name string) string {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	resolved, err := filepath.EvalSymlinks(absolute)
	if err != nil {
		return ""
	}
	for _, base := range []string{absolute, resolved} {
		if relative, err := filepath.Rel(base, name); err == nil && filepath.IsLocal(relative) {
			return relative
		}
	}
	return ""
}

// ValidationName returns the path of the validation file: beside the benchmark's result and with its stem, or with the
// run's name in the current folder where there is no such file. node, if not empty, tells nodes apart.
func ValidationName(benchmark, run, node string) string {
	const prefix, suffix, longest = "power_validation_", ".json", 255
	folder, name := "", run
	if benchmark != "" {
		folder, name = filepath.Split(benchmark)
		name = stem(name)
	}
	if node != "" {
		name += "_" + node
	}
	if room := longest - len(prefix) - len(suffix); len(name) > room {
		tag := fmt.Sprintf("-%.4x", sha256.Sum256([]byte(name)))
		name = strings.ToValidUTF8(name[:room-len(tag)], "") + tag
	}
	return folder + prefix + name + suffix
}

// stem is a file's name without its last suffix, as Python's pathlib has it.
func stem(name string) string {
	if i := strings.LastIndexByte(name, '.'); i > 0 && i < len(name)-1 {
		return name[:i]
	}
	return name
}

// CheckAggregateName refuses our own files as an aggregate.
func CheckAggregateName(name string) error {
	if pattern := reserved(name, validationFiles, windowFiles, stateFiles); pattern != "" {
		return fmt.Errorf("%w: %q matches %s", ErrOwnFile, name, pattern)
	}
	return nil
}

// CheckValidationName refuses names that the benchmark or we ourselves read as something else.
func CheckValidationName(name string) error {
	if pattern := reserved(name, "agg_*", "results*.json", windowFiles, stateFiles); pattern != "" {
		return fmt.Errorf("%w: %q matches %s", ErrValidationName, name, pattern)
	}
	if base := filepath.Base(name); !strings.HasSuffix(base, ".json") || base == ".json" {
		return fmt.Errorf("%w: %q does not end in .json", ErrValidationName, name)
	}
	return nil
}

// The files of our own that are JSON objects.
const (
	validationFiles = "power_validation_*"
	windowFiles     = "power_window_*"
	stateFiles      = "wattmark_*"
)

// reserved returns the first of the patterns that the file's name matches.
func reserved(name string, patterns ...string) string {
	for _, pattern := range patterns {
		if match, err := filepath.Match(pattern, filepath.Base(name)); err != nil || match {
			return pattern
		}
	}
	return ""
}
