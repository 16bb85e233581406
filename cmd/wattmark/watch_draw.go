package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"wattmark/api"
	"wattmark/sampler"
)

// screen is what is known, and draws it.
type screen struct {
	span    time.Duration
	colour  bool
	daemon  api.DaemonEvent
	windows []api.WatchedWindow
	more    int
	power   api.PowerEvent
	total   []api.PowerPoint
	trouble string
	zone    *time.Location // nil: local
}

// The colours, which say nothing that words do not say as well.
const (
	bold  = "\x1b[1m"
	faint = "\x1b[2m"
	good  = "\x1b[32m"
	bad   = "\x1b[33m" // yellow keeps apart from green for colour-blind people, red does not
	blue  = "\x1b[34m"
	plain = "\x1b[0m"
)

func (s *screen) paint(colour, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return colour + text + plain
}

// draw returns the lines of a screen of this size.
func (s *screen) draw(columns, rows int) []string {
	columns = max(columns, 20)
	lines := append(s.head(), s.trace(columns)...)
	lines = append(append(lines, ""), s.gpuTable(columns)...)
	lines = append(append(lines, ""), s.windowTable(columns)...)
	if rows = max(rows, 3); len(lines) > rows {
		lines = append(lines[:rows-1], s.paint(faint, fmt.Sprintf("… %d more lines", len(lines)-rows+1)))
	}
	for i := range lines {
		lines[i] = cutTo(lines[i], columns)
	}
	return lines
}

// cutTo cuts a line to so many columns, not counting what only colours.
func cutTo(line string, columns int) string {
	var out strings.Builder
	n, escape := 0, false
	for _, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			if n++; n > columns {
				continue // colours end all the same
			}
		}
		out.WriteRune(r)
	}
	return out.String()
}

// clean is a text from elsewhere without what a terminal would obey.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '?'
		}
		return r
	}, text)
}

func (s *screen) head() []string {
	d := s.daemon
	models := map[string]int{}
	host := ""
	for _, g := range d.GPUs {
		models[g.Model]++
		host = g.Host
	}
	var what []string
	for _, g := range d.GPUs { // in their order, each once
		if n := models[g.Model]; n > 0 {
			what = append(what, fmt.Sprintf("%d × %s", n, clean(g.Model)))
			delete(models, g.Model)
		}
	}
	state := s.paint(good, "● reading every "+brief(d.IntervalS))
	switch {
	case s.trouble != "":
		state = s.paint(bad, "▲ "+clean(s.trouble))
	case !d.Ready:
		state = s.paint(bad, "▲ not ready")
	}
	zone := s.zone
	if zone == nil {
		zone = time.Local
	}
	at := time.Unix(0, int64(s.power.Unix*1e9)).In(zone).Format("15:04:05")
	lines := []string{s.paint(bold, "wattmark") + " " + strings.Join(append([]string{clean(cmp.Or(d.Node, host))}, what...), ", ") + "  " + at + "  " + state}
	said := map[string]bool{}
	for _, reason := range append(slices.Clone(d.Reasons), d.Backend.Problems...) {
		if said[reason] {
			continue
		}
		said[reason] = true
		lines = append(lines, s.paint(bad, "  "+clean(reason)))
	}
	for _, g := range d.GPUs {
		if g.Simulated {
			return append(lines, s.paint(bad, "  simulated GPUs: nothing here is a measurement"))
		}
	}
	return lines
}

// sum is the power of all GPUs now, and their limits; known says of how many GPUs there is power.
func (s *screen) sum() (watts, limit float64, known int, limited bool) {
	limited = len(s.daemon.GPUs) > 0
	for _, g := range s.daemon.GPUs {
		limit += g.PowerLimitWatts.Or(0)
		limited = limited && g.PowerLimitWatts.Or(0) > 0
	}
	for _, g := range s.power.GPUs {
		if w, ok := g.Power.Known(); ok {
			watts, known = watts+w, known+1
		}
	}
	return watts, limit, known, limited
}

func (s *screen) trace(columns int) []string {
	watts, limit, known, limited := s.sum()
	line := "Power "
	switch {
	case len(s.power.GPUs) == 0:
		line += "–"
	case known < len(s.power.GPUs):
		line += fmt.Sprintf("–  (%d of %d GPUs can be read: %.0f W)", known, len(s.power.GPUs), watts)
	case limited:
		line += s.paint(bold, fmt.Sprintf("%.0f W", watts)) + fmt.Sprintf(" of %.0f W, %.0f %%", limit, 100*watts/limit)
	default:
		line += s.paint(bold, fmt.Sprintf("%.0f W", watts))
	}
	if mean, ok := s.power.Mean.TotalPower.Known(); ok {
		line += fmt.Sprintf("   mean of %s %s W", brief(math.Round(s.power.Mean.DurationS)), within(sampler.Some(mean), s.power.Mean.Bound))
	}
	lines := []string{"", line}
	if l := s.power.Live; l != nil {
		lines = append(lines, "Tokens "+tokenWords(*l))
	}
	top := limit
	if !limited {
		for _, p := range s.total {
			top = max(top, p[1].Or(0))
		}
	}
	if top <= 0 {
		return lines
	}
	return append(lines, s.paint(blue, s.bars(columns, top)), s.paint(faint, fmt.Sprintf("last %s, 0 to %.0f W", brief(s.span.Seconds()), top)))
}

