package nvmldouble

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Script says what the double answers. The zero values stand for the defaults in c/nvml.c.
type Script struct {
	// Origin is t = 0 of all traces and faults. Zero: when the library is first initialised, which only it knows.
	Origin       time.Time
	Driver, NVML string // versions
	// InitReturns is what nvmlInit returns; 0 is success.
	InitReturns int
	// InitHangs makes nvmlInit block for as long as the script says so.
	InitHangs bool
	// DriverLoad counts how often the driver was loaded: what was initialised under another count answers 1, not
	// initialised, until it is shut down and initialised again.
	DriverLoad int
	// Upgraded is when the driver was upgraded: from then on a process that loaded this library before gets 18 of
	// nvmlInit and 999 of every call. Zero: never.
	Upgraded time.Duration
	// UnknownAfter is when all calls begin to return 999, unknown error; zero: never.
	UnknownAfter time.Duration
	// CallsFile is where the double counts its calls, rewritten when a call comes at least CallsEvery (100 ms) after
	// the last rewrite and at shutdown; see ReadCalls.
	CallsFile  string
	CallsEvery time.Duration
	// LookEvery is how often at most the double looks whether the script has changed; 0: every millisecond.
	LookEvery time.Duration
	GPUs      []GPU
}

// GPU is one GPU of a script. The zero value is an H200 that draws nothing.
type GPU struct {
	Power Trace

	Model, UUID, BusID, Serial string
	Architecture               int    // nvmlDeviceArchitecture_t; 9 is Hopper
	ComputeCapability          [2]int // 9, 0
	LimitWatts                 float64
	PersistenceOff             bool
	MIG                        int      // 0 disabled, 1 enabled, -1 not supported
	Parts                      []string // UUIDs of its MIG instances

	// Scopes says for what the power fields answer: 1 GPU, 2 module, 3 both. The module draws ModuleExtraWatts more.
	Scopes           int
	ModuleExtraWatts float64

	TemperatureC, SMClockMHz, MemoryClockMHz, UtilizationPercent int
	EventReasons                                                 int // nvmlClocksEventReasons bits

	CounterPeriod, CounterPhase time.Duration // the counter ticks at CounterPhase + k · CounterPeriod
	CounterBaseJoules           float64       // what the counter held at the origin
	AverageWindow               time.Duration // of POWER_AVERAGE
	InstantWindow               time.Duration // of POWER_INSTANT
	Refresh                     time.Duration // of both

	Latency     time.Duration // of every call
	LatencyBusy bool          // spent computing, not sleeping

	// Samples is what nvmlDeviceGetSamples gives: "off", or time stamps in "unix" or "boot" time, or "zeros": unix
	// time and a tail of empty samples.
	Samples      string
	SamplePeriod time.Duration
	SampleDepth  int

	Faults []Fault
}

// H200 returns a GPU as the default one, drawing power.
func H200(power Trace) GPU { return GPU{Power: power} }

// A100 returns a GPU with GA100, which has no averaged power.
func A100(power Trace) GPU {
	return GPU{
		Power: power, Model: "NVIDIA A100-SXM4-80GB", Architecture: 7, ComputeCapability: [2]int{8, 0},
		LimitWatts: 400, SMClockMHz: 1410, MemoryClockMHz: 1593,
	}
}

// V100 returns a Volta GPU: no averaged power, and on its drivers no power fields.
func V100(power Trace) GPU {
	return GPU{
		Power: power, Model: "Tesla V100-SXM2-32GB", Architecture: 5, ComputeCapability: [2]int{7, 0},
		LimitWatts: 300, SMClockMHz: 1530, MemoryClockMHz: 877, MIG: -1,
		Faults: []Fault{FieldReturns(185, 3), FieldReturns(186, 3)},
	}
}

// TrueJoules is the energy that the GPU drew between two wall-clock times: the exact integral of its trace. It is NaN
// for a script without an Origin.
func (s Script) TrueJoules(gpu int, from, to time.Time) float64 {
	if s.Origin.IsZero() {
		return math.NaN()
	}
	power := s.GPUs[gpu].Power
	return power.Joules(to.Sub(s.Origin)) - power.Joules(from.Sub(s.Origin))
}

