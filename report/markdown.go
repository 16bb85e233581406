package report

import (
	"fmt"
	"io"
	"strings"

	"wattmark/window"
)

// writeMarkdown writes what fits the summary of a CI job.
func writeMarkdown(w io.Writer, runs []Run) error {
	var out strings.Builder
	if len(runs) > 1 {
		markdownComparison(&out, compare(runs))
	}
	for _, run := range runs {
		markdownRun(&out, run)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func markdownRun(out *strings.Builder, run Run) {
	r := run.Result
	view := viewOf(run)
	fmt.Fprintf(out, "## %s: %s\n\n", escape(r.Run), view.Verdict)
	for _, s := range view.Reasons {
		fmt.Fprintf(out, "- **%s** (`%s`)\n", escape(s.Words), code(s.Code))
	}
	for _, s := range view.Notes {
		fmt.Fprintf(out, "- %s (`%s`)\n", escape(s.Words), code(s.Code))
	}
	if len(view.Reasons)+len(view.Notes) > 0 {
		out.WriteString("\n")
	}
	out.WriteString("| | | |\n|---|---:|---|\n")
	for _, f := range view.Figures {
		fmt.Fprintf(out, "| %s | %s | %s |\n", escape(f.Label), escape(f.Value), escape(f.Note))
	}
	if line := sparkline(run); line != "" {
		fmt.Fprintf(out, "\n`%s` power of all GPUs, from zero to %s W\n", line, thousands(highest(run), 0))
	}
	out.WriteString("\n<details><summary>GPUs, and how the numbers are known</summary>\n\n")
	out.WriteString("| GPU | model | method | energy | average | highest | limit used | gap | cross-check | |\n|---|---|---|---:|---:|---:|---:|---:|---:|---|\n")
	for i, g := range view.GPUs {
		limit := missing
		if l := r.GPUs[i].PowerLimit.Or(0); l > 0 && r.GPUs[i].AvgPower.OK() {
			limit = percent(r.GPUs[i].AvgPower.Or(0) / l)
		}
		var codes []string
		for _, s := range append(g.Reasons, g.Notes...) {
			codes = append(codes, "`"+code(s.Code)+"`")
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", escape(g.Name), escape(g.Model), escape(g.Method), g.Energy,
			g.Power, g.Max, limit, g.Gap, g.Crosscheck, strings.Join(codes, " "))
	}
	out.WriteString("\n")
	for _, f := range append(view.Known, view.About...) {
		text := strings.Trim(f.Value+". "+f.Note, " .")
		fmt.Fprintf(out, "- **%s:** %s.\n", escape(f.Label), escape(text))
	}
	out.WriteString("\n</details>\n\n")
}

func markdownComparison(out *strings.Builder, c *comparison) {
	out.WriteString("## Comparison\n\n| |")
	for _, h := range c.Heads {
		fmt.Fprintf(out, " %s |", escape(h.Run))
	}
	out.WriteString("\n|---|" + strings.Repeat("---:|", len(c.Heads)) + "\n| |")
	for _, h := range c.Heads {
		fmt.Fprintf(out, " %s |", h.Verdict)
	}
	for _, row := range c.Rows {
		fmt.Fprintf(out, "\n| %s |", escape(row.Label))
		for _, cell := range row.Cells {
			text := escape(cell.Value)
			if cell.Difference != "" {
				difference := escape(cell.Difference)
				if cell.Beyond {
					difference = "**" + difference + "**"
				}
				text += " (" + difference + ")"
			}
			fmt.Fprintf(out, " %s |", text)
		}
	}
	fmt.Fprintf(out, "\n\n%s\n\n", escape(c.Note))
}

// escape makes a text mean itself in Markdown and in the HTML that Markdown lets through.
func escape(text string) string {
	var out strings.Builder
	for _, r := range plain(text) {
		switch {
		case strings.ContainsRune("<>&", r):
			fmt.Fprintf(&out, "&#%d;", r)
		case strings.ContainsRune("\\`*_{}[]#|~!@$", r):
			// As an entity rather than with a backslash: it is the same in a table, and nobody is @mentioned.
			fmt.Fprintf(&out, "&#%d;", r)
		default:
			out.WriteRune(r)
		}
	}
	return strings.ReplaceAll(out.String(), "://", "&#58;//") // no address becomes a link
}

// code is a reason's or note's code, which stands between backquotes: what no code has in it becomes a question mark.
func code(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '?'
	}, text)
}

// sparkline is the power of all GPUs inside the window as a line of block characters; a space where it is not known.
func sparkline(run Run) string {
	r := run.Result
	const columns = 60
	top := highest(run)
	if top <= 0 || r.Duration() <= 0 {
		return ""
	}
	sums, counts := make([]float64, columns), make([]float64, columns)
	for _, p := range inWindow(run) {
		column := min(columns-1, int(p.At.Sub(r.Start).Seconds()/r.Duration().Seconds()*columns))
		if watts, ok := p.Watts.Known(); ok {
			sums[column] += watts
			counts[column]++
		}
	}
	var out strings.Builder
	blocks := []rune("▁▂▃▄▅▆▇█")
	last := ' '
	for i := range columns {
		if counts[i] > 0 {
			last = blocks[min(len(blocks)-1, int(sums[i]/counts[i]/top*float64(len(blocks))))]
		}
		out.WriteRune(last)
	}
	return strings.TrimSpace(out.String())
}

func inWindow(run Run) []window.Point {
	var points []window.Point
	for _, p := range window.Total(run.Series, 0, run.Limits) {
		if p.At.Sub(run.Result.Start) >= 0 && p.At.Sub(run.Result.End) <= 0 {
			points = append(points, p)
		}
	}
	return points
}

// highest is the limits' sum, or the highest power where that is more or the limits are not known.
func highest(run Run) float64 {
	top, _ := limits(run.Result)
	for _, p := range inWindow(run) {
		top = max(top, p.Watts.Or(0))
	}
	return top
}
