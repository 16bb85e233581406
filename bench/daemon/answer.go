package daemon

import (
	"encoding/json"
	"fmt"

	"wattmark/sampler"
)

// Answer is what a benchmark reads in the answer to mark-end.
type Answer struct {
	Run   string `json:"run"`
	Valid bool   `json:"power_valid"`

	Start sampler.Moment `json:"start"`
	End   sampler.Moment `json:"end"`

	Reasons []string `json:"reasons"`
	Notes   []string `json:"notes"`
	Energy  *float64 `json:"total_gpu_energy_j"`
	Bound   *float64 `json:"energy_bound_j"`
	GPUs    []GPU    `json:"gpus"`
	Cost    Cost     `json:"cost"`
}

// GPU is what an Answer says of one GPU.
type GPU struct {
	Index   int      `json:"index"`
	Method  string   `json:"method"`
	Energy  *float64 `json:"energy_j"`
	Bound   *float64 `json:"bound_j"`
	Samples int      `json:"samples"`
	Reasons []string `json:"reasons"`
	Notes   []string `json:"notes"`
}

// Cost is what the daemon says that measuring cost.
type Cost struct {
	CPUSeconds    *float64 `json:"cpu_s"`
	RSSBytes      *float64 `json:"rss_bytes"`
	DriverCallMax *float64 `json:"driver_call_s_max"`
	MissedTicks   *float64 `json:"missed_ticks"`
}

// MarkStart opens a window.
func (d *Daemon) MarkStart(run string, fields ...string) error {
	_, err := d.Post("/v1/mark-start", append([]string{"run", run}, fields...)...)
	return err
}

// MarkEnd ends a window.
func (d *Daemon) MarkEnd(run string, fields ...string) (Answer, error) {
	var a Answer
	text, err := d.Post("/v1/mark-end", append([]string{"run", run}, fields...)...)
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil {
		return a, fmt.Errorf("mark-end of %s: %w", run, err)
	}
	return a, nil
}
