//go:build !linux || !cgo

// Package timerslack does nothing here.
package timerslack
