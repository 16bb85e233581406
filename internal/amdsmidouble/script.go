package amdsmidouble

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ScriptEnv names the environment variable that holds the path of the script.
const ScriptEnv = "WATTMARK_AMDSMI_SCRIPT"

// Script is what a stand-in plays. The zero values mean: works.
type Script struct {
	Origin     int64 // CLOCK_BOOTTIME in ns at which every load begins; New sets it
	GPUs       []GPU // sockets, in the order of the library
	Partitions int   // per socket; 0 means 1 (SPX), more is CPX

	DriverLoad int    // how often the driver was loaded: what was initialised under another count fails with 34
	InitCode   int    // what amdsmi_init returns: 32 and 34 mean no GPU
	InitHang   bool   // amdsmi_init never returns
	InitAbort  bool   // amdsmi_init calls abort
	Overlong   int    // bytes that a gpu_metrics read writes, if more than its ABI says
	CapUnit    string // "W" or "uW"; empty: W on ABI 24, µW on later ones
	Log        string // file to which init, shut_down and calls from foreign threads are appended
	Noise      string // a line that every call prints to stdout and stderr
}

// GPU is one socket of a script.
type GPU struct {
	Bus    string // PCI bus id, dddd:bb:dd.f
	Name   string // market name
	Serial string
	Load   Load
	Base   uint64 // energy count at Origin, in 2^-16 J
	Cap    int    // power cap, W

	Average  bool // an MI200: average power instead of current power, table v1.3
	Revision int  // of the driver's table as the first bytes say; 0: 7, or 3 for Average
	ReadCode int  // what a gpu_metrics read returns: 43 is a library older than the driver

	Hang  bool // a read never returns
	Abort bool // a read calls abort
	Crash bool // a read writes to an address that is not there
	Empty bool // a read returns 0 in every field

	Constant  bool  // the energy count stays at Base
	ResetAt   int64 // CLOCK_BOOTTIME in ns at which the count starts again at 0; 0: never
	ZeroWatts bool  // power says 0 W
	NoWatts   bool  // power says "not available"
	NoStamp   bool  // the table's time says "not available"
	Frozen    bool  // the table is for ever that of one second after Origin
}

// New returns a script for n GPUs whose loads begin now, with the names, bus ids and loads of a plausible host. Every
// GPU has its own mean power: 300, 320, 340 W and so on.
func New(n int) Script {
	script := Script{Origin: Boottime()}
	for i := range n {
		script.GPUs = append(script.GPUs, GPU{
			Bus:    fmt.Sprintf("0000:%02x:00.0", 5+0x10*i),
			Name:   "AMD Instinct MI300X",
			Serial: fmt.Sprintf("0xC0FFEE00000000%02X", i),
			Load:   Load{Watts: 300 + 20*float64(i), Amplitude: 100, Period: 2 * time.Second},
			Base:   1e10 + uint64(i)<<32,
			Cap:    750,
		})
	}
	return script
}

// TrueJoules returns the energy that GPU number i used between two times of CLOCK_BOOTTIME, in ns.
func (s Script) TrueJoules(i int, from, to int64) float64 {
	load := s.GPUs[i].Load
	return load.Joules(time.Duration(to-s.Origin)) - load.Joules(time.Duration(from-s.Origin))
}

// Write replaces the script file in one step: a library that is playing it goes over at its next call.
func (s Script) Write(path string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".script-*")
	if err != nil {
		return fmt.Errorf("write script: %w", err)
	}
	if _, err := temporary.WriteString(s.String()); err != nil {
		return fmt.Errorf("write script: %w", err)
	}
	if err := temporary.Chmod(0o644); err != nil {
		return fmt.Errorf("write script: %w", err)
	}
	if err := temporary.Close(); err != nil {
		return fmt.Errorf("write script: %w", err)
	}
	return os.Rename(temporary.Name(), path)
}

// String returns the script as the stand-in reads it: one setting per line.
func (s Script) String() string {
	var b strings.Builder
	set := func(key string, value any) { fmt.Fprintf(&b, "%s %v\n", key, value) }
	flag := func(on bool, key string) {
		if on {
			b.WriteString(key + "\n")
		}
	}
	set("origin", s.Origin)
	set("gpus", len(s.GPUs))
	set("partitions", max(1, s.Partitions))
	set("driver_load", s.DriverLoad)
	set("init_code", s.InitCode)
	set("overlong", s.Overlong)
	flag(s.InitHang, "init_hang")
	flag(s.InitAbort, "init_abort")
	for _, setting := range [][2]string{{"cap_unit", s.CapUnit}, {"log", s.Log}, {"noise", s.Noise}} {
		if setting[1] != "" {
			set(setting[0], setting[1])
		}
	}
	for i, gpu := range s.GPUs {
		b.WriteString(gpu.lines(fmt.Sprintf("gpu %d ", i)))
	}
	return b.String()
}

func (g GPU) lines(prefix string) string {
	shape := "sine"
	if g.Load.Square {
		shape = "square"
	}
	lines := []string{
		"bdf " + g.Bus, "name " + g.Name, "serial " + g.Serial,
		fmt.Sprintf("load %s %v %v %v", shape, g.Load.Watts, g.Load.Amplitude, max(1e-9, g.Load.Period.Seconds())),
		fmt.Sprintf("base %d", g.Base), fmt.Sprintf("cap %d", g.Cap),
		fmt.Sprintf("revision %d", g.Revision), fmt.Sprintf("read_code %d", g.ReadCode),
		fmt.Sprintf("reset %d", g.ResetAt),
	}
	for _, flag := range []struct {
		on  bool
		key string
	}{
		{g.Hang, "hang"},
		{g.Abort, "abort"},
		{g.Crash, "crash"},
		{g.Empty, "empty"},
		{g.Average, "average"},
		{g.Constant, "constant"},
		{g.ZeroWatts, "zero_watts"},
		{g.NoWatts, "no_watts"},
		{g.NoStamp, "no_stamp"},
		{g.Frozen, "frozen"},
	} {
		if flag.on {
			lines = append(lines, flag.key)
		}
	}
	return prefix + strings.Join(lines, "\n"+prefix) + "\n"
}
