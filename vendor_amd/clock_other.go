//go:build !linux

package amd

import "time"

// monotonicNow counts from an arbitrary origin: amdgpu is a Linux driver, nothing is read elsewhere.
func monotonicNow() int64 { return time.Now().UnixNano() }

func bootOffset() time.Duration { return 0 }
