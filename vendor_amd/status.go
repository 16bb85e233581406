package amd

import (
	"errors"
	"fmt"
)

// Numbers of amdsmi_status_t that mean something here; they are the same in every version, unlike the words.
const (
	statusSuccess         = 0
	statusNotSupported    = 2
	statusNotFound        = 31
	statusNotInit         = 32 // no amdgpu devices: the folders of sysfs are empty
	statusDriverNotLoaded = 34
	statusUnexpectedData  = 43 // the driver's table is newer than the library
)

// StatusError is an error code of libamd_smi.
type StatusError struct {
	Call   string // the function
	Status uint32 // amdsmi_status_t
	Words  string // the library's words, which differ between versions
}

func (e *StatusError) Error() string {
	words := e.Words
	if e.Status == statusUnexpectedData {
		words = "the library is older than the driver"
	}
	if words == "" {
		return fmt.Sprintf("%s: code %d", e.Call, e.Status)
	}
	return fmt.Sprintf("%s: code %d (%s)", e.Call, e.Status, words)
}

// Hint says what a person can do about an error of Open; empty if nothing comes to mind.
func Hint(err error) string {
	_, coded := errors.AsType[*StatusError](err)
	switch {
	case errors.Is(err, ErrNoGPU):
		return "check that /sys/class/drm shows the GPUs and that the kernel module amdgpu is loaded; " +
			"in a container, pass /dev/kfd and /dev/dri"
	case errors.Is(err, ErrNoLibrary):
		return "install the amd-smi-lib package of ROCm, name the file with --amdsmi-library, or use --backend amd-sysfs"
	case coded || errors.Is(err, errStarting):
		return "use --backend amd-sysfs, which needs no library; see dmesg for amdgpu"
	}
	return ""
}
