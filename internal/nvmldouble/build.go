// Package nvmldouble is a test double of NVIDIA's libnvidia-ml.so.1: a real shared library, compiled when a test asks
// for it, that answers from a script instead of a GPU.
//
// [Build] compiles it; a [Script] says which GPUs there are, what power they truly draw, how their sensors see it and
// what fails when; [Script.TrueJoules] is the energy that a measurement must find. The library reads the script that
// the environment variable [ScriptVariable] names, and reads it again when the file changes. The format of the script
// is described at the top of c/nvml.c.
package nvmldouble

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ScriptVariable is the environment variable that names the script's file.
const ScriptVariable = "WATTMARK_NVML_SCRIPT"

//go:embed c
var source embed.FS

// Build makes the library under dir and returns its path, which ends in /libnvidia-ml.so.1. The symbols named in omit
// ("nvmlDeviceGetSamples", "nvmlErrorString") are left out, as in an older or a newer driver. What is there already is
// used again: tests that share dir share the compiler's time. It needs gcc.
func Build(dir string, omit ...string) (string, error) {
	sum := sha256.New()
	for _, name := range []string{"nvml.c", "script.h", "model.h", "calls.h"} {
		text, err := source.ReadFile("c/" + name)
		if err != nil {
			return "", fmt.Errorf("build NVML double: %w", err)
		}
		sum.Write(text)
	}
	omit = slices.Sorted(slices.Values(omit))
	variant := sha256.Sum256([]byte(strings.Join(omit, " ")))
	folder := filepath.Join(dir, "nvmldouble-"+hex.EncodeToString(sum.Sum(nil)[:8]))
	library := filepath.Join(folder, hex.EncodeToString(variant[:8]), "libnvidia-ml.so.1")
	if _, err := os.Stat(library); err == nil {
		return library, nil
	}
	if err := os.MkdirAll(filepath.Dir(library), 0o755); err != nil {
		return "", fmt.Errorf("build NVML double: %w", err)
	}
	if len(omit) == 0 {
		return library, compile(filepath.Dir(library))
	}
	whole, err := Build(dir)
	if err != nil {
		return "", err
	}
	return library, hide(whole, library, omit)
}

// compile makes the library in folder. It takes its name when it is whole, so that nobody loads half of one.
func compile(folder string) error {
	scratch, err := os.MkdirTemp(folder, "build-")
	if err != nil {
		return fmt.Errorf("build NVML double: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	if err := os.CopyFS(scratch, source); err != nil {
		return fmt.Errorf("build NVML double: %w", err)
	}
	built := filepath.Join(scratch, "built.so")
	// nodelete: NVML stays mapped after dlclose as well, pinned by the symbols that were bound.
	out, err := exec.Command("gcc", "-g", "-O1", "-shared", "-fPIC",
		"-Wl,-soname,libnvidia-ml.so.1", "-Wl,-z,nodelete", "-o", built, filepath.Join(scratch, "c", "nvml.c"), "-lm", "-lpthread").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build NVML double: gcc: %w\n%s", err, out)
	}
	if err := os.Rename(built, filepath.Join(folder, "libnvidia-ml.so.1")); err != nil {
		return fmt.Errorf("build NVML double: %w", err)
	}
	return nil
}

// hide copies a library under a new name in which the loader does not find some symbols: their names are spoilt in the
// table of dynamic strings. That takes no compiler, so a test can afford a variant per symbol.
func hide(whole, library string, symbols []string) error {
	content, err := os.ReadFile(whole)
	if err != nil {
		return fmt.Errorf("build NVML double: %w", err)
	}
	parsed, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("build NVML double: %w", err)
	}
	table := parsed.Section(".dynstr")
	names := content[table.Offset : table.Offset+table.Size]
	for _, symbol := range symbols {
		at := bytes.Index(names, []byte("\x00"+symbol+"\x00"))
		if at < 0 {
			return fmt.Errorf("build NVML double: it has no %s that could be omitted", symbol)
		}
		names[at+1] = '-'
	}
	temporary, err := os.CreateTemp(filepath.Dir(library), "build-")
	if err != nil {
		return fmt.Errorf("build NVML double: %w", err)
	}
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), library)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
		return fmt.Errorf("build NVML double: %w", err)
	}
	return nil
}
