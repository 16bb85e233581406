//go:build linux && cgo

// Package timerslack lets the kernel wake the threads of `wattmark serve` up to 0.2 ms late, for which 0.05 ms is usual.
//
// Go's runtime has a thread, sysmon, that looks every 20 µs whether the others run, whenever they do: for a process that
// works for some hundred µs at a time, a fifth of its CPU went there. It starts before any Go code, so the slack, which
// threads inherit, is set before the runtime starts. A larger one that is there already stands. Readings are on time
// all the same: a timerfd, which has no slack, starts them. Where driver calls are slow the next GPU is read up to
// 0.2 ms later, as sysmon is what finds out that a thread waits for a driver.
package timerslack

/*
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

// The arguments come from /proc, as not every C library hands them to a constructor. Other commands, and the programs
// that they start, keep the usual slack.
__attribute__((constructor)) static void relax(void) {
	const long slack = 200000; // ns
	char line[4096];
	int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	if (file < 0) return;
	ssize_t n = read(file, line, sizeof line - 1);
	close(file);
	if (n <= 0) return;
	line[n] = 0;
	size_t first = strlen(line) + 1;
	if (first < (size_t)n && strcmp(line + first, "serve") == 0 && prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) < slack)
		prctl(PR_SET_TIMERSLACK, slack, 0, 0, 0);
}
*/
import "C"
