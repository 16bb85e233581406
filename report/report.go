// Package report makes a window's file into something to look at: a page that needs nothing but itself, a picture, or
// Markdown for the summary of a CI job. Of several windows it makes a comparison. It computes no energy: all figures
// are those of the result, all curves are the readings that the file keeps.
package report

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"unicode"

	"wattmark/sampler"
	"wattmark/window"
)

// Run is a window with the readings it was measured from.
type Run struct {
	Result window.Result
	Limits window.Limits
	Series []sampler.Series
}

// Format is what Write writes.
type Format string

// The formats.
const (
	HTML     Format = "html"
	SVG      Format = "svg"
	Markdown Format = "md"
)

// Type is the format's media type.
func (f Format) Type() string {
	switch f {
	case SVG:
		return "image/svg+xml"
	case Markdown:
		return "text/markdown; charset=utf-8"
	default:
		return "text/html; charset=utf-8"
	}
}

// Policy is the Content-Security-Policy of the page: it loads nothing and runs nothing.
const Policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

//go:embed templates
var templates embed.FS

// Write writes the report of one window, or the comparison of several.
func Write(w io.Writer, format Format, runs ...Run) error {
	for i := range runs {
		runs[i].Result.Run = plain(cmp.Or(runs[i].Result.Run, "unnamed"))
	}
	switch format {
	case Markdown:
		return writeMarkdown(w, runs)
	case SVG:
		return render(w, "svg", svgOf(runs))
	case HTML:
		return render(w, "page", pageOf(runs))
	default:
		return fmt.Errorf("format %q: want html, svg or md", format)
	}
}

// render executes a template. It writes nothing unless all of it worked.
func render(w io.Writer, name string, view any) error {
	t, err := template.ParseFS(templates, "templates/*")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, name, view); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err = out.WriteTo(w)
	return err
}

// plain is a text from a file without what has no place in a line of text: control characters, and those that change
// the direction of writing.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
