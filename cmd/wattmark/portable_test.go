package main

import (
	"debug/elf"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The binary is copied into other people's images. It must need no more than glibc 2.34 (Ubuntu 22.04, Debian 12,
// RHEL 9), and its NVML symbols must be bound at their first use, for no driver has all of them.
func TestBinaryRunsElsewhere(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("ELF is Linux's")
	}
	file, err := elf.Open(program(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	symbols, err := file.ImportedSymbols()
	if err != nil {
		t.Fatal(err)
	}
	versions := 0
	for _, symbol := range symbols {
		if version, ok := strings.CutPrefix(symbol.Version, "GLIBC_"); ok {
			versions++
			if newer(t, version, 2, 34) {
				t.Errorf("%s needs glibc %s", symbol.Name, version)
			}
		}
	}
	if versions < 20 {
		t.Errorf("%d symbols of glibc found: is this the binary?", versions)
	}
	libraries, err := file.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	for _, library := range libraries {
		known := []string{"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
		if raceEnabled { // the race detector's own
			known = append(known, "libm.so.6", "libpthread.so.0", "libdl.so.2", "libresolv.so.2")
		}
		if !slices.Contains(known, library) {
			t.Errorf("it needs %s", library)
		}
	}
	for tag, now := range map[elf.DynTag]uint64{
		elf.DT_BIND_NOW: ^uint64(0), elf.DT_FLAGS: uint64(elf.DF_BIND_NOW), elf.DT_FLAGS_1: uint64(elf.DF_1_NOW),
	} {
		values, err := file.DynValue(tag)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range values {
			if value&now != 0 || tag == elf.DT_BIND_NOW {
				t.Errorf("it is linked with -z now (%v)", tag)
			}
		}
	}
}

// newer says whether a version such as 2.3.4 is above major.minor.
func newer(t *testing.T, version string, major, minor int) bool {
	t.Helper()
	parts := strings.Split(version, ".")
	if len(parts) < 2 {
		t.Fatalf("glibc version %q", version)
	}
	x, err := strconv.Atoi(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	y, err := strconv.Atoi(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return x > major || x == major && y > minor
}
