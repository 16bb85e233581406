package sampler

import "time"

// Device is one GPU. Implementations: vendor_nvidia, vendor_amd, vendor_sim.
type Device interface {
	// Info says what the GPU and its sensors are; constant while the daemon runs.
	Info() Info
	// Read asks the driver once. It takes no context: a driver call cannot be cancelled. An error means that
	// nothing was read; a single quantity that is not available is missing from the reading instead.
	Read() (Reading, error)
}

// Scope says what a GPU's number covers.
type Scope string

// The scopes.
const (
	ScopeGPU          Scope = "gpu"           // the GPU board: GPU, memory and their regulators
	ScopeModule       Scope = "module"        // GPU and CPU of a superchip
	ScopeDeviceShared Scope = "device_shared" // a physical GPU that is divided (MIG): all its instances together
)

// Info is what does not change while the daemon runs.
type Info struct {
	Host   string `json:"host"`
	UUID   string `json:"uuid"`   // NVIDIA: the key together with Host; AMD: for people, never a key
	BusID  string `json:"bus_id"` // PCI, as 0000:1b:00.0; AMD: the key together with Host
	Serial string `json:"serial,omitempty"`
	Index  int    `json:"index"`  // what nvidia-smi or amd-smi print; for people, never a key
	Vendor string `json:"vendor"` // "nvidia", "amd"
	Model  string `json:"model"`

	Architecture      string `json:"architecture,omitempty"`       // "hopper"
	ComputeCapability string `json:"compute_capability,omitempty"` // "9.0"
	Driver            string `json:"driver,omitempty"`             // version
	Library           string `json:"library,omitempty"`            // version, and path where it is known

	// Parts are the UUIDs of its MIG instances when the daemon started. Each stands for the GPU: power and energy are
	// told of the whole only.
	Parts []string `json:"parts,omitempty"`

	Scope           Scope `json:"scope"`
	PowerLimitWatts Value `json:"power_limit_w"` // the limit in force at start
	Simulated       bool  `json:"simulated"`

	// HasCounter says that the GPU counts its energy. The count advances every CounterPeriod (about 100 ms on
	// NVIDIA), so a reading of it is up to that old. Zero: the driver stamps each count itself, it has no age.
	HasCounter    bool          `json:"has_counter"`
	CounterPeriod time.Duration `json:"counter_period_ns"`
	// PowerSource names the sensor behind Reading.PowerWatts: "average", "instant", "socket".
	PowerSource string `json:"power_source"`
	// PowerPeriod: PowerWatts is the mean over this long before At; 0: instantaneous.
	// The driver refreshes it every PowerRefresh.
	PowerPeriod  time.Duration `json:"power_period_ns"`
	PowerRefresh time.Duration `json:"power_refresh_ns"`

	// Problems are things a person should look at, each with what to do.
	Problems []string `json:"problems,omitempty"`
}

// ID is the GPU's identity across hosts and restarts.
func (i Info) ID() string {
	if i.UUID != "" && i.Vendor != "amd" {
		return i.Host + "/" + i.UUID
	}
	return i.Host + "/" + i.BusID
}
