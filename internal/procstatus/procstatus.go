// Package procstatus reads what the kernel says of a process in /proc/PID/status, for tests and benches.
package procstatus

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// Status has the fields by name, as "VmRSS": "2048 kB", with single spaces.
type Status map[string]string

// Of reads the fields of a process. It fails if there is none.
func Of(pid int) (Status, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
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
