//go:build linux

package main

import (
	"os"
	"path/filepath"
	"time"

	"wattmark/bench/daemon"
	"wattmark/internal/nvmldouble"
)

// busyBelow: a shorter driver call computes, a longer one waits for the driver.
const busyBelow = 100 * time.Microsecond

// scripted are GPUs at work, whose counters step at different moments and whose driver calls take so long.
func scripted(gpus int, call time.Duration, calls string) nvmldouble.Script {
	script := nvmldouble.Script{Origin: time.Now(), CallsFile: calls, CallsEvery: time.Hour, LookEvery: 3 * time.Second}
	for i := range gpus {
		gpu := nvmldouble.H200(nvmldouble.Trace{Decode: nvmldouble.Decode{
			Idle: 80, Prefill: 690, Plateau: 520 + 5*float64(i), PrefillTime: 400 * time.Millisecond,
			BusyTime: 3 * time.Second, Period: 3 * time.Second,
		}})
		gpu.CounterPhase = time.Duration(i) * 12 * time.Millisecond
		gpu.Latency, gpu.LatencyBusy = call, call < busyBelow
		script.GPUs = append(script.GPUs, gpu)
	}
	return script
}

// countCalls makes the library write down what it was asked so far. It does so at its next call.
func countCalls(d *daemon.Daemon, script nvmldouble.Script) (nvmldouble.Calls, error) {
	_ = os.Remove(script.CallsFile)
	now := script
	now.CallsEvery, now.LookEvery = time.Nanosecond, 0 // that it is over is seen at once
	if err := d.Play(now); err != nil {
		return nvmldouble.Calls{}, err
	}
	for begin := time.Now(); time.Since(begin) < 15*time.Second; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(script.CallsFile); err == nil {
			break
		}
	}
	calls, err := nvmldouble.ReadCalls(script.CallsFile)
	if err != nil {
		return calls, err
	}
	return calls, d.Play(script)
}

// callsFile is where a script's calls are counted.
func callsFile(dir string) string { return filepath.Join(dir, "calls") }
