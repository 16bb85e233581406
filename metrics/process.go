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
	looked  time.Time
	open    int        // files; 0: not known
	pages   [2]float64 // virtual, resident

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
	if time.Since(p.looked) > fresh {
		p.look()
	}
	if p.open > 0 {
		p.openFiles.set(float64(p.open))
	}
	if p.pages != [2]float64{} {
		p.virtual.set(p.pages[0] * float64(os.Getpagesize()))
		p.resident.set(p.pages[1] * float64(os.Getpagesize()))
	}
}

// fresh is how old the size of the process and its open files may be.
const fresh = 4500 * time.Millisecond

// look asks for what takes a call to the system each, and changes little.
func (p *process) look() {
	p.looked = time.Now()
	p.open = p.countOpen()
	var text [128]byte
	n, _ := syscall.Pread(int(p.statm.Fd()), text[:], 0) // one call, where ReadAt looks whether there is more
	p.pages = [2]float64{}
	for i, field := range bytes.Fields(text[:max(n, 0)]) {
		if i < len(p.pages) {
			p.pages[i], _ = strconv.ParseFloat(string(field), 64)
		}
	}
}

const openFilesFolder = "/proc/self/fd"

// countOpen is how many files are open. Since Linux 6.2 that is the size of their folder; before, they are counted.
func (p *process) countOpen() int {
	if info, err := p.files.Stat(); err == nil && info.Size() > 0 {
		return int(info.Size())
	}
	open, err := os.ReadDir(openFilesFolder)
	if err != nil {
		return 0
	}
	return len(open) - 1 // one is that of the folder itself
}
