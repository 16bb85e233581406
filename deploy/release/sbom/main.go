// Sbom says what a binary of wattmark is made of: a CycloneDX list of its modules, read from the binary itself, and the
// licences that must go with it.
//
//	go -C deploy/release run ./sbom -binary ../../bin/wattmark -version 1.2.3 -epoch 1795000000 -sbom FILE -notices FILE
package main

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

func main() {
	binary := flag.String("binary", "", "what is described")
	version := flag.String("version", "", "its version")
	epoch := flag.Int64("epoch", 0, "its date, in Unix seconds")
	source := flag.String("source", "../..", "the main module")
	sbom := flag.String("sbom", "", "where the list goes")
	notices := flag.String("notices", "", "where the licences go")
	flag.Parse()
	log.SetFlags(0)
	if err := run(*binary, *version, *source, time.Unix(*epoch, 0), *sbom, *notices); err != nil {
		log.Fatal("sbom: ", err)
	}
}

func run(binary, version, source string, date time.Time, sbom, notices string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	parts := []part{{path: "std", version: strings.TrimPrefix(info.GoVersion, "go"), dir: goroot()}}
	for _, module := range info.Deps {
		p, err := download(source, module)
		if err != nil {
			return err
		}
		parts = append(parts, p)
	}
	for i := range parts {
		if err := parts[i].readLicence(); err != nil {
			return err
		}
	}
	return errors.Join(writeSBOM(sbom, parts, info, version, date), writeNotices(notices, parts))
}

// part is a module or the standard library.
type part struct {
	path, version, sum string
	dir                string
	licence            string // SPDX
	text               []byte // of the licence and the notices
}

// download finds a module in the cache of the go command.
func download(source string, module *debug.Module) (part, error) {
	if module.Replace != nil {
		module = module.Replace
	}
	command := exec.Command("go", "mod", "download", "-json", module.Path+"@"+module.Version)
	command.Dir = source
	out, err := command.Output()
	if err != nil {
		return part{}, fmt.Errorf("go mod download %s@%s: %w", module.Path, module.Version, err)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		return part{}, err
	}
	return part{path: module.Path, version: module.Version, sum: module.Sum, dir: found.Dir}, nil
}

func goroot() string {
	out, _ := exec.Command("go", "env", "GOROOT").Output()
	return strings.TrimSpace(string(out))
}

// readLicence takes LICENSE and NOTICE, whatever their endings. A part without a known licence is an error: somebody
// must look.
func (p *part) readLicence() error {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		stem, _, _ := strings.Cut(strings.ToUpper(entry.Name()), ".")
		if entry.IsDir() || !slices.Contains([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE"}, stem) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(p.dir, entry.Name()))
		if err != nil {
			return err
		}
		p.text = append(append(p.text, bytes.TrimSpace(text)...), '\n', '\n')
		p.licence = cmp.Or(p.licence, licenceOf(string(text)))
	}
	if p.licence == "" {
		return fmt.Errorf("%s %s: no known licence in %s", p.path, p.version, p.dir)
	}
	return nil
}

// licenceOf recognises the licences that our modules have, by words that only they have.
func licenceOf(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	for _, known := range [][2]string{
		{"Apache-2.0", "Apache License Version 2.0, January 2004"},
		{"MIT", "Permission is hereby granted, free of charge"},
		{"BSD-3-Clause", "Neither the name of"},
		{"BSD-2-Clause", "Redistributions in binary form must reproduce"},
	} {
		if strings.Contains(text, known[1]) {
			return known[0]
		}
	}
	return ""
}

func writeSBOM(path string, parts []part, info *buildinfo.BuildInfo, version string, date time.Time) error {
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{
		Timestamp: date.UTC().Format(time.RFC3339),
		Component: &cyclonedx.Component{
			BOMRef: "wattmark", Type: cyclonedx.ComponentTypeApplication, Name: "wattmark", Version: version,
			Licenses:   &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}},
			Properties: settings(info),
		},
	}
	var components []cyclonedx.Component
	var refs []string
	for _, p := range parts {
		purl := "pkg:golang/" + p.path + "@" + p.version
		component := cyclonedx.Component{
			BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary, Name: p.path, Version: p.version, PackageURL: purl,
			Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{ID: p.licence}}},
		}
		if sum, ok := strings.CutPrefix(p.sum, "h1:"); ok {
			raw, err := base64.StdEncoding.DecodeString(sum)
			if err != nil {
				return err
			}
			component.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(raw)}}
		}
		components = append(components, component)
		refs = append(refs, purl)
	}
	slices.SortFunc(components, func(a, b cyclonedx.Component) int { return cmp.Compare(a.BOMRef, b.BOMRef) })
	slices.Sort(refs)
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: "wattmark", Dependencies: &refs}}
	var text bytes.Buffer
	encoder := cyclonedx.NewBOMEncoder(&text, cyclonedx.BOMFileFormatJSON)
	if err := encoder.SetPretty(true).EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}

// settings are those of the build that change what is in the binary.
func settings(info *buildinfo.BuildInfo) *[]cyclonedx.Property {
	var all []cyclonedx.Property
	for _, s := range info.Settings {
		if slices.Contains([]string{"GOOS", "GOARCH", "CGO_ENABLED", "-trimpath"}, s.Key) {
			all = append(all, cyclonedx.Property{Name: "go:build:" + s.Key, Value: s.Value})
		}
	}
	return &all
}

func writeNotices(path string, parts []part) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "wattmark contains the following works of others, under these licences.\n")
	for _, p := range parts {
		fmt.Fprintf(&text, "\n%s\n%s %s (%s)\n\n%s", strings.Repeat("=", 80), p.path, p.version, p.licence, p.text)
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}
