package metrics

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// process tells the usual metrics of this process. client_golang's own collector took half of a scrape: it reads and
// parses six files of /proc, among them the host's interrupts for the start time at every scrape.
type process struct {
	started time.Time
	statm   *os.File // nil where there is none, as all of /proc
	files   *os.File // the folder of the open files

	most float64 // files that may be open, as of the start; 0: not known

	cpu, resident, virtual, openFiles, maxFiles, start *family
}

func newProcess(c *catalogue) *process {
	statm, _ := os.Open("/proc/self/statm")
	files, _ := os.Open(openFilesFolder)
	var limit syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	return &process{
		started: time.Now(), statm: statm, files: files, most: float64(limit.Cur),
		cpu:       c.counter("process_cpu_seconds_total", "CPU time of this process, user and system."),
		resident:  c.gauge("process_resident_memory_bytes", "Resident memory of this process."),
		virtual:   c.gauge("process_virtual_memory_bytes", "Virtual memory of this process."),
		openFiles: c.gauge("process_open_fds", "Open file descriptors of this process."),
		maxFiles:  c.gauge("process_max_fds", "File descriptors that this process may have open, as of its start."),
		start:     c.gauge("process_start_time_seconds", "Unix time at which this process started."),
	}
}

// tell writes what the system tells; off Linux that is less.
func (p *process) tell() {
	p.start.set(float64(p.started.UnixMilli()) / 1e3)
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		p.cpu.set(float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9)
	}
	if p.most > 0 {
		p.maxFiles.set(p.most)
	}
	if open := p.open(); open > 0 {
		p.openFiles.set(float64(open))
	}
	var text [128]byte
	n, _ := syscall.Pread(int(p.statm.Fd()), text[:], 0) // one call, where ReadAt looks whether there is more
	n = max(n, 0)
	fields := bytes.Fields(text[:n])
	for i, family := range []*family{p.virtual, p.resident} {
		if i < len(fields) {
			if pages, err := strconv.ParseFloat(string(fields[i]), 64); err == nil {
				family.set(pages * float64(os.Getpagesize()))
			}
		}
	}
}

const openFilesFolder = "/proc/self/fd"

// open is how many files are open. Since Linux 6.2 that is the size of their folder; before, they are counted.
func (p *process) open() int {
	if info, err := p.files.Stat(); err == nil && info.Size() > 0 {
		return int(info.Size())
	}
	open, err := os.ReadDir(openFilesFolder)
	if err != nil {
		return 0
	}
	return len(open) - 1 // one is that of the folder itself
}
