package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"wattmark/probe"
	"wattmark/sampler"
)

// printGPUs prints what there is for people, at most about 100 columns wide.
func printGPUs(w io.Writer, found backend, reports []gpuReport) {
	_, _ = fmt.Fprintf(w, "backend: %s\n", found.Name)
	if len(reports) == 0 {
		_, _ = fmt.Fprintln(w, "There is no GPU to measure.")
	} else {
		info := reports[0].Info
		_, _ = fmt.Fprintf(w, "driver %s, library %s\n", dash(info.Driver), dash(info.Library))
		if found.about != nil {
			_, _ = fmt.Fprint(w, found.about())
		}
		_, _ = fmt.Fprintln(w)
		identities := [][]string{{"GPU", "model", "bus id", "UUID"}}
		sensors := [][]string{{"GPU", "scope", "limit W", "power W", "is", "counter", "call"}}
		for _, r := range reports {
			identities = append(identities, []string{strconv.Itoa(r.Index), r.Model, r.BusID, r.UUID})
			sensors = append(sensors, r.row())
		}
		table(w, identities...)
		_, _ = fmt.Fprintln(w)
		table(w, sensors...)
		printProbes(w, reports)
	}
	for _, problem := range found.now().Problems {
		_, _ = fmt.Fprintf(w, "\nproblem: %s\n", problem)
	}
	for _, r := range reports {
		if r.Error != "" {
			_, _ = fmt.Fprintf(w, "\nproblem: GPU %d: %s\n", r.Index, r.Error)
		}
		for _, problem := range r.Problems {
			_, _ = fmt.Fprintf(w, "\nproblem: GPU %d: %s\n", r.Index, problem)
		}
	}
}

func (r gpuReport) row() []string {
	power, call := sampler.Value{}, "–"
	if r.Reading != nil {
		power = r.Reading.Power
		call = time.Duration(r.Reading.CallS * float64(time.Second)).Round(100 * time.Nanosecond).String()
	}
	is := r.PowerSource
	if r.PowerPeriod > 0 {
		is += fmt.Sprintf(" over %v", r.PowerPeriod)
	}
	return []string{
		strconv.Itoa(r.Index), string(r.Scope), number(r.PowerLimitWatts, "%.0f"), number(power, "%.1f"), is, r.counter(), call,
	}
}

// counter says how the energy counter steps: as found, where that is known.
func (r gpuReport) counter() string {
	switch c := r.Calibration; {
	case !r.HasCounter:
		return "none"
	case r.CounterPeriod == 0:
		return "stamped by the driver"
	case c == nil:
		return fmt.Sprintf("not tested; %v assumed", r.CounterPeriod)
	case c.Period == 0 && c.RateRatio.OK() && (c.RateRatio.Or(1) > 1.4 || c.RateRatio.Or(1) < 0.6):
		return fmt.Sprintf("%.2g × as fast when read fast", c.RateRatio.Or(1))
	case c.Period == 0:
		return fmt.Sprintf("no steps seen; %v assumed", r.CounterPeriod)
	default:
		steady := "steady"
		if !c.Steady {
			steady = "not for fast reads"
		}
		return fmt.Sprintf("%.1f ms ± %.1f, %s", 1e3*c.Period.Seconds(), 1e3*c.Jitter.Seconds(), steady)
	}
}

// printProbes prints what the probes found: the figures as tables, then in words what each GPU is measured by, and what
// could not be found out.
func printProbes(w io.Writer, reports []gpuReport) {
	calls := [][]string{{"GPU", "reads", "failed", "call p50", "p99", "max", "counter step", "jitter", "fast/slow", "counter/power"}}
	fields := [][]string{{"GPU", "power field", "W", "refresh", "jitter", "mean over", "lag", "resolution"}}
	var words []string // per GPU
	var indices []int
	for _, r := range reports {
		p := r.Probe
		if p == nil {
			continue
		}
		index := strconv.Itoa(r.Index)
		steps := p.Counter.Steps
		calls = append(calls, []string{
			index, strconv.Itoa(p.Reads.Good), strconv.Itoa(p.Reads.Failed),
			short(p.Reads.CallP50), short(p.Reads.CallP99), short(p.Reads.CallMax),
			milli(steps.Period), jitter(steps), number(p.Counter.Polling.FastRatio, "%.2f"), number(p.Counter.Power.Ratio, "%.3f"),
		})
		for _, f := range []struct {
			name  string
			field probe.Field
		}{{r.PowerSource, p.Power}, {"instant", p.Instant}} {
			if f.field.Mean.OK() {
				fields = append(fields, []string{
					index, f.name, number(f.field.Mean, "%.1f"), milli(f.field.Refresh.Period), jitter(f.field.Refresh),
					over(f.field.Shape), lag(f.field.Shape), number(f.field.Quantum, "%.4g W"),
				})
			}
		}
		words, indices = append(words, inWords(r)), append(indices, r.Index)
	}
	if len(words) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w)
	table(w, calls...)
	if len(fields) > 1 {
		_, _ = fmt.Fprintln(w)
		table(w, fields...)
	}
	for i := 0; i < len(words); {
		j := i
		for j+1 < len(words) && words[j+1] == words[i] {
			j++
		}
		which := fmt.Sprintf("GPU %d:", indices[i])
		if j > i {
			which = fmt.Sprintf("GPUs %d to %d:", indices[i], indices[j])
		}
		_, _ = fmt.Fprintf(w, "\n%s\n%s", which, words[i])
		i = j + 1
	}
}

