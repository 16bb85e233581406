//go:build !linux

package amdsmidouble

// Boottime is not there off Linux; neither is libamd_smi.
func Boottime() int64 { return 0 }

// AtUnix is not there off Linux.
func AtUnix(float64) int64 { return 0 }