// Write writes the script to path in one step, so that a program that runs sees the old one or the new one.
func (s Script) Write(path string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".script-")
	if err != nil {
		return fmt.Errorf("write NVML script: %w", err)
	}
	_, err = temporary.WriteString(s.String())
	if closeErr := temporary.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
		return fmt.Errorf("write NVML script: %w", err)
	}
	return nil
}

// String returns the script in the double's format.
func (s Script) String() string {
	b := &strings.Builder{}
	if !s.Origin.IsZero() {
		fmt.Fprintf(b, "origin_unix_ns %d\n", s.Origin.UnixNano())
	}
	text(b, "driver", s.Driver)
	text(b, "nvml", s.NVML)
	text(b, "calls", s.CallsFile)
	seconds(b, "calls_every_s", s.CallsEvery)
	if s.LookEvery > 0 {
		seconds(b, "look_every_s", s.LookEvery)
	}
	number(b, "init", s.InitReturns)
	if s.InitHangs {
		fmt.Fprintln(b, "init_hangs 1")
	}
	number(b, "driver_load", s.DriverLoad)
	seconds(b, "upgraded", s.Upgraded)
	seconds(b, "unknown_after", s.UnknownAfter)
	fmt.Fprintf(b, "gpus %d\n", len(s.GPUs))
	for i, gpu := range s.GPUs {
		gpu.render(b, i)
	}
	return b.String()
}

func (g GPU) render(b *strings.Builder, i int) {
	key := func(name string) string { return fmt.Sprintf("gpu %d %s", i, name) }
	text(b, key("model"), g.Model)
	text(b, key("uuid"), g.UUID)
	text(b, key("pci"), g.BusID)
	text(b, key("serial"), g.Serial)
	number(b, key("arch"), g.Architecture)
	if cc := g.ComputeCapability; cc != [2]int{} {
		fmt.Fprintf(b, "%s %d %d\n", key("cc"), cc[0], cc[1])
	}
	number(b, key("limit_w"), g.LimitWatts)
	if g.PersistenceOff {
		fmt.Fprintln(b, key("persistence 0"))
	}
	number(b, key("mig"), g.MIG)
	for _, uuid := range g.Parts {
		text(b, key("part"), uuid)
	}
	number(b, key("scopes"), g.Scopes)
	number(b, key("module_extra_w"), g.ModuleExtraWatts)
	number(b, key("temperature_c"), g.TemperatureC)
	number(b, key("sm_mhz"), g.SMClockMHz)
	number(b, key("mem_mhz"), g.MemoryClockMHz)
	number(b, key("util_percent"), g.UtilizationPercent)
	number(b, key("reasons"), g.EventReasons)
	seconds(b, key("counter_period_s"), g.CounterPeriod)
	seconds(b, key("counter_phase_s"), g.CounterPhase)
	number(b, key("counter_base_j"), g.CounterBaseJoules)
	seconds(b, key("average_window_s"), g.AverageWindow)
	seconds(b, key("instant_window_s"), g.InstantWindow)
	seconds(b, key("refresh_s"), g.Refresh)
	if g.Latency > 0 {
		how := "sleep"
		if g.LatencyBusy {
			how = "busy"
		}
		fmt.Fprintf(b, "%s %v %s\n", key("latency_us"), float64(g.Latency)/1e3, how)
	}
	text(b, key("samples"), g.Samples)
	seconds(b, key("sample_period_s"), g.SamplePeriod)
	number(b, key("sample_depth"), g.SampleDepth)
	g.Power.render(b, i)
	for _, fault := range g.Faults {
		fmt.Fprintf(b, "%s %s\n", key("fault"), fault)
	}
}

// The three below write a statement unless its value is the zero value, which stands for the double's default.

func text(b *strings.Builder, key, value string) {
	if value != "" {
		fmt.Fprintf(b, "%s %s\n", key, value)
	}
}

func number[N int | float64](b *strings.Builder, key string, value N) {
	if value != 0 {
		fmt.Fprintf(b, "%s %v\n", key, value)
	}
}

func seconds(b *strings.Builder, key string, d time.Duration) { number(b, key, d.Seconds()) }
