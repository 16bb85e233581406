package nvmldouble

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
)

// Calls is what a program has asked the double.
type Calls struct {
	// Function counts the calls by name (without _v2) and GPU; GPU -1 stands for calls that name none.
	Function map[string]map[int]int
	// Field counts the fields asked for through GetFieldValues, by GPU and field id.
	Field map[int]map[int]int
	// Threads are the kernel's ids of the threads that called.
	Threads []int
}

// Total is how often a function was called for all GPUs; an empty name means all functions.
func (c Calls) Total(function string) int {
	total := 0
	for name, byGPU := range c.Function {
		if name != function && function != "" {
			continue
		}
		for _, n := range byGPU {
			total += n
		}
	}
	return total
}

// ReadCalls reads a script's CallsFile.
func ReadCalls(path string) (Calls, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Calls{}, fmt.Errorf("read NVML calls: %w", err)
	}
	calls := Calls{Function: map[string]map[int]int{}, Field: map[int]map[int]int{}}
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		var name string
		var gpu, id, n int
		switch line := lines.Text(); {
		case scan(line, "call %s %d %d", &name, &gpu, &n):
			if calls.Function[name] == nil {
				calls.Function[name] = map[int]int{}
			}
			calls.Function[name][gpu] = n
		case scan(line, "field %d %d %d", &gpu, &id, &n):
			if calls.Field[gpu] == nil {
				calls.Field[gpu] = map[int]int{}
			}
			calls.Field[gpu][id] = n
		case scan(line, "thread %d", &id):
			calls.Threads = append(calls.Threads, id)
		default:
			return Calls{}, fmt.Errorf("read NVML calls: %s: %q", path, line)
		}
	}
	return calls, nil
}

func scan(line, format string, values ...any) bool {
	n, err := fmt.Sscanf(line, format, values...)
	return err == nil && n == len(values)
}
