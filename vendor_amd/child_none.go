//go:build !linux || !cgo

package amd

import (
	"fmt"
	"os"
)

// haveLibrary says that this build cannot load libamd_smi: it was made without cgo, or not for Linux.
const haveLibrary = false

// RunChild says that this build has no use for a child process, and returns 2.
func RunChild([]string) int {
	fmt.Fprintln(os.Stderr, "this build of wattmark cannot load libamd_smi")
	return 2
}