// bars is the total power over the span, a column each; a space where it is not known.
func (s *screen) bars(columns int, top float64) string {
	sums, counts := make([]float64, columns), make([]float64, columns)
	from := s.power.Unix - s.span.Seconds()
	for _, p := range s.total {
		column := int((p[0].Or(0) - from) / s.span.Seconds() * float64(columns))
		if watts, ok := p[1].Known(); ok && column >= 0 {
			sums[min(column, columns-1)] += watts
			counts[min(column, columns-1)]++
		}
	}
	out := make([]rune, columns)
	last, since := ' ', math.MaxInt
	reach := int(math.Ceil(max(3, 2*s.daemon.IntervalS) / s.span.Seconds() * float64(columns)))
	for i := range out {
		if counts[i] > 0 && top > 0 {
			last, since = []rune("▁▂▃▄▅▆▇█")[min(7, int(sums[i]/counts[i]/top*8))], 0
		} else if since++; since > reach || since < 0 { // a reading does not reach further
			last, since = ' ', math.MaxInt-1
		}
		out[i] = last
	}
	return string(out)
}

func (s *screen) gpuTable(columns int) []string {
	if len(s.daemon.GPUs) == 0 {
		return []string{"No GPU is being measured."}
	}
	bar := min(30, max(0, columns-84))
	lines := []string{s.paint(faint, fmt.Sprintf("%3s %7s %5s %-*s %5s %5s  %-15s %s", "GPU", "power", "limit", bar, "", "temp.", "busy", "energy from", "state"))}
	for _, g := range s.daemon.GPUs {
		for _, p := range s.power.GPUs {
			if p.ID == g.ID() {
				lines = append(lines, s.gpuLine(g, p, bar))
			}
		}
	}
	return lines
}

func (s *screen) gpuLine(g api.WatchedGPU, p api.PowerOfGPU, bar int) string {
	share, filled := "–", ""
	if watts, ok := p.Power.Known(); ok && g.PowerLimitWatts.Or(0) > 0 {
		x := watts / g.PowerLimitWatts.Or(0)
		share = fmt.Sprintf("%.0f %%", 100*x)
		filled = strings.Repeat("█", min(bar, int(math.Round(x*float64(bar)))))
	}
	busy := "–"
	if x, ok := p.Utilization.Known(); ok {
		busy = fmt.Sprintf("%.0f %%", 100*x)
	}
	method := map[string]string{"counter": "energy counter", "boxcar": "averaged power", "trapezoid": "sampled power"}[string(g.Method)]
	state := s.paint(good, "● ok")
	switch {
	case !p.Power.OK():
		state = "▲ no reading"
		if p.AgeS < 1e6 {
			state += " for " + brief(math.Round(p.AgeS))
		}
		if g.Error != nil {
			state += ": " + clean(*g.Error)
		}
		state = s.paint(bad, state)
	case len(p.Throttle) > 0:
		state = s.paint(bad, "▲ slowed by "+clean(strings.Join(p.Throttle, ", ")))
	}
	filled += strings.Repeat("·", bar-utf8.RuneCountInString(filled))
	return fmt.Sprintf("%3d %7s %5s %s %5s %5s  %-15s %s", g.Index, number(p.Power, "%.0f W"), share, s.paint(blue, filled),
		number(p.Temperature, "%.0f °"), busy, cmp.Or(method, "–"), state)
}

func (s *screen) windowTable(columns int) []string {
	if len(s.windows) == 0 {
		return []string{s.paint(faint, "No windows yet.")}
	}
	width := 3
	for _, w := range s.windows {
		width = max(width, min(30, len(w.Run), columns/4))
	}
	lines := []string{s.paint(faint, fmt.Sprintf("%-*s %-11s %9s %17s %8s  %s", width, "run", "verdict", "duration", "energy", "power", "per output token"))}
	for _, w := range s.windows {
		verdict, colour := "○ open", blue
		duration := fmt.Sprintf("%.1f s", s.power.Unix-w.StartUnix)
		if w.State == "ended" {
			verdict, colour, duration = "▲ not valid", bad, number(w.DurationS, "%.3f s")
			if w.Valid != nil && *w.Valid {
				verdict, colour = "● valid", good
			}
		}
		run := clean(w.Run)
		if len(run) > width {
			run = run[:width-1] + "…"
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%-*s %s %9s %17s %8s  %s", width, run, s.paint(colour, fmt.Sprintf("%-11s", verdict)), duration,
			joules(w.Energy, w.Bound), number(w.Power, "%.0f W"), joules(w.PerOutputToken, w.PerOutputTokenBound)), " "))
		for _, reason := range append(w.Reasons, w.Notes...) {
			lines = append(lines, s.paint(faint, "    "+clean(reason.Words)))
		}
	}
	if s.more > 0 {
		lines = append(lines, s.paint(faint, fmt.Sprintf("and %d older ones", s.more)))
	}
	return lines
}
