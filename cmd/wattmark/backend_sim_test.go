package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// Who says what to simulate, but not that it should be, is told so where there is no GPU; who says neither is not.
func TestSimWithoutBackendSim(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, test := range []struct {
		args []string
		told bool
	}{
		{[]string{"--sim", "4xH200"}, true},
		{nil, false},
		{[]string{"--backend", "none", "--sim", "4xH200"}, false},
	} {
		args := []string{"gpus", "--nvml-library", filepath.Join(dir, "none.so"), "--amdsmi-library", filepath.Join(dir, "none.so"), "--sysfs-root", dir}
		out, errs, _ := wattmark(t, dir, nil, append(args, test.args...)...)
		if told := strings.Contains(out+errs, "give --backend sim too"); told != test.told {
			t.Errorf("gpus %v: told %v, want %v:\n%s%s", test.args, told, test.told, out, errs)
		}
	}
}
