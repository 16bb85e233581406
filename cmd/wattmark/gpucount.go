package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// gpuCount is a number of GPUs that may be negative, even in an argument of its own, or not given.
type gpuCount struct {
	n     int
	given bool
}

// Decode reads the flag.
func (g *gpuCount) Decode(ctx *kong.DecodeContext) error {
	text := ctx.Scan.Pop().String()
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return fmt.Errorf("%q is not a whole number", text)
	}
	*g = gpuCount{n, true}
	return nil
}

// String is the number, "" if it was not given.
func (g gpuCount) String() string {
	if !g.given {
		return ""
	}
	return strconv.Itoa(g.n)
}
