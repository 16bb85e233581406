package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"wattmark/sampler"
)

// gpusCmd shows what the daemon would see.
type gpusCmd struct {
	backendFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// gpuReport is one GPU and what its sensors say now.
type gpuReport struct {
	sampler.Info
	Reading *gpuReading `json:"reading"`
	Error   string      `json:"error,omitempty"`
}

type gpuReading struct {
	Power   sampler.Value `json:"power_w"`
	Instant sampler.Value `json:"instant_power_w"`
	Energy  sampler.Value `json:"energy_counter_j"`
	CallS   float64       `json:"call_s"`
}

// Run reads every GPU once and prints what there is, and what to do about what is not.
func (c gpusCmd) Run(std streams) error {
	found, err := c.open(sampler.NewClock(), slog.New(slog.DiscardHandler))
	if err != nil {
		return exitFor(std, err)
	}
	defer found.close()
	reports := []gpuReport{}
	for _, device := range found.devices {
		report := gpuReport{Info: device.Info()}
		if r, err := device.Read(); err != nil {
			report.Error = err.Error()
		} else {
			report.Reading = &gpuReading{r.PowerWatts, r.InstantWatts, r.EnergyJoules, r.Call.Seconds()}
		}
		reports = append(reports, report)
	}
	if c.JSON {
		out := json.NewEncoder(std.out)
		out.SetIndent("", "  ")
		return out.Encode(map[string]any{"backend": found.now(), "gpus": reports, "version": version()})
	}
	c.print(std, found, reports)
	return nil
}

func (c gpusCmd) print(std streams, found backend, reports []gpuReport) {
	_, _ = fmt.Fprintf(std.out, "backend: %s\n", found.Name)
	if len(reports) == 0 {
		_, _ = fmt.Fprintln(std.out, "There is no GPU to measure.")
	} else {
		info := reports[0].Info
		_, _ = fmt.Fprintf(std.out, "driver %s, library %s\n\n", dash(info.Driver), dash(info.Library))
		rows := [][]string{{"GPU", "model", "bus id", "UUID", "limit W", "scope", "power W", "is", "counter", "call"}}
		for _, r := range reports {
			rows = append(rows, r.row())
		}
		table(std.out, rows...)
	}
	if found.about != nil {
		_, _ = fmt.Fprintf(std.out, "\n%s", found.about())
	}
	for _, problem := range found.now().Problems {
		_, _ = fmt.Fprintf(std.out, "\nproblem: %s\n", problem)
	}
	for _, r := range reports {
		if r.Error != "" {
			_, _ = fmt.Fprintf(std.out, "\nproblem: GPU %d: %s\n", r.Index, r.Error)
		}
		for _, problem := range r.Problems {
			_, _ = fmt.Fprintf(std.out, "\nproblem: GPU %d: %s\n", r.Index, problem)
		}
	}
}

func (r gpuReport) row() []string {
	power, call := sampler.Value{}, "–"
	if r.Reading != nil {
		power = r.Reading.Power
		call = time.Duration(r.Reading.CallS * float64(time.Second)).Round(100 * time.Nanosecond).String()
	}
	is := r.PowerSource
	if r.PowerPeriod > 0 {
		is += fmt.Sprintf(" over %v", r.PowerPeriod)
	}
	counter := "none"
	if r.HasCounter {
		counter = fmt.Sprintf("every %v", r.CounterPeriod)
		if r.CounterPeriod == 0 {
			counter = "stamped"
		}
	}
	return []string{
		strconv.Itoa(r.Index), r.Model, r.BusID, r.UUID, number(r.PowerLimitWatts, "%.0f"), string(r.Scope),
		number(power, "%.1f"), is, counter, call,
	}
}

func dash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}