// inWords says what the GPU will be measured by, why, and what the probe could not tell.
func inWords(r gpuReport) string {
	p := r.Probe
	b := &strings.Builder{}
	wrap(b, "  ", "measured by "+p.Verdict.Text)
	for _, reason := range p.Verdict.Because {
		wrap(b, "  - ", reason)
	}
	if kappa := p.Counter.Integral; kappa.FullTime != nil && *kappa.FullTime {
		wrap(b, "  - ", "the counter counts all of the time, not only what the instantaneous field shows")
	}
	for _, note := range notes(r) {
		wrap(b, "  ? ", note)
	}
	if !p.Complete {
		wrap(b, "  ! ", strings.TrimSuffix("the probe ended early: "+p.Reads.Error, ": "))
	}
	return b.String()
}

// notes are what the probe says of single figures, those that say the same joined.
func notes(r gpuReport) []string {
	p := r.Probe
	var texts []string
	about := map[string][]string{}
	for _, note := range []struct{ of, text string }{
		{"counter", p.Counter.Note},
		{"counter step", p.Counter.Steps.Note},
		{"counter against power", p.Counter.Power.Note},
		{"rate by pace of reading", p.Counter.Polling.Note},
		{"what the counter counts", p.Counter.Integral.Note},
		{"refresh of " + r.PowerSource + " power", p.Power.Refresh.Note},
		{"window of " + r.PowerSource + " power", p.Power.Shape.Note},
		{"refresh of instant power", p.Instant.Refresh.Note},
		{"window of instant power", p.Instant.Shape.Note},
		{"driver's sample buffer", p.Buffer.Note},
	} {
		if note.text == "" || strings.HasSuffix(note.of, "instant power") && !p.Instant.Mean.OK() {
			continue
		}
		if !slices.Contains(texts, note.text) {
			texts = append(texts, note.text)
		}
		if !slices.Contains(about[note.text], note.of) {
			about[note.text] = append(about[note.text], note.of)
		}
	}
	for i, text := range texts {
		texts[i] = strings.Join(about[text], ", ") + ": " + text
	}
	return texts
}

// wrap writes text in lines of at most 98 columns; those after the first are indented like what follows the mark.
func wrap(b *strings.Builder, mark, text string) {
	const width = 98
	indent := strings.Repeat(" ", len(mark))
	line := mark
	for i, word := range strings.Fields(text) {
		if i > 0 && len([]rune(line))+1+len([]rune(word)) > width {
			b.WriteString(line + "\n")
			line = indent + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
}

// milli prints seconds as milliseconds.
func milli(v sampler.Value) string {
	s, ok := v.Known()
	if !ok {
		return "–"
	}
	return fmt.Sprintf("%.4g ms", 1e3*s)
}

// short prints the time of a driver call.
func short(v sampler.Value) string {
	s, ok := v.Known()
	if !ok {
		return "–"
	}
	return time.Duration(s * float64(time.Second)).Round(100 * time.Nanosecond).String()
}

// jitter prints how evenly steps come: as far as the reads can tell.
func jitter(s probe.Steps) string {
	j, ok := s.Jitter.Known()
	if !ok {
		return "–"
	}
	return fmt.Sprintf("< %.1f ms", 1e3*(j+s.Seen.Or(0)))
}

// lag prints how late a field is, which is known to 10 ms.
func lag(s probe.Shape) string {
	seconds, ok := s.Lag.Known()
	if !ok {
		return "–"
	}
	return fmt.Sprintf("%d ms", int(math.Round(1e3*seconds)))
}

// over prints a field's averaging window.
func over(s probe.Shape) string {
	if s.Window.OK() {
		return milli(s.Window)
	}
	if least, ok := s.Least.Known(); ok && least == 0 {
		return "≤ " + milli(s.Most)
	}
	return "–"
}

func dash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}
