// Accuracy measures thousands of simulated windows, whose true energy is known in closed form, by every method that
// wattmark has and by today's practice, and prints how far each is off and whether its bound holds.
//
//	go run ./bench/accuracy [-windows 1000] [-markdown]
//
// The sensors are those of a Hopper GPU (an energy counter in steps of 100 ms of random phase, a 1 s average and a
// 25 ms mean, both refreshed every 100 ms); the load starts and stops at the marks, the hardest case.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	windows := flag.Int("windows", 1000, "windows per load and duration")
	markdown := flag.Bool("markdown", false, "print the tables of docs/accuracy.md")
	flag.Parse()
	report(os.Stdout, *windows, *markdown)
}

// report prints a table per duration.
func report(w io.Writer, windows int, markdown bool) {
	for _, seconds := range []float64{10, 60, 300} {
		line(w, markdown, fmt.Sprintf("%.0f s windows", seconds), "load", "mean error %", "sd %", "worst %", "within 2σ %", "2σ bound %", "bound / observed")
		if markdown {
			fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
		}
		for _, p := range practices() {
			for _, l := range loads() {
				s := run(p, l, seconds, windows)
				covered, bound, ratio := "–", "–", "–"
				if !p.today {
					covered = fmt.Sprintf("%.1f", 100*s.Covered)
					bound, ratio = fmt.Sprintf("%.3f", s.Bound), fmt.Sprintf("%.1f", s.Bound/(2*s.Deviation))
				}
				line(w, markdown, p.name, l.name, fmt.Sprintf("%+.3f", s.Mean), fmt.Sprintf("%.3f", s.Deviation),
					fmt.Sprintf("%.2f", s.Worst), covered, bound, ratio)
			}
		}
		fmt.Fprintln(w)
	}
}

func line(w io.Writer, markdown bool, cells ...string) {
	if markdown {
		for _, cell := range cells {
			fmt.Fprintf(w, "| %s ", cell)
		}
		fmt.Fprintln(w, "|")
		return
	}
	fmt.Fprintf(w, "%-44s %-10s %13s %8s %8s %12s %11s %17s\n", cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6], cells[7])
}
