//go:build linux && cgo

package nvidia

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wattmark/sampler"
)

// device is one GPU. It shares nothing with other devices but the flag that NVML is closed.
type device struct {
	info   sampler.Info
	handle nvml.Device
	clock  sampler.Clock
	log    *slog.Logger // nil until Open has found the sensors: what it finds is in Info
	closed *atomic.Bool

	library  *Library
	failing  atomic.Bool // the last read failed
	reviving reviving
	turn     chan struct{} // capacity 1: held by the read that runs

	fields  [3]field          // energy, average, instant
	batch   []nvml.FieldValue // what is asked at once; kept to save the allocation
	power   *field            // behind PowerWatts; nil: only GetPowerUsage
	total   sensor            // GetTotalEnergyConsumption
	usage   sensor            // GetPowerUsage; lacking where it does not mean what PowerWatts means
	around  conditions
	divided bool // MIG is enabled

	samples buffer // behind PowerSamples
}

// The fields that a reading asks for.
const (
	energy = iota
	average
	instant
)

// Info describes the GPU and its sensors, as they were found by Open.
func (d *device) Info() sampler.Info { return d.info }

// Read returns board power in W and the energy counter in J since the driver was loaded, in one driver call
// (nvmlDeviceGetFieldValues) whose middle is At; on GPUs without those fields, with nvmlDeviceGetTotalEnergyConsumption
// and nvmlDeviceGetPowerUsage. Temperature, clocks, utilisation and throttle reasons are at most a second older.
// It fails if neither power nor energy was read; errors.Is finds the Code, and NVML's own constant of that number.
// A GPU whose reads fail is looked for again, after 1 s and then ever more seldom, and NVML is initialised anew where
// none of its GPUs answers: the device stays the same.
// A driver call that hangs hangs the read of this GPU, and only that.
func (d *device) Read() (sampler.Reading, error) {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	if d.closed.Load() {
		return sampler.Reading{}, ErrClosed
	}
	reading, err := d.attempt()
	d.failing.Store(err != nil)
	if d.reviving.failed(err) {
		d.library.revive(d, err)
	}
	if err != nil {
		return sampler.Reading{}, err
	}
	d.around.refresh(d.handle)
	d.around.fill(&reading)
	return reading, nil
}

// attempt reads power and energy, with a handle of NVML as it is initialised now.
func (d *device) attempt() (sampler.Reading, error) {
	if err := d.library.down(); err != nil {
		return sampler.Reading{}, err
	}
	if d.reviving.generation != d.library.generation.Load() {
		if err := d.rebind(); err != nil {
			return sampler.Reading{}, err
		}
	}
	return d.measure()
}

// measure reads power and energy.
func (d *device) measure() (sampler.Reading, error) {
	before := time.Now()
	if err := d.readFields(); err != nil {
		return sampler.Reading{}, err
	}
	joules := d.fields[energy].orElse(&d.total, d.askTotal)
	watts := d.readPower()
	after := time.Now()

	if !watts.OK() && !joules.OK() {
		return sampler.Reading{}, fmt.Errorf("read energy and power: %w", d.worst())
	}
	reading := sampler.Reading{
		At:           d.clock.Middle(before, after),
		Call:         after.Sub(before),
		PowerWatts:   watts,
		EnergyJoules: joules,
	}
	if d.power == &d.fields[average] || d.power == nil {
		reading.InstantWatts = d.fields[instant].value
	}
	return reading, nil
}

// readFields asks for all fields that the GPU has, in one call. An error of the whole call that does not mean "not
// supported" is an error of the read: nothing else would be answered either.
func (d *device) readFields() error {
	d.batch = d.batch[:0]
	for i := range d.fields {
		if f := &d.fields[i]; f.support != refused {
			// The return code is a mark by which a field that the driver leaves alone can be told.
			d.batch = append(d.batch, nvml.FieldValue{FieldId: f.id, ScopeId: f.scope, NvmlReturn: ^uint32(0)})
		}
	}
	if len(d.batch) == 0 {
		return nil
	}
	whole := Code(d.handle.GetFieldValues(d.batch))
	if whole != 0 && !whole.refusal() {
		return fmt.Errorf("read NVML field values: %w", whole)
	}
	asked := 0
	for i := range d.fields {
		f := &d.fields[i]
		if f.support == refused {
			continue
		}
		value, code := milli(d.batch[asked])
		asked++
		if whole != 0 {
			code = whole
		}
		if f.set(value, code) && d.log != nil {
			d.log.Warn("the driver does not support a field", "field", f.id, "scope", f.scope)
		}
	}
	return nil
}

func (d *device) readPower() sampler.Value {
	if d.power == nil {
		if d.usage.support != refused {
			d.usage.set(d.askUsage())
		}
		return d.usage.value
	}
	return d.power.orElse(&d.usage, d.askUsage)
}

func (d *device) askTotal() (float64, Code) {
	millijoules, ret := d.handle.GetTotalEnergyConsumption()
	return float64(millijoules), Code(ret)
}

func (d *device) askUsage() (float64, Code) {
	milliwatts, ret := d.handle.GetPowerUsage()
	return float64(milliwatts), Code(ret)
}

// worst returns the code that says most about why nothing was read: one that does not mean "not supported", if any.
func (d *device) worst() Code {
	for _, s := range []*sensor{&d.fields[energy].sensor, &d.fields[average].sensor, &d.fields[instant].sensor, &d.total, &d.usage} {
		if s.code != 0 && !s.code.refusal() {
			return s.code
		}
	}
	return d.fields[energy].code
}
