package nvidia

import (
	"errors"
	"strconv"
)

// Code is NVML's return code as an error, with words of our own. errors.Is matches it with the nvml.Return of the same
// number, too.
type Code int

// The codes that something is done about.
const (
	Uninitialized    Code = 1
	InvalidArgument  Code = 2
	NotSupported     Code = 3
	NoPermission     Code = 4
	notFound         Code = 6
	DriverNotLoaded  Code = 9
	LibraryNotFound  Code = 12
	FunctionNotFound Code = 13
	GPULost          Code = 15
	ResetRequired    Code = 16
	VersionMismatch  Code = 18 // the library and the kernel's driver
	timedOut         Code = 10
	Deprecated       Code = 26
	Unknown          Code = 999
	notAnswered      Code = -1 // the driver wrote nothing into a field
)

// ErrUnavailable means that this program was built without NVML.
var ErrUnavailable = errors.New("this build has no NVML: it needs Linux and cgo (build with CGO_ENABLED=1 and a C compiler)")

// ErrNoGPU means that NVML works and there is no GPU that can be used.
var ErrNoGPU = errors.New("the NVIDIA driver shows no GPU")

// ErrClosed means that the library was closed.
var ErrClosed = errors.New("NVML is closed")

// ErrBusy means that a driver call did not come back, so that NVML could not be closed.
var ErrBusy = errors.New("a driver call still runs")

func (c Code) Error() string {
	if words := c.words(); words != "" {
		return words + " (NVML code " + strconv.Itoa(int(c)) + ")"
	}
	return "NVML code " + strconv.Itoa(int(c))
}

// Timeout reports that the driver gave up waiting.
func (c Code) Timeout() bool { return c == timedOut }

func (c Code) words() string {
	switch c {
	case Uninitialized:
		return "not initialised"
	case InvalidArgument:
		return "invalid argument"
	case NotSupported:
		return "not supported"
	case NoPermission:
		return "no permission"
	case notFound:
		return "not found"
	case DriverNotLoaded:
		return "driver not loaded"
	case timedOut:
		return "timeout"
	case 11:
		return "the kernel has trouble with the GPU's interrupts"
	case LibraryNotFound:
		return "library not found"
	case FunctionNotFound:
		return "function not found"
	case 14:
		return "the GPU's inforom is corrupted"
	case GPULost:
		return "the GPU is lost"
	case ResetRequired:
		return "the GPU needs a reset"
	case 17:
		return "blocked by the operating system"
	case VersionMismatch:
		return "library and kernel driver differ in version"
	case 19:
		return "in use"
	case 20:
		return "out of memory"
	case 21:
		return "no data"
	case 23:
		return "out of resources"
	case 25:
		return "another version of the argument is expected"
	case Deprecated:
		return "deprecated"
	case 27:
		return "not ready"
	case 28:
		return "no such GPU"
	case 29:
		return "invalid state"
	case Unknown:
		return "unknown error"
	case notAnswered:
		return "not answered"
	}
	return ""
}

// refusal reports whether the driver says that it cannot do this at all, as opposed to not now.
func (c Code) refusal() bool {
	switch c {
	case NotSupported, InvalidArgument, FunctionNotFound, Deprecated:
		return true
	}
	return false
}

// Hint says what a person can do about an error of this package; "" if it knows nothing.
func Hint(err error) string {
	if code, ok := errors.AsType[Code](err); ok {
		if hint := code.hint(); hint != "" {
			return hint
		}
	}
	switch {
	case errors.Is(err, ErrNoGPU):
		return "check nvidia-smi -L; in a container, start it with the NVIDIA runtime and --gpus (NVIDIA_VISIBLE_DEVICES)"
	case errors.Is(err, ErrUnavailable):
		return "use a build for Linux made with cgo, or --backend none"
	}
	return ""
}

func (c Code) hint() string {
	switch c {
	case LibraryNotFound:
		return "install the NVIDIA driver (the library belongs to it) or name the file with --nvml-library; " +
			"in a container, start it with the NVIDIA runtime and NVIDIA_DRIVER_CAPABILITIES=utility"
	case DriverNotLoaded:
		return "the kernel module is not loaded: run nvidia-smi or modprobe nvidia as root, and see dmesg"
	case VersionMismatch:
		return "the driver was upgraded while it was in use: restart this program; if that does not help, reboot"
	case NoPermission:
		return "this user may not open /dev/nvidia*: add it to the group that owns them, or check the container's devices"
	case Unknown:
		return "in a container, its devices may have been taken away (systemctl daemon-reload does that): " +
			"restart the container; else see dmesg for NVRM and Xid"
	case GPULost:
		return "the GPU has fallen off the bus: see dmesg for Xid 79; it comes back with a reboot"
	case ResetRequired:
		return "drain the GPU and run nvidia-smi --gpu-reset"
	case FunctionNotFound:
		return "the file is not NVIDIA's driver library, or one from before 2012"
	}
	return ""
}
