package main

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	_ "wattmark/internal/timerslack" // before the runtime starts
)

// What keeps the daemon out of the way of the server that is being measured.
const (
	// lowerBy is what is added to the nice value: the server goes first where both want to run.
	lowerBy = 5
	// headroom is how much garbage may pile up. By Go's default it may be as much as there is in use, and a day of
	// eight GPUs is 50 MB that hold no pointers and never turn into garbage: full, the daemon had 100 MB resident. A
	// smaller percentage from the start makes a mark, which leaves some 2 MB of garbage, pay for several collections.
	headroom = 6 << 20
)

// runLightly makes this process use one processor, little memory and low priority. What the environment sets stands.
func runLightly(ctx context.Context, log *slog.Logger) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		go keepHeadroom(ctx)
	}
	if os.Getenv(reexecsVariable) != "" {
		return // a program executed anew keeps its priority
	}
	if err := lowerPriority(lowerBy); err != nil {
		log.Debug("priority not lowered", "err", err)
	}
}

// keepHeadroom sets the garbage collector's percentage anew as the rings fill, until ctx ends.
func keepHeadroom(ctx context.Context) {
	inUse, set := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}, 0
	for {
		metrics.Read(inUse)
		if percent := int(min(100, 100*headroom/max(1, inUse[0].Value.Uint64()))); percent != set { // it stops all that runs
			debug.SetGCPercent(percent)
			set = percent
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second): // a recording is read back within a second
		}
	}
}
