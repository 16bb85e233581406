//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"wattmark/bench/daemon"
)

// report measures the parts that were asked for, and prints a table of each.
func (o options) report(w io.Writer, p daemon.Program) error {
	fmt.Fprintf(w, "%d GPUs; load average at the start %s\n\n", o.gpus, loadAverage())
	if o.has("steady") {
		t := table{title: []string{"1 Hz, one window open"}}
		for _, call := range o.calls {
			s, err := o.measureSteady(p, call)
			if err != nil {
				return err
			}
			t.column(fmt.Sprintf("driver calls of %v", call), s.rows())
		}
		t.print(w, o.markdown)
	}
	if o.has("marks") {
		m, err := o.measureMarks(p)
		if err != nil {
			return err
		}
		t := table{title: []string{"marks over HTTP, 1 Hz"}}
		t.column(fmt.Sprintf("driver calls of %v", o.calls[0]), m.rows())
		t.print(w, o.markdown)
	}
	for _, part := range []struct {
		name      string
		retention time.Duration
	}{{"hour", as1h}, {"day", as24h}} {
		if !o.has(part.name) {
			continue
		}
		f, err := o.measureFast(p, part.retention)
		if err != nil {
			return err
		}
		t := table{title: []string{fmt.Sprintf("100 Hz, rings full as after %.0f h at 1 Hz", f.retention.Hours())}}
		t.column(fmt.Sprintf("driver calls of %v", o.calls[0]), f.rows())
		t.print(w, o.markdown)
	}
	fmt.Fprintf(w, "load average at the end %s\n", loadAverage())
	return nil
}

// row is one figure.
type row struct{ name, value string }

func (s steady) rows() []row {
	return []row{
		{"CPU without scrapes, % of a core", fmt.Sprintf("%.3f", s.quietPercent)},
		{"CPU with a scrape a second, % of a core", fmt.Sprintf("%.3f", s.watchedPercent)},
		{"CPU from start to calibrated, ms", fmt.Sprintf("%.0f in %.1f s", 1e3*s.startCPU.Seconds(), s.startTook.Seconds())},
		{"CPU of all that, start-up included, % of a core", fmt.Sprintf("%.3f",
			100*s.watched.cpu.Seconds()/(s.startTook+s.watched.at.Sub(s.begin.at)).Seconds())},
		{"wake-ups per second, without scrapes", fmt.Sprintf("%.1f", s.wakeups)},
		{"driver calls per GPU and tick", fmt.Sprintf("%.2f", s.callsPerTick)},
		{"which", strings.ReplaceAll(strings.Join(s.functions, ", "), "nvmlDevice", "")},
		{"RSS at begin, middle, end, MB", fmt.Sprintf("%.1f, %.1f, %.1f", s.begin.rss, s.quiet.rss, s.watched.rss)},
		{"of it not files, MB", fmt.Sprintf("%.1f, %.1f, %.1f", s.begin.heap, s.quiet.heap, s.watched.heap)},
		{"readings added meanwhile, MB", fmt.Sprintf("%.2f", s.ringMB)},
		{"threads; open files; nice", fmt.Sprintf("%d; %d; %d", s.watched.threads, s.watched.files, s.watched.nice)},
		{"threads, files at the begin", fmt.Sprintf("%d; %d", s.begin.threads, s.begin.files)},
		{"scrape p50, p99, ms", spread(s.scrapes)},
		{"lateness p50, p99, worst, ms", s.late.String()},
		{"the same with scrapes", s.lateWatched.String()},
		{"a thread that only sleeps, meanwhile", s.bare.String()},
		{"lateness p99 by the histogram", s.late.bucket},
		{"missed ticks", fmt.Sprint(s.late.missed)},
		{"the result's own cost fields", cost(s.answer.Cost)},
		{"reasons, notes", fmt.Sprint(s.answer.Reasons, s.answer.Notes)},
	}
}

func (f fast) rows() []row {
	return []row{
		{"readings in memory", fmt.Sprint(f.used)},
		{"CPU, % of a core", fmt.Sprintf("%.2f", f.cpu)},
		{"RSS, MB", fmt.Sprintf("%.1f", f.end.rss)},
		{"of it not files, MB", fmt.Sprintf("%.1f", f.end.heap)},
		{"threads; open files", fmt.Sprintf("%d; %d", f.end.threads, f.end.files)},
		{"lateness p50, p99, worst, ms", f.late.String()},
		{"a thread that only sleeps, meanwhile", f.bare.String()},
		{"lateness p99 by the histogram", f.late.bucket},
		{"missed ticks of", fmt.Sprintf("%v of %d", f.late.missed, f.late.reads)},
	}
}

func (m marks) rows() []row {
	return []row{
		{"open windows", fmt.Sprint(m.open)},
		{fmt.Sprintf("mark-start p50, p99, ms (n = %d)", len(m.starts)), spread(m.starts)},
		{"CPU of the daemon meanwhile p50, p99, ms", spread(m.startCPU)},
		{fmt.Sprintf("mark-end p50, p99, ms (n = %d, %d readings a GPU)", len(m.ends), m.readings), spread(m.ends)},
		{"CPU of such a mark-end p50, p99, ms", spread(m.cpu)},
		{"mark-end that waits for the counters' steps p50, p99, ms", spread(m.stepping)},
		{"scrape p50, p99, ms", spread(m.scrapes)},
		{"RSS afterwards, MB", fmt.Sprintf("%.1f", m.after.rss)},
	}
}

func (l lateness) String() string {
	return fmt.Sprintf("%.2f, %.2f, %.2f", ms(l.p50), ms(l.p99), ms(l.worst))
}

func spread(sorted []time.Duration) string {
	if len(sorted) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f, %.2f", ms(quantile(sorted, 0.5)), ms(quantile(sorted, 0.99)))
}

func ms(d time.Duration) float64 { return 1e3 * d.Seconds() }

func cost(c daemon.Cost) string {
	text := func(x *float64, format string) string {
		if x == nil {
			return "null"
		}
		return fmt.Sprintf(format, *x)
	}
	return fmt.Sprintf("cpu_s %s, rss_bytes %s, driver_call_s_max %s, missed_ticks %s", text(c.CPUSeconds, "%.3f"),
		text(c.RSSBytes, "%.3g"), text(c.DriverCallMax, "%.6f"), text(c.MissedTicks, "%v"))
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

// table has a name and a value per column in each row.
type table struct {
	title []string
	rows  [][]string
}

func (t *table) column(title string, rows []row) {
	t.title = append(t.title, title)
	if len(t.rows) == 0 {
		for _, r := range rows {
			t.rows = append(t.rows, []string{r.name})
		}
	}
	for i, r := range rows {
		t.rows[i] = append(t.rows[i], r.value)
	}
}

func (t *table) print(w io.Writer, markdown bool) {
	for i, cells := range append([][]string{t.title}, t.rows...) {
		switch {
		case markdown:
			fmt.Fprintln(w, "| "+strings.Join(cells, " | ")+" |")
		default:
			fmt.Fprintf(w, "%-"+strconv.Itoa(50)+"s %s\n", cells[0], strings.Join(cells[1:], "   "))
		}
		if i == 0 && markdown {
			fmt.Fprintln(w, "|"+strings.Repeat("---|", len(cells)))
		}
	}
	fmt.Fprintln(w)
}
