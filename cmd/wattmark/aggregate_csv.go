package main

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wattmark/agg"
	"wattmark/recording"
	"wattmark/sampler"
	"wattmark/window"
)

// csvJob is one measurement from a recorded CSV: what InferenceX's utils/aggregate_power.py does.
type csvJob struct {
	csv, benchmark string // paths, as they stand in the validation file
	folder         string // that the paths are relative to; "": the current one
	expected       int
	maxGap         time.Duration
	zone           *time.Location
	lenient        bool
}

func (c aggregateCmd) job() csvJob {
	zone, err := parseZone(c.CSVZone)
	if err != nil { // Validate has parsed it
		zone = time.Local
	}
	return csvJob{
		csv: c.CSV, benchmark: c.BenchResult, expected: c.ExpectedNumGPUs.n, maxGap: c.MaxGap, zone: zone, lenient: !c.Strict,
	}
}

func (c aggregateCmd) fromCSV(std streams) error {
	result, sources, remarks := c.job().measure()
	for _, remark := range remarks {
		_, _ = fmt.Fprintf(std.err, "%s: %s\n", c.CSV, remark)
	}
	return c.finish(std, result, sources)
}

// path returns where a file of the job is.
func (j csvJob) path(name string) string {
	if j.folder == "" {
		return name
	}
	return filepath.Join(j.folder, name)
}

// measure returns the result, what the validation file says of its sources, and what is odd about the CSV. Reasons
// have InferenceX's order: the benchmark's, the arguments', the file's, the GPUs'.
func (j csvJob) measure() (window.Result, agg.Sources, []recording.Fault) {
	benchmark := readBenchmark(j.path(j.benchmark)).RequireWindow()
	work := benchmark.Work
	result := window.Result{
		Run: strings.TrimSuffix(filepath.Base(j.benchmark), ".json"), Expected: &j.expected, Work: &work, Backend: "csv",
		Reasons: benchmark.Reasons, Versions: window.Versions{Wattmark: version()},
	}
	sources := agg.Sources{Telemetry: j.csv, Benchmark: j.benchmark, ReportedDuration: benchmark.Duration}
	if !j.lenient {
		if sources.InternalError = unexpected(j.path(j.benchmark)); sources.InternalError != nil {
			result.Reasons = []window.Reason{agg.AggregationInternalError}
			return result, sources, nil
		}
	}
	sources.Accumulators = j.accumulators()
	if !benchmark.HasWindow {
		return result, sources, nil
	}

	start, end, gap := benchmark.Start.Or(0), benchmark.End.Or(0), j.maxGap.Seconds()
	found := recording.ReadFile(j.path(j.csv), recording.Options{
		Zone: j.zone, From: start - gap, To: end + gap, Lenient: j.lenient,
	})
	result.Start, result.End = recording.Moment(start), recording.Moment(end)
	if j.expected <= 0 {
		result.Reasons = append(result.Reasons, window.InvalidExpectedGPUCount)
	}
	for _, fault := range found.Faults {
		result.Reasons = append(result.Reasons, window.Reason(fault.Code))
	}
	for _, note := range found.Notes {
		result.Notes = append(result.Notes, window.Note(note.Code))
	}
	if found.Opened {
		result = j.integrate(result, found, start, end)
		sources.Samples = map[string]int{}
		for _, gpu := range found.GPUs {
			sources.Samples[gpu.ID] = len(gpu.Unix)
		}
	}
	return result, sources, slices.Concat(found.Faults, found.Notes)
}

// integrate measures what was found between two Unix times.
func (j csvJob) integrate(result window.Result, found *recording.Recording, start, end float64) window.Result {
	w := window.Window{Run: result.Run, Start: result.Start, End: result.End}
	measured := window.Measure(band(found.GPUs), w, window.Limits{MaxGap: j.maxGap, Method: window.Trapezoid})
	result.Reasons = append(result.Reasons, measured.Reasons...)
	result.GPUs = measured.GPUs
	for i := range result.GPUs {
		// What the benchmark's script states is stated in its arithmetic; the rest is what Measure knows besides.
		gpu, readings := &result.GPUs[i], found.GPUs[i]
		var reason window.Reason
		gpu.Energy, gpu.MaxGapS, reason = agg.Trapezoid(readings.Unix, readings.Watts, start, end, j.maxGap.Seconds())
		if gpu.Reasons = []window.Reason{}; reason != "" {
			gpu.Reasons = append(gpu.Reasons, reason)
		}
		gpu.PowerLimit = sampler.Value{} // a CSV has none; see band
	}
	if len(found.GPUs) != j.expected {
		result.Reasons = append(result.Reasons, window.ExpectedGPUCountMismatch)
	}
	return result
}

