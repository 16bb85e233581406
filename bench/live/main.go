// Live measures the accuracy of the real program through the real driver path: the built wattmark on the scripted NVML
// library, marks over HTTP, against the exact integral of the scripted power.
//
//	go run ./bench/live [-windows 104] [-length 10s] [-call 4us] [-markdown] [-each] [-keep DIR]
//
// Eight GPUs, whose counters step at different moments and with slightly different periods, work for the length of a
// window and idle for a fifth of that, one after another, so that up to eight windows are open at once. Each window is
// of one GPU: it is marked before the load begins and when it has ended.
package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"wattmark/bench/daemon"
	"wattmark/bench/spread"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "live:", err)
		os.Exit(1)
	}
}

func run() error {
	windows := flag.Int("windows", 104, "how many windows, over eight GPUs")
	length := flag.Duration("length", 10*time.Second, "of a window")
	call := flag.Duration("call", 4*time.Microsecond, "how long a driver call takes")
	markdown := flag.Bool("markdown", false, "print the table of docs/accuracy.md")
	each := flag.Bool("each", false, "print each window")
	keep := flag.String("keep", "", "folder that keeps the script and the windows' files")
	flag.Parse()
	dir, err := os.MkdirTemp(*keep, "wattmark-live-")
	if err != nil {
		return err
	}
	if *keep == "" {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	program, err := daemon.Build(dir)
	if err != nil {
		return err
	}
	measured, err := measure(program, dir, plan{length: *length, rounds: (*windows + gpus - 1) / gpus, call: *call})
	if err != nil {
		return err
	}
	if *each {
		for _, m := range measured {
			fmt.Println(m)
		}
	}
	report(os.Stdout, measured, *markdown)
	return nil
}

// report prints how far the windows are off: each GPU's, all of them, and the sums over the GPUs of a round.
func report(w io.Writer, all []measured, markdown bool) {
	row := func(name string, errors, bounds []float64) {
		s := spread.Of(errors, bounds)
		cells := []string{
			name, fmt.Sprint(len(errors)), fmt.Sprintf("%+.3f", s.Mean), fmt.Sprintf("%.3f", s.Deviation),
			fmt.Sprintf("%.3f", s.Worst), fmt.Sprintf("%.1f", 100*s.Covered), fmt.Sprintf("%.3f", s.Bound),
		}
		if markdown {
			fmt.Fprintln(w, "| "+strings.Join(cells, " | ")+" |")
			return
		}
		fmt.Fprintf(w, "%-26s %8s %13s %8s %8s %12s %11s\n", cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6])
	}
	header := []string{"", "windows", "mean error %", "sd %", "worst %", "within 2σ %", "2σ bound %"}
	if markdown {
		fmt.Fprintln(w, "| "+strings.Join(header, " | ")+" |\n|---|---|---|---|---|---|---|")
	} else {
		fmt.Fprintf(w, "%-26s %8s %13s %8s %8s %12s %11s\n", header[0], header[1], header[2], header[3], header[4], header[5], header[6])
	}
	for gpu := range gpus {
		errors, bounds := percents(all, func(m measured) bool { return m.gpu == gpu })
		row(fmt.Sprintf("GPU %d", gpu), errors, bounds)
	}
	errors, bounds := percents(all, func(measured) bool { return true })
	row("each window", errors, bounds)
	errors, bounds = sums(all)
	row("sum over the GPUs", errors, bounds)
	notes := map[string]int{}
	for _, m := range all {
		for _, note := range m.notes {
			notes[note]++
		}
	}
	fmt.Fprintf(w, "\nnotes and reasons: %v\n", notes)
}

// percents are errors and bounds of windows, in percent of their true energy.
func percents(all []measured, which func(measured) bool) (errors, bounds []float64) {
	for _, m := range all {
		if which(m) {
			errors = append(errors, 100*(m.joules-m.truth)/m.truth)
			bounds = append(bounds, 100*m.bound/m.truth)
		}
	}
	return errors, bounds
}

// sums adds up the windows of a round, one of each GPU. The GPUs' errors are independent of each other.
func sums(all []measured) (errors, bounds []float64) {
	joules, truth, variance := map[int]float64{}, map[int]float64{}, map[int]float64{}
	for _, m := range all {
		joules[m.round] += m.joules
		truth[m.round] += m.truth
		variance[m.round] += m.bound * m.bound
	}
	for round := range len(truth) {
		errors = append(errors, 100*(joules[round]-truth[round])/truth[round])
		bounds = append(bounds, 100*math.Sqrt(variance[round])/truth[round])
	}
	return errors, bounds
}
