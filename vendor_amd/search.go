package amd

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// sonames of the library, newest first. ROCm 6.1 to 6.3, 6.4, 7 and 10.
const newestMajor, oldestMajor = 27, 24

func sonames() []string {
	var names []string
	for major := newestMajor; major >= oldestMajor; major-- {
		names = append(names, fmt.Sprintf("libamd_smi.so.%d", major))
	}
	return names
}

// libraries returns what to try to open, in this order: given alone if it is set (a file, or a folder that holds the
// library), else the folders that AMDSMI_LIB_DIR and ROCM_PATH name, /opt/rocm, the newest /opt/rocm-*, and at last
// the bare name, which the loader looks up in its own way. Absolute paths come first because newer libraries find
// their own dependencies beside them. opt is /opt, but for tests.
func libraries(given string, getenv func(string) string, opt string) []string {
	if given != "" {
		if paths := inFolder(given); len(paths) > 0 {
			return paths
		}
		return []string{given}
	}
	var paths []string
	if dir := getenv("AMDSMI_LIB_DIR"); dir != "" {
		paths = append(paths, inFolder(dir)...)
	}
	var roots []string
	if root := getenv("ROCM_PATH"); root != "" {
		roots = append(roots, root)
	}
	roots = append(roots, filepath.Join(opt, "rocm"))
	versions, _ := filepath.Glob(filepath.Join(opt, "rocm-*")) // the pattern is well-formed
	slices.SortFunc(versions, func(a, b string) int { return compareVersions(b, a) })
	for _, root := range append(roots, versions...) {
		paths = append(paths, inFolder(filepath.Join(root, "lib"))...)
		paths = append(paths, inFolder(filepath.Join(root, "lib64"))...)
	}
	return append(paths, sonames()...)
}

// inFolder returns the paths of the libraries that a folder holds.
func inFolder(dir string) []string {
	var paths []string
	for _, name := range sonames() {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// compareVersions orders names such as rocm-6.4.1 and rocm-10.0.0 by the numbers in them.
func compareVersions(a, b string) int {
	numbers := func(name string) []int {
		var out []int
		for _, part := range strings.FieldsFunc(filepath.Base(name), func(r rune) bool { return r < '0' || r > '9' }) {
			n, _ := strconv.Atoi(part) // digits only; one that is too long sorts first
			out = append(out, n)
		}
		return out
	}
	return cmp.Or(slices.Compare(numbers(a), numbers(b)), strings.Compare(a, b))
}
