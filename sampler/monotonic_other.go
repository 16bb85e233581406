//go:build !linux

package sampler

// monotonicNano counts from an arbitrary origin: off Linux, moments compare within one process only.
func monotonicNano() int64 { return 1 }