// band is a Source of readings that are believed whatever they say.
type band []recording.GPU

// Series yields all readings: what is farther than the gap limit from the window was not kept.
func (b band) Series(_, _ sampler.Moment) iter.Seq[sampler.Series] {
	return func(yield func(sampler.Series) bool) {
		for _, gpu := range b {
			series := gpu.Series()
			// Measure takes readings above twice the limit, or 20 kW where there is none, for errors; the script does not.
			if most := slices.Max(gpu.Watts); most > 10e3 {
				series.Info.PowerLimitWatts = sampler.Some(most)
			}
			if !yield(series) {
				return
			}
		}
	}
}

// accumulators compares the whole recording with the energy counters that were saved before and after it.
func (j csvJob) accumulators() *agg.Accumulators {
	start, end, startErr, endErr := recording.Snapshots(j.path(j.csv))
	noStart, noEnd := errors.Is(startErr, recording.ErrNoSnapshot), errors.Is(endErr, recording.ErrNoSnapshot)
	switch {
	case noStart && noEnd:
		return nil
	case noStart:
		return &agg.Accumulators{Unavailable: "missing_start_snapshot"}
	case noEnd:
		return &agg.Accumulators{Unavailable: "missing_end_snapshot"}
	case startErr != nil:
		return &agg.Accumulators{Unavailable: "unparseable_start_snapshot"}
	case endErr != nil:
		return &agg.Accumulators{Unavailable: "unparseable_end_snapshot"}
	}
	stream := recording.ReadFile(j.path(j.csv), recording.Options{Zone: j.zone, Lenient: j.lenient})
	if !stream.Opened {
		return &agg.Accumulators{Unavailable: "cross_check_error"}
	}
	found := map[string]*agg.Accumulator{}
	of := func(id string) *agg.Accumulator {
		if found[id] == nil {
			found[id] = &agg.Accumulator{GPU: id}
		}
		return found[id]
	}
	for id, joules := range start {
		of(id).Start = sampler.Some(joules)
	}
	for id, joules := range end {
		of(id).End = sampler.Some(joules)
	}
	first, last := math.Inf(1), math.Inf(-1)
	for _, gpu := range stream.GPUs {
		from, to := gpu.Unix[0], gpu.Unix[len(gpu.Unix)-1]
		first, last = min(first, from), max(last, to)
		energy, _, _ := agg.Trapezoid(gpu.Unix, gpu.Watts, from, to, math.Inf(1))
		of(gpu.ID).Integrated = sampler.Some(energy.Or(0)) // a single reading covers no time
	}
	all := agg.Accumulators{SpanS: max(0, last-first)}
	for _, gpu := range found {
		all.GPUs = append(all.GPUs, *gpu)
	}
	slices.SortFunc(all.GPUs, func(a, b agg.Accumulator) int { return recording.Compare(a.GPU, b.GPU) })
	return &all
}

// unexpected returns the error that InferenceX's script ends with for a benchmark's result, if it does.
func unexpected(path string) *agg.InternalError {
	file, err := os.Open(path)
	if err != nil {
		return nil // which the reasons say
	}
	defer func() { _ = file.Close() }() // only read from
	return agg.UnexpectedBenchmark(io.LimitReader(file, agg.MaxBenchmark))
}

// parseZone reads local, an offset such as +0200 or +02:00, as date +%z prints it, or a name of the zone database.
func parseZone(name string) (*time.Location, error) {
	if name == "" || name == "local" {
		return time.Local, nil
	}
	for _, layout := range []string{"-0700", "-07:00"} {
		if t, err := time.Parse(layout, name); err == nil {
			_, seconds := t.Zone()
			return time.FixedZone(name, seconds), nil
		}
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("--csv-zone=%s: %w", name, err)
	}
	return zone, nil
}
