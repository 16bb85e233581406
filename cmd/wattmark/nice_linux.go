package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// lowerPriority adds to the nice value of every thread of this process; those to come inherit it.
func lowerPriority(by int) error {
	const process, highest = 0, 20 // PRIO_PROCESS; the kernel gives 20 − nice
	before, err := syscall.Getpriority(process, 0)
	if err != nil {
		return fmt.Errorf("getpriority: %w", err)
	}
	nice := highest - before + by
	for done := map[int]bool{}; ; { // until there is no thread that another one has started meanwhile
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		news := false
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil || done[id] {
				continue
			}
			done[id], news = true, true
			if err := syscall.Setpriority(process, id, nice); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("setpriority: %w", err)
			}
		}
		if !news {
			return nil
		}
	}
}
