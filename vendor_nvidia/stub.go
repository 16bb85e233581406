//go:build !linux || !cgo

package nvidia

import "wattmark/sampler"

// Library is NVML; in this build there is none.
type Library struct{}

// Open fails with ErrUnavailable.
func Open(Config) (*Library, error) { return nil, ErrUnavailable }

// Devices returns no GPUs.
func (*Library) Devices() []sampler.Device { return nil }

// Driver returns "".
func (*Library) Driver() string { return "" }

// Version returns "".
func (*Library) Version() string { return "" }

// Path returns "".
func (*Library) Path() string { return "" }

// Problems returns none.
func (*Library) Problems() []string { return nil }

// Awaited returns none.
func (*Library) Awaited() []Awaited { return nil }

// Close does nothing.
func (*Library) Close() error { return nil }

// Late finds none.
func (*Library) Late() ([]sampler.Device, bool) { return nil, false }
