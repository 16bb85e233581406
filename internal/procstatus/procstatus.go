// Package procstatus reads what the kernel says of a process in /proc/PID/status, for tests and benches.
package procstatus

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Status has the fields by name, as "VmRSS": "2048 kB", with single spaces.
type Status map[string]string

// Of reads the fields of a process. It fails if there is none.
func Of(pid int) (Status, error) { return In(fmt.Sprintf("/proc/%d", pid)) }

// In reads the fields of the process or the thread with that folder in /proc.
func In(folder string) (Status, error) {
	text, err := os.ReadFile(filepath.Join(folder, "status"))
	if err != nil {
		return nil, err
	}
	status := Status{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		status[name] = strings.Join(strings.Fields(value), " ")
	}
	return status, nil
}

// Number is the number that a field begins with, in kB where that is its unit; NaN where there is none.
func (s Status) Number(name string) float64 {
	first, _, _ := strings.Cut(s[name], " ")
	x, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return math.NaN()
	}
	return x
}

// MB is the number of a field in kB (1,024 bytes, as the kernel has it) in millions of bytes.
func (s Status) MB(name string) float64 { return s.Number(name) * 1024 / 1e6 }
