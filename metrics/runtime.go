package metrics

import "runtime"

// goRuntime tells of the Go runtime what an operator looks at, under the names of client_golang's collector. That one has
// some 30 series more, of the heap and of pauses.
type goRuntime struct{ goroutines, threads, processors, info *family }

func newGoRuntime(c *catalogue) goRuntime {
	return goRuntime{
		goroutines: c.gauge("go_goroutines", "Goroutines of this process: they grow where driver calls hang."),
		processors: c.gauge("go_sched_gomaxprocs_threads", "Processors that this process uses at a time."),
		threads:    c.gauge("go_threads", "Threads of the operating system that were created."),
		info:       c.gauge("go_info", "The version of Go.", "version"),
	}
}

func (g goRuntime) tell() {
	g.goroutines.set(float64(runtime.NumGoroutine()))
	threads, _ := runtime.ThreadCreateProfile(nil)
	g.threads.set(float64(threads))
	g.processors.set(float64(runtime.GOMAXPROCS(0)))
	g.info.set(1, runtime.Version())
}
