package main

import (
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
)

// What keeps the daemon out of the way of the server that is being measured.
const (
	// lowerBy is what is added to the nice value: the server goes first where both want to run.
	lowerBy = 5
	// collectAt is how many percent the heap may grow between two garbage collections, where Go's default is 100. The
	// rings of a day of eight GPUs are 50 MB that never turn into garbage and hold no pointers: with the default as
	// much again would be spent on garbage, while a collection passes over them in no time.
	collectAt = 20
)

// runLightly makes this process use one processor, little memory and low priority. What the environment sets stands.
func runLightly(log *slog.Logger) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(collectAt)
	}
	if err := lowerPriority(lowerBy); err != nil {
		log.Debug("priority not lowered", "err", err)
	}
}
