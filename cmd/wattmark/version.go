package main

import (
	"runtime/debug"
	"strings"
)

// version is the tag the binary was built from: the linker's -X main.tag, else what the go command recorded.
func version() string {
	if tag != "" {
		return tag
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "0.1.0-dev"
	}
	return strings.TrimPrefix(info.Main.Version, "v")
}

var tag string //nolint:gochecknoglobals // set by the linker
