//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"wattmark/bench/daemon"
	"wattmark/internal/nvmldouble"
	"wattmark/sampler"
	"wattmark/state"
)

// A day at 1 Hz is 864 s at 100 Hz: as many readings, and the machine need not have been up for a day.
const (
	gpus     = 8
	interval = 10 * time.Millisecond
	day      = 86_400 * interval
	watts    = 600.0
)

// scripted are GPUs that have drawn the same for a day.
func scripted() nvmldouble.Script {
	script := nvmldouble.Script{Origin: time.Now().Add(-day - time.Minute)}
	for i := range gpus {
		gpu := nvmldouble.H200(nvmldouble.Constant(watts))
		gpu.CounterPhase = time.Duration(i) * 12 * time.Millisecond
		script.GPUs = append(script.GPUs, gpu)
	}
	return script
}

// recordDay writes what daemons would have recorded of the last day into a state folder.
func recordDay(program daemon.Program, script nvmldouble.Script, dir, folder string, o options) error {
	infos, err := known(program, script, filepath.Join(dir, "first"), o)
	if err != nil {
		return err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	clock := sampler.NewClock()
	now := clock.Now()
	if now.MonoNano < int64(day) {
		return fmt.Errorf("the machine must have been up for %v", day)
	}
	host, _ := os.Hostname()
	store, err := state.Open(state.Config{Dir: folder, Boot: strings.TrimSpace(string(boot)), Host: host, Clock: clock})
	if err != nil {
		return err
	}
	store.Know(infos...)
	ctx := context.Background()
	for i := int(day / interval); i > 0; i-- {
		at := now.Add(-time.Duration(i) * interval)
		for g, info := range infos {
			// The counter's last tick, as the library will go on.
			since := at.Wall().Sub(script.Origin) - script.GPUs[g].CounterPhase
			ticked := script.Origin.Add(since.Truncate(script.GPUs[g].CounterPeriod) + script.GPUs[g].CounterPhase)
			store.Keep(sampler.Kept{GPU: info.ID(), Reading: sampler.Reading{
				At: at, Call: 20 * time.Microsecond, PowerWatts: sampler.Some(watts), InstantWatts: sampler.Some(watts),
				EnergyJoules: sampler.Some(script.GPUs[g].CounterBaseJoules + script.TrueJoules(g, script.Origin, ticked)),
				TemperatureC: sampler.SomeGauge(55), ClockMHz: sampler.SomeGauge(1980), MemoryClockMHz: sampler.SomeGauge(3201),
				Utilization: sampler.SomeGauge(0.97), MemoryUtilization: sampler.SomeGauge(0.41), ThrottleKnown: true,
			}})
		}
		if i%1000 == 0 {
			err = errors.Join(err, store.Flush(ctx))
		}
	}
	return errors.Join(err, store.Flush(ctx), store.Close(ctx))
}

// known are the GPUs as the daemon names them.
func known(program daemon.Program, script nvmldouble.Script, dir string, o options) ([]sampler.Info, error) {
	d, err := program.Start(dir, script, o.log, "--state-dir=", "--log-level", "error")
	if err != nil {
		return nil, err
	}
	text, err := d.Get("/v1/gpus")
	if err := errors.Join(err, d.Stop()); err != nil {
		return nil, err
	}
	var answer struct {
		GPUs []sampler.Info `json:"gpus"`
	}
	return answer.GPUs, json.Unmarshal(text, &answer)
}
