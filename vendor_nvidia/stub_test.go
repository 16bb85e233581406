//go:build !linux || !cgo

package nvidia

import (
	"errors"
	"testing"
)

func TestWithoutNVML(t *testing.T) {
	if _, err := Open(Config{}); !errors.Is(err, ErrUnavailable) || Hint(err) == "" {
		t.Errorf("Open = %v, hint %q", err, Hint(err))
	}
}
