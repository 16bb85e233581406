package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"wattmark/internal/atomicfile"
	"wattmark/report"
)

// reportCmd makes something to look at of window files.
type reportCmd struct {
	Windows []string `arg:"" name:"window" type:"path" help:"power_window_<run>.json; of several a comparison is made, to the first."`
	Output  string   `short:"o" type:"path" placeholder:"FILE" help:"Write here instead of to stdout."`
	Format  string   `enum:",html,svg,md" default:"" help:"html (the default), svg or md; else by the ending of --output."`
}

// Validate refuses a file by whose ending people would expect something else than HTML in it.
func (c *reportCmd) Validate() error {
	if ending := c.ending(); c.Format == "" && !slices.Contains([]string{"", "html", "htm", "svg", "md"}, ending) {
		return fmt.Errorf("no report is written as .%s: --output ends in .html, .svg or .md, or --format says which of these it is", ending)
	}
	return nil
}

// Run reads the files and writes the report.
func (c *reportCmd) Run(std streams) error {
	var runs []report.Run
	for _, path := range c.Windows {
		run, err := readRun(path)
		if err != nil {
			return err
		}
		runs = append(runs, run)
	}
	var out bytes.Buffer
	if err := report.Write(&out, c.format(), runs...); err != nil {
		return err
	}
	if c.Output == "" {
		_, err := out.WriteTo(std.out)
		return err
	}
	return atomicfile.WriteFile(c.Output, out.Bytes())
}

func (c *reportCmd) format() report.Format {
	ending := c.ending()
	switch {
	case c.Format != "":
		return report.Format(c.Format)
	case ending == "svg" || ending == "md":
		return report.Format(ending)
	default:
		return report.HTML
	}
}

// ending is that of --output, without its dot.
func (c *reportCmd) ending() string {
	return strings.ToLower(strings.TrimPrefix(filepath.Ext(c.Output), "."))
}

// readRun reads one window file.
func readRun(path string) (report.Run, error) {
	file, err := readWindowFile(path)
	if err != nil {
		return report.Run{}, err
	}
	return report.Run{Result: file.Result, Limits: file.Limits, Series: file.Series}, nil
}
