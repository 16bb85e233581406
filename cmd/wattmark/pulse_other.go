//go:build !linux

package main

import (
	"context"
	"errors"
	"time"
)

func pulse(context.Context, time.Time, time.Duration) error { return errors.ErrUnsupported }
