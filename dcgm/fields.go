package dcgm

import (
	"math"

	"wattmark/sampler"
)

// field is a quantity under its two names. Units follow from the name: NVIDIA gave new names to what it gave new units.
type field struct {
	legacy, current name
	counter         bool
	value           func(gpu) sampler.Value
}

// name is how one generation of dcgm-exporter shows a quantity.
type name struct {
	text, help string
	scale      float64 // from our unit
	decimals   int
}

// gpu is what a scrape shows of one GPU.
type gpu struct {
	info    sampler.Info
	reading sampler.Reading
	joules  sampler.Value // energy counter
}

// fields are what the daemon reads. NVIDIA's ids are in docs/dcgm.md.
func fields() []field {
	const mega = 1e6
	return []field{
		{
			name{"DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).", 1, 6},
			name{"DCGM_FI_DEV_BOARD_POWER_WATTS", "Power draw of the board in watts.", 1, 6},
			false, func(g gpu) sampler.Value { return g.reading.PowerWatts },
		},
		{
			name{"DCGM_FI_DEV_POWER_USAGE_INSTANT", "Instantaneous power draw (in W).", 1, 6},
			name{"DCGM_FI_DEV_BOARD_POWER_RAW_WATTS", "Instantaneous power draw of the board in watts.", 1, 6},
			false, func(g gpu) sampler.Value { return g.reading.InstantWatts },
		},
		{
			name{"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "Energy used since the driver was loaded (in mJ).", 1e3, 0},
			name{"DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL", "Energy used since the driver was loaded in joules.", 1, 0},
			true, func(g gpu) sampler.Value { return g.joules },
		},
		{
			name{"DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "Power limit in force when wattmark started (in W).", 1, 6},
			name{"DCGM_FI_DEV_BOARD_POWER_LIMIT_ENFORCED_WATTS", "Power limit in force when wattmark started in watts.", 1, 6},
			false, func(g gpu) sampler.Value { return g.info.PowerLimitWatts },
		},
		{
			name{"DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).", 1, 0},
			name{"DCGM_FI_DEV_GPU_TEMP_CELSIUS", "GPU temperature in degrees Celsius.", 1, 0},
			false, func(g gpu) sampler.Value { return g.reading.TemperatureC.Value() },
		},
		{
			name{"DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).", 100, 0},
			name{"DCGM_FI_DEV_GPU_UTIL_RATIO", "GPU utilization, 0 to 1.", 1, 4},
			false, func(g gpu) sampler.Value { return g.reading.Utilization.Value() },
		},
		{
			name{"DCGM_FI_DEV_MEM_COPY_UTIL", "Memory utilization (in %).", 100, 0},
			name{"DCGM_FI_DEV_MEMORY_UTIL_RATIO", "Memory utilization, 0 to 1.", 1, 4},
			false, func(g gpu) sampler.Value { return g.reading.MemoryUtilization.Value() },
		},
		{
			name{"DCGM_FI_DEV_SM_CLOCK", "SM clock frequency (in MHz).", 1, 0},
			name{"DCGM_FI_DEV_SM_CLOCK_HERTZ", "SM clock frequency in hertz.", mega, 0},
			false, func(g gpu) sampler.Value { return g.reading.ClockMHz.Value() },
		},
		{
			name{"DCGM_FI_DEV_MEM_CLOCK", "Memory clock frequency (in MHz).", 1, 0},
			name{"DCGM_FI_DEV_MEMORY_CLOCK_HERTZ", "Memory clock frequency in hertz.", mega, 0},
			false, func(g gpu) sampler.Value { return g.reading.MemoryClockMHz.Value() },
		},
	}
}

// counts turns a counter that may restart into one that only grows. It begins at what the hardware's counter shows.
type counts struct{ base, last float64 }

// joules returns the count of a GPU whose feed has seen the counter advance so far since it began.
func (h *Handler) joules(status sampler.Status) sampler.Value {
	advanced, ok := status.CounterJoules.Known()
	if !ok {
		return sampler.Value{}
	}
	id := status.Info.ID()
	c, seen := h.energy[id]
	if !seen {
		c = counts{base: math.Max(0, status.Latest.EnergyJoules.Or(advanced)-advanced)}
	}
	if c.base+advanced < c.last { // the feed began anew
		c.base = c.last - advanced
	}
	c.last = c.base + advanced
	h.energy[id] = c
	return sampler.Some(c.last)
}
