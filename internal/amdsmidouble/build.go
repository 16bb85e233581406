package amdsmidouble

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed stub/amdsmi.c
var source []byte

// Build compiles the stand-in for one ABI (24 to 27 as real libraries are, any other number as a library of the
// future) into dir as libamd_smi.so.NN and returns its path. It needs a C compiler: $CC, else cc.
func Build(dir string, abi int) (string, error) {
	code := filepath.Join(dir, fmt.Sprintf("amdsmi_%d.c", abi))
	if err := os.WriteFile(code, source, 0o644); err != nil {
		return "", fmt.Errorf("write the stand-in's source: %w", err)
	}
	compiler := os.Getenv("CC")
	if compiler == "" {
		compiler = "cc"
	}
	soname := fmt.Sprintf("libamd_smi.so.%d", abi)
	library := filepath.Join(dir, soname)
	cmd := exec.Command(compiler, "-shared", "-fPIC", "-O1", fmt.Sprintf("-DABI=%d", abi),
		"-Wl,-soname,"+soname, "-o", library, code, "-lm")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile the stand-in for ABI %d: %w: %s", abi, err, said)
	}
	return library, nil
}
