package amd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"wattmark/sampler"
)

// Description is what a person wants to know about the way to the GPUs (wattmark gpus).
type Description struct {
	Mode      Mode           `json:"mode"`
	Library   string         `json:"library,omitempty"` // path of libamd_smi as it was opened; empty: it is not used
	Soname    string         `json:"soname,omitempty"`  // the file that the path leads to
	Version   string         `json:"library_version,omitempty"`
	Driver    string         `json:"driver,omitempty"`
	Processes []ProcessState `json:"processes,omitempty"` // of this program, with the library in them
	GPUs      []GPUState     `json:"gpus"`
	Problems  []string       `json:"problems,omitempty"` // of the host; those of a GPU are in its Info
	// BootOffsetSeconds is how far CLOCK_BOOTTIME, which stamps the driver's tables, is ahead of CLOCK_MONOTONIC.
	BootOffsetSeconds float64 `json:"boot_offset_s"`
}

// ProcessState is one child process. The library is kept in one so that it can hang or crash without harm; a GPU that
// made it do so has its own.
type ProcessState struct {
	PID      int    `json:"pid,omitempty"` // 0: none is running
	Restarts int    `json:"restarts"`
	Error    string `json:"error,omitempty"` // why it does not answer
	Lost     string `json:"lost,omitempty"`  // why the one before was given up
}

// GPUState is one GPU.
type GPUState struct {
	Info             sampler.Info  `json:"info"`
	From             string        `json:"from"` // "libamd_smi" or "sysfs": where the last reading came from
	Table            string        `json:"table"`
	ComputePartition string        `json:"compute_partition,omitempty"`
	MemoryPartition  string        `json:"memory_partition,omitempty"`
	HIPIndex         int           `json:"hip_index"`     // number in the KFD topology, first partition; -1: not there
	PowerLimitWatts  sampler.Value `json:"power_limit_w"` // now; Info has the one at start
}

// Problems returns what a person should look at now, beside the problems of each GPU (sampler.Info).
func (l *Library) Problems() []string {
	problems := slices.Clone(l.problems)
	for _, process := range l.Processes() {
		if process.Lost != "" && process.Error != "" {
			problems = append(problems, fmt.Sprintf("%s; it is started again", process.Error))
		}
	}
	return problems
}

// Processes returns the child processes that hold the library: one for all GPUs, and one for each GPU that made the
// library hang or crash.
func (l *Library) Processes() []ProcessState {
	l.mu.Lock()
	sessions := l.sessions
	l.mu.Unlock()
	var states []ProcessState
	for _, s := range sessions {
		_, state := s.describe()
		states = append(states, state)
	}
	return states
}

// String says in a few lines what is read and how.
func (d Description) String() string {
	var b strings.Builder
	if d.Library == "" {
		b.WriteString("libamd_smi is not used\n")
	} else {
		fmt.Fprintf(&b, "libamd_smi %s (%s, %s)\n", d.Version, d.Library, d.Soname)
	}
	for _, p := range d.Processes {
		state := fmt.Sprintf("process %d of this program", p.PID)
		if p.PID == 0 {
			state = "no process now: " + p.Error
		}
		fmt.Fprintf(&b, "it runs in a process of its own, which may hang or crash: %s, restarted %d times", state, p.Restarts)
		if p.Lost != "" {
			fmt.Fprintf(&b, ", the last time because %s", p.Lost)
		}
		b.WriteByte('\n')
	}
	for _, gpu := range d.GPUs {
		fmt.Fprintf(&b, "GPU %d: read from %s, table v%s, HIP index %d", gpu.Info.Index, gpu.From, gpu.Table, gpu.HIPIndex)
		if gpu.ComputePartition != "" {
			fmt.Fprintf(&b, ", partitions %s %s", gpu.ComputePartition, gpu.MemoryPartition)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Describe says what is read and how. It asks for the power limits of this moment, and otherwise from memory.
func (l *Library) Describe() Description {
	d := Description{
		Mode: l.config.Mode, Driver: l.driver, Problems: l.Problems(), Processes: l.Processes(),
		BootOffsetSeconds: bootOffset().Round(time.Microsecond).Seconds(),
	}
	if s := l.shared(); s != nil {
		inv, _ := s.describe()
		d.Library, d.Soname, d.Version = inv.Path, inv.Soname, inv.Version
	}
	for _, gpu := range l.devices {
		d.GPUs = append(d.GPUs, gpu.describe())
	}
	return d
}

// shared returns the session of all GPUs; nil if the library was not asked for.
func (l *Library) shared() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sessions) == 0 {
		return nil
	}
	return l.sessions[0]
}

func (s *session) describe() (inventory, ProcessState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := ProcessState{Restarts: max(0, s.starts-1)}
	if s.process != nil {
		state.PID = s.process.cmd.Process.Pid
	}
	if s.why != nil {
		state.Error = s.why.Error()
	}
	if s.lost != nil {
		state.Lost = s.lost.Error()
	}
	return s.inventory, state
}

func (d *device) describe() GPUState {
	limit := d.powerLimit()
	d.mu.Lock()
	defer d.mu.Unlock()
	return GPUState{
		Info: d.info, From: d.from, Table: d.judge.previous.table,
		ComputePartition: d.compute, MemoryPartition: d.memory, HIPIndex: d.hip, PowerLimitWatts: limit,
	}
}

// powerLimit asks for the limit in force: it may have been set since the start.
func (d *device) powerLimit() sampler.Value {
	if s := d.session.Load(); s != nil {
		if watts, err := s.powerCap(d.bdf); err == nil && watts > 0 {
			return sampler.Some(watts)
		}
	}
	if d.card != nil {
		return d.card.powerCap()
	}
	return sampler.Value{}
}
