package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every module that is linked into wattmark has a licence that the release knows: found out when a module comes, not
// when a release is made.
func TestModulesOfWattmarkHaveLicences(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}", "./cmd/wattmark")
	list.Dir = "../../.."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 || fields[1] == "" || seen[fields[0]] {
			continue // the standard library, wattmark itself
		}
		seen[fields[0]] = true
		p := part{path: fields[0], version: fields[1], dir: fields[2]}
		if err := p.readLicence(); err != nil {
			t.Error(err)
		}
	}
	if len(seen) < 5 {
		t.Errorf("found %d modules", len(seen))
	}
}

// The files as they are written, of this test's own binary.
func TestSBOM(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sbom, notices := filepath.Join(dir, "sbom"), filepath.Join(dir, "notices")
	date := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	if err := run(binary, "1.2.3", "..", date, sbom, notices); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(sbom)
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat   string
		SpecVersion string
		Metadata    struct {
			Timestamp string
			Component struct{ Name, Version string }
		}
		Components []struct {
			Name, Version, PURL string
			Hashes              []struct{ Alg, Content string }
			Licenses            []struct{ License struct{ ID string } }
		}
	}
	if err := json.Unmarshal(text, &bom); err != nil {
		t.Fatal(err)
	}
	if bom.BOMFormat != "CycloneDX" || bom.SpecVersion != "1.6" || bom.Metadata.Timestamp != "2026-11-26T12:00:00Z" ||
		bom.Metadata.Component.Name != "wattmark" || bom.Metadata.Component.Version != "1.2.3" {
		t.Errorf("head of the list: %s", text[:400])
	}
	found := false
	for _, c := range bom.Components {
		if c.Name == "github.com/CycloneDX/cyclonedx-go" {
			found = c.PURL == "pkg:golang/"+c.Name+"@"+c.Version && len(c.Hashes) == 1 && len(c.Hashes[0].Content) == 64 &&
				c.Licenses[0].License.ID == "Apache-2.0"
		}
	}
	if !found {
		t.Errorf("the one module of this test is not in the list: %s", text)
	}
	if words, err := os.ReadFile(notices); err != nil || !strings.Contains(string(words), "cyclonedx-go") ||
		!strings.Contains(string(words), "The Go Authors") {
		t.Errorf("licences: %v", err)
	}

	if err := (&part{path: "x", dir: dir}).readLicence(); err == nil {
		t.Error("a module without a licence passes")
	}
}
