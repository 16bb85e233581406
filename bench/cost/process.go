//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"wattmark/internal/procstatus"
)

// process is what the kernel says of the daemon.
type process struct {
	at       time.Time
	cpu      time.Duration // user and system, of all threads
	switches int           // times that a thread gave up the processor: wake-ups
	rss      float64       // MB
	heap     float64       // MB of RSS that is no file's
	threads  int
	files    int
	nice     int
}

// look reads /proc/PID. CPU time is the sum of the threads' schedstat: nanoseconds, where /proc/PID/stat has 10 ms.
func look(pid int) (process, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	p := process{at: time.Now()}
	tasks, err := filepath.Glob(filepath.Join(dir, "task", "*"))
	if err != nil || len(tasks) == 0 {
		return p, fmt.Errorf("process %d: it is gone", pid)
	}
	for _, task := range tasks {
		var ns int64
		if text, err := os.ReadFile(filepath.Join(task, "schedstat")); err == nil {
			_, _ = fmt.Sscan(string(text), &ns)
		}
		p.cpu += time.Duration(ns)
		if status, err := procstatus.In(task); err == nil {
			p.switches += int(status.Number("voluntary_ctxt_switches"))
		}
	}
	p.threads = len(tasks)
	status, err := procstatus.In(dir)
	if err != nil {
		return p, err
	}
	p.rss, p.heap = status.MB("VmRSS"), status.MB("RssAnon")
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return p, err
	}
	p.files = len(files)
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return p, err
	}
	if after := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])); len(after) > 16 {
		p.nice, _ = strconv.Atoi(after[16])
	}
	return p, nil
}

// percent is the share of a core that the process used from p to q.
func percent(p, q process) float64 { return 100 * (q.cpu - p.cpu).Seconds() / q.at.Sub(p.at).Seconds() }
