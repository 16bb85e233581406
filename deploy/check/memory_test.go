package check

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every memory limit that deploy sets for wattmark is the one that `make endurance` runs it under: 128 MiB.
func TestMemoryLimitsAreThoseThatWereRun(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil || !strings.Contains(string(makefile), "bench/memory -limit 134.2 ") {
		t.Errorf("make endurance does not run it in 134.2 MB: %v", err)
	}
	limit := regexp.MustCompile(`(?m)^\s*(?:MemoryMax=|mem_limit: |resources: .*limits: \{memory: )([0-9]+ ?\w*)`)
	for file, want := range map[string]string{
		"../systemd/wattmark.service": "128M", "../compose/compose.yaml": "128m", "../kubernetes/base/deployment.yaml": "128Mi",
	} {
		text, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			t.Fatal(err)
		}
		found := limit.FindStringSubmatch(string(text)) // the first: the server's own comes later
		if found == nil || found[1] != want {
			t.Errorf("%s: %q, want %s", file, found, want)
		}
	}
}
